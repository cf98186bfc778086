// Rates as the user writes them.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { withLimit } from '../../src/cli/rate.ts';
import type { OpsContext } from '../../src/ops/context.ts';

const OPS = { remoteOptions: { maxRequestsAtOnce: 3 } } as OpsContext;

test('a rate is bytes a second, with or without a unit', (t) => {
  for (const [text, bytes] of [
    ['2048', 2048],
    ['500KB', 500_000],
    ['500k', 500_000],
    ['1.5MiB', 1_572_864],
    ['2 MB/s', 2_000_000],
    ['1GB', 1e9],
  ] as const) {
    t.deepEqual(withLimit(OPS, text).remoteOptions, { maxRequestsAtOnce: 3, limitBytesPerSecond: bytes }, text);
  }
  t.is(withLimit(OPS, undefined), OPS);
});

test('what is no rate, or next to none, is refused', (t) => {
  for (const text of ['', 'fast', '-1MB', '10', '1.2.3MB', '5TB']) {
    const error = t.throws(() => withLimit(OPS, text));
    t.true(isMoltError(error, 'USAGE'), text);
  }
});
