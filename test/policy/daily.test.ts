// When a daily time comes next, across zones, days and changes of the clock.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { nextDaily, parseDaily } from '../../src/policy/daily.ts';

const comesNext = test.macro({
  async exec(t, at: string, zone: string, after: string, expected: string) {
    const ms = await nextDaily(Date.parse(after), parseDaily(at, zone));
    t.is(new Date(ms).toISOString(), new Date(expected).toISOString());
  },
  title: (_, at, zone, after, expected) => `${at} in ${zone} comes after ${after} at ${expected}`,
});

test(comesNext, '02:00', 'Asia/Jakarta', '2026-03-04T18:59:59Z', '2026-03-04T19:00:00Z');
test(comesNext, '02:00', 'Asia/Jakarta', '2026-03-04T19:00:00Z', '2026-03-05T19:00:00Z');
test(comesNext, '2:00', '+07:00', '2026-12-31T19:00:01Z', '2027-01-01T19:00:00Z');
test(comesNext, '23:30', 'UTC', '2026-02-28T23:30:00Z', '2026-03-01T23:30:00Z');
// 02:30 happens twice on 25 October 2026, and not at all on 29 March.
test(comesNext, '02:30', 'Europe/Berlin', '2026-10-24T22:00:00Z', '2026-10-25T00:30:00Z');
test(comesNext, '02:30', 'Europe/Berlin', '2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z');
test(comesNext, '02:30', 'Europe/Berlin', '2026-03-28T12:00:00Z', '2026-03-29T01:30:00Z');

test('what is no time of day, or in no zone, is refused', (t) => {
  for (const [at, zone] of [
    ['24:00', 'UTC'],
    ['2', 'UTC'],
    ['02:60', 'UTC'],
    ['', 'UTC'],
    ['02:00', 'Mars/Phobos'],
  ] as const)
    t.true(
      isMoltError(
        t.throws(() => parseDaily(at, zone)),
        'USAGE',
      ),
      `${at} ${zone}`,
    );
});
