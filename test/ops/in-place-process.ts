// Restores an agent in place and is broken off: `in-place-process.ts HOME COMMIT kill|full-switch|full|full-copies N [AGENT]`. By SIGKILL or a full
// disk at the n-th rename of the switch, or by a full disk after n writes of the staging, or after n writes of copies to be staged.

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [home = '', commit = '', how = '', at = '', label = 'it'] = process.argv.slice(2);
const { renameSync, writeSync } = fs;
const full = (): Error =>
  Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC', errno: -28, syscall: 'write' });
let renames = 0;
fs.renameSync = (from, to) => {
  if (String(from).includes('.molt-restore/')) renames += 1;
  if (how === 'kill' && renames === Number(at)) process.kill(process.pid, 'SIGKILL');
  if (how === 'full-switch' && renames >= Number(at)) throw full();
  renameSync(from, to);
};
let isStaging = false;
let writes = 0;
const openSync = fs.openSync;
fs.openSync = (path, ...rest) => {
  if (String(path).includes('.molt-restore/')) isStaging = true;
  return openSync(path, ...rest);
};
fs.writeSync = ((...args: Parameters<typeof writeSync>): number => {
  if (how === 'full' && isStaging && (writes += 1) > Number(at)) throw full();
  return writeSync(...args);
}) as typeof writeSync;
const write = fs.write;
fs.write = ((...args: Parameters<typeof write>): void => {
  if (how === 'full-copies' && (writes += 1) > Number(at)) (args.at(-1) as (error: Error) => void)(full());
  else write(...args);
}) as typeof write;
syncBuiltinESMExports();

const { silentReporter } = await import('../../src/model/ports.ts');
const { Home } = await import('../../src/ops/home.ts');
const { restoreInPlace } = await import('../../src/ops/in-place.ts');
const { openAgent } = await import('../../src/ops/open.ts');
const { resolveRevision } = await import('../../src/ops/revision.ts');
const context = {
  home: new Home(home),
  clock: { now: () => Date.now() },
  random: { bytes: (length: number) => randomBytes(length) },
  reporter: silentReporter,
  cwd: home,
  userHome: home,
  unlock: () => Promise.reject(new Error('the device key should have opened it')),
};
await using open = await openAgent(context, label);
await restoreInPlace(context, open, await resolveRevision(context, open, commit));
