// Restores and ends by SIGKILL at its n-th step: `restore-pod-process.ts HOME target|in-place LABEL COMMIT N`. A step is what it tells its
// user that it begins, and each small file that it makes durable in molt's folder. Ends with status 0 if there are fewer steps.

import { randomBytes } from 'node:crypto';
import { Home } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { resolveRevision } from '../../src/ops/revision.ts';
import { findMoment } from '../../src/ops/restore.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { applyPodRestore, planPodRestore } from '../../src/ops/restore-pod.ts';

const [dir = '', how = '', label = '', commit = '', at = ''] = process.argv.slice(2);
let steps = 0;
const step = (): void => {
  steps += 1;
  if (steps === Number(at)) process.kill(process.pid, 'SIGKILL');
};

class SteppingHome extends Home {
  override async write(...args: Parameters<Home['write']>): Promise<void> {
    step();
    await super.write(...args);
  }
}

const context = {
  home: new SteppingHome(dir),
  clock: { now: () => Date.now() },
  random: { bytes: (length: number) => randomBytes(length) },
  reporter: { progress: step, warn() {} },
  cwd: dir,
  userHome: dir,
  unlock: () => Promise.reject(new Error('the device key should have opened it')),
};
await using open = await openAgent(context, how === 'target' ? 'bot' : label);
if (how === 'target') {
  const moment = await findMoment(context, open, { revision: commit, timestamp: undefined });
  await applyPodRestore(context, open, await planPodRestore(context, open, moment, label), { ask: async () => true });
} else await restoreAgent(context, open, await resolveRevision(context, open, commit));
