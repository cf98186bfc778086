// A molt that is killed in the middle of a restore into or of a pod: whatever the step, the same again ends right, and nothing is lost.

import test from 'ava';
import { listPods } from '../../src/ops/pods.ts';
import { askNotes, killPod, makePodded, readNotes } from './podded.ts';
import { expectBack, killedAt, makeCopy, restoreIt } from './podded-copy.ts';

for (const at of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  test.serial(`a restore into a new pod that is killed at step ${at} is ended by the same again`, async (t) => {
    const machine = await makePodded(t);
    const { context, home } = machine;
    killPod(t, context, 'copy');
    const { id } = await machine.commit();
    const isKilled = killedAt(home, 'target', 'copy', id, at);
    if (isKilled) await machine.target('copy', id);
    const [pod, ...others] = await listPods(context);
    t.deepEqual(others, []);
    t.like(pod, { name: 'copy', state: 'running', healthy: true });
    t.deepEqual(await askNotes(pod?.endpoint), ['one']);
    t.is((await machine.agent('copy')).branch, 'copy');
    t.deepEqual(readNotes(machine.stateDir), ['one']);
    t.log(isKilled ? 'killed' : 'it had ended before');
  });

const ways = [
  ['beside', {}, [1, 3, 5, 7, 9, 11, 13, 15]],
  ['stopped first', { front: false }, [3, 6, 9, 10, 12, 14, 16, 18, 20, 22]],
] as const;

for (const [way, more, steps] of ways)
  for (const at of steps)
    test.serial(
      `a pod that goes back ${way} and is killed at step ${at} is brought back by the same again, and nothing is lost`,
      async (t) => {
        const copy = await makeCopy(t, more);
        const isKilled = killedAt(copy.home, 'in-place', 'copy', copy.wanted, at);
        if (isKilled) await restoreIt(copy.context, 'copy', copy.wanted);
        await expectBack(t, copy);
        t.log(isKilled ? 'killed' : 'it had ended before');
      },
    );
