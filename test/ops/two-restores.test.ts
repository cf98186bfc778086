// Two molts that restore one agent in place at the same time: one does it, the other is refused at whatever moment it comes.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { openAgent } from '../../src/ops/open.ts';
import { listPods } from '../../src/ops/pods.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { expectBack, makeCopy, restoreIt, listSafeties, undoIt, WAYS } from './podded-copy.ts';

const CHILD = join(import.meta.dirname, 'restore-paused-process.ts');

for (const [way, more] of WAYS)
  test(`while one process restores ${way}, another one is refused at every step, and nothing is lost`, async (t) => {
    const copy = await makeCopy(t, more);
    const { context, home, wanted } = copy;
    const child = spawn(process.execPath, [CHILD, home, 'copy', wanted], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.teardown(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    let refused = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const error = await t.throwsAsync(restoreIt(context, 'copy', wanted), undefined, line);
      t.true(
        isMoltError(error, 'LOCKED') && error.message.includes('nothing was changed'),
        `${line}: ${String(error)}`,
      );
      refused += 1;
      child.stdin.write('\n');
    }
    t.deepEqual(await ended, [0, null]);
    t.log(`refused at ${refused} steps`);
    t.true(refused > 10);
    await expectBack(t, copy);
    t.is((await listSafeties(copy)).length, 1);
    // The one that was refused finds the agent where the other one has put it.
    await undoIt(context, 'copy');
    t.like((await listPods(context))[0], { state: 'running', healthy: true });
    t.is((await listSafeties(copy)).length, 2);
  });

test('one that opened the agent before another one moved it restores it where it is now', async (t) => {
  const copy = await makeCopy(t);
  await using early = await openAgent(copy.context, 'copy');
  await restoreIt(copy.context, 'copy', copy.wanted);
  t.like(await restoreAgent(copy.context, early, copy.wanted), { switch: 'beside', pod: { generation: 3 } });
  await expectBack(t, copy);
});
