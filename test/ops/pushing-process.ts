// A process of its own that commits and pushes to a remote, against others; on a branch of its own, or on one that all share.
// usage: pushing-process.ts <home> <state folder> <commits>; prints the ids of its commits as JSON

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { pull } from '../../src/ops/pull.ts';
import { push } from '../../src/ops/push.ts';

const [homeDir = '', stateDir = '', commits = '0'] = process.argv.slice(2);
const context: OpsContext = {
  home: new Home(homeDir),
  clock: { now: () => Date.now() },
  random: { bytes: (length) => randomBytes(length) },
  reporter: silentReporter,
  cwd: '/',
  userHome: '/nowhere',
  unlock: async () => {
    throw new Error('the device key should have opened it');
  },
};
const name = stateDir.replace(/.*\//, '');
const ids: string[] = [];
mkdirSync(stateDir, { recursive: true });
for (let round = 0; round < Number(commits); round += 1) {
  writeFileSync(join(stateDir, `${name}.txt`), `${name} in round ${round}\n`);
  ids.push((await backUp(context, undefined, { kind: 'incremental', trigger: 'test' })).id);
  for (let isPushed = false; !isPushed;) {
    try {
      await push(context, undefined);
      isPushed = true;
    } catch (error) {
      if (!isMoltError(error, 'CONFLICT')) throw error;
      await pull(context, undefined);
    }
  }
}
process.stdout.write(JSON.stringify(ids));
