// Commands of exec slots: the documented example as it stands, and commands that misbehave.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { MoltError } from '../../src/model/error.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import { makeCommandWrapper } from '../../src/ops/exec-slot.ts';

const PLACE = { repository: 'ab'.repeat(16) as RepositoryId, slot: 'cd'.repeat(16) };
const KEY = Buffer.alloc(32, 'k');

test('the example of docs/exec-slot.md wraps and unwraps, and is bound to its slot', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'molt-exec-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [, script] = /```js\n([^]*?)```/.exec(readFileSync('docs/exec-slot.md', 'utf8')) ?? [];
  writeFileSync(join(dir, 'wrap.mjs'), script ?? '');
  writeFileSync(join(dir, 'wrap.key'), randomBytes(32));
  const command = `MOLT_WRAP_KEY='${dir}/wrap.key' '${process.execPath}' '${dir}/wrap.mjs'`;
  const { wrap, unwrap } = makeCommandWrapper(command);
  const wrapped = await wrap(KEY, PLACE);
  t.false(wrapped.includes(KEY));
  t.deepEqual(await unwrap(wrapped, PLACE), KEY);
  await t.throwsAsync(unwrap(wrapped, { ...PLACE, slot: 'ef'.repeat(16) }), { instanceOf: MoltError, code: 'IO' });
});

const refuses = test.macro(async (t, command: string, message: RegExp, timeoutMs?: number) => {
  const error = await t.throwsAsync(makeCommandWrapper(command, timeoutMs).unwrap(KEY, PLACE), {
    instanceOf: MoltError,
    code: 'IO',
    message,
  });
  t.false(JSON.stringify([error, error?.message, String(error?.cause)]).includes('c2VjcmV0'));
});

test('a command that fails is told by its status', refuses, 'echo c2VjcmV0; exit 7', /status 7/);
test('a command that is not there is told by the shell’s status', refuses, '/nowhere/wrap', /status 127/);
test('a command that answers something else is not quoted', refuses, 'echo c2VjcmV0', /JSON/);
test('a command whose key is of another size is refused', refuses, `echo '{"key":"c2VjcmV0"}'`, /32 bytes/);
test('a command that answers null is refused', refuses, 'echo null', /32 bytes/);
test('a command that never stops writing is stopped', refuses, 'yes c2VjcmV0', /more than 65536 bytes/);
test('a command that never answers is stopped', refuses, 'sleep 600', /did not answer/, 1);
