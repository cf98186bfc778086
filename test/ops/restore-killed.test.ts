// A molt that is killed in the middle of a restore into or of a pod: whatever the step, the same again ends right, and nothing is lost.

import test from 'ava';
import { endpointOf, getPod } from '../../src/ops/pod-look.ts';
import { removePod } from '../../src/ops/pod-removal.ts';
import { checkPod, stopPod } from '../../src/ops/pods.ts';
import { askNotes, killPod, makePodded, readNotes, tellNote } from './podded.ts';
import { expectBack, killedAt, makeCopy, restoreIt, WAYS } from './podded-copy.ts';
import { firstStep, LONG_MS, STRIDE } from './steps.ts';

test('a restore into a new pod that is killed at any step is ended by the same again', async (t) => {
  t.timeout(LONG_MS);
  const machine = await makePodded(t);
  const { context, home } = machine;
  const { id } = await machine.commit();
  let killed = 0;
  let isKilled = true;
  for (let at = firstStep(t); isKilled; at += STRIDE) {
    const name = `copy-${at}`;
    killPod(t, context, name);
    isKilled = killedAt(home, 'target', name, id, at);
    if (isKilled) {
      killed += 1;
      await machine.target(name, id);
    }
    const record = await getPod(context, name);
    t.like(await checkPod(context, record), { state: 'running', healthy: true }, name);
    t.deepEqual(await askNotes(endpointOf(record)), ['one']);
    t.is((await machine.agent(name)).branch, name);
    t.deepEqual(readNotes(machine.stateDir), ['one']);
    await stopPod(context, record);
    await removePod(context, record);
  }
  t.log(`killed at ${killed} steps`);
  t.true(killed >= Math.floor(11 / STRIDE));
});

for (const [way, more] of WAYS)
  test(`a pod that goes back ${way} and is killed at any step is brought back by the same again, and nothing is lost`, async (t) => {
    t.timeout(LONG_MS);
    const copy = await makeCopy(t, more);
    let killed = 0;
    let last = 'three';
    for (let at = firstStep(t); killedAt(copy.home, 'in-place', 'copy', copy.wanted, at); at += STRIDE) {
      killed += 1;
      await restoreIt(copy.context, 'copy', copy.wanted);
      await expectBack(t, copy, last, `killed at step ${at}`);
      last = `three, ${at}`;
      await tellNote(copy.endpoint, last);
    }
    await expectBack(t, copy, last, 'it had ended');
    t.log(`killed at ${killed} steps`);
    t.true(killed >= Math.floor(11 / STRIDE));
  });
