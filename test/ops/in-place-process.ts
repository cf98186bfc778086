// Restores an agent in place and dies by SIGKILL at the n-th rename of the switch: `in-place-process.ts HOME COMMIT N`.

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [home = '', commit = '', at = ''] = process.argv.slice(2);
const { renameSync } = fs;
let renames = 0;
fs.renameSync = (from, to) => {
  if (String(from).includes('.molt-restore/')) renames += 1;
  if (renames === Number(at)) process.kill(process.pid, 'SIGKILL');
  renameSync(from, to);
};
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
await using open = await openAgent(context, 'it');
await restoreInPlace(context, open, await resolveRevision(context, open, commit));
