// Restores and ends by SIGKILL at its n-th step, or where a phase begins: `restore-pod-process.ts HOME target|in-place LABEL COMMIT N|PHASE`. A step is what it tells its
// user that it begins, and each small file that it makes durable in molt's folder. Ends with status 0 if there are fewer steps.

import { Home } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { resolveRevision } from '../../src/ops/revision.ts';
import { findMoment } from '../../src/ops/restore.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { applyPodRestore, planPodRestore } from '../../src/ops/restore-pod.ts';
import { contextIn } from './machine.ts';
import { stepping } from './steps.ts';

const [dir = '', how = '', label = '', commit = '', at = ''] = process.argv.slice(2);
const { context } = stepping({ ...contextIn(dir), home: new Home(dir) }, (step, what) => {
  if (String(step) === at || what === at) process.kill(process.pid, 'SIGKILL');
});
await using open = await openAgent(context, how === 'target' ? 'bot' : label);
if (how === 'target') {
  const moment = await findMoment(context, open, { revision: commit, timestamp: undefined });
  await applyPodRestore(context, open, await planPodRestore(context, open, moment, label), { ask: async () => true });
} else await restoreAgent(context, open, await resolveRevision(context, open, commit));
