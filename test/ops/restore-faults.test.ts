// A restore that fails or is interrupted while a pod changes its generation: what runs keeps its files, and the same again ends right.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import { Home } from '../../src/ops/home.ts';
import { endpointOf, getPod } from '../../src/ops/pod-look.ts';
import { removePod } from '../../src/ops/pod-removal.ts';
import { listPods, stopPod } from '../../src/ops/pods.ts';
import { askNotes, killPod, makePodded, readNotes, tellNote } from './podded.ts';
import { expectBack, makeCopy, restoreIt, WAYS, type PoddedCopy } from './podded-copy.ts';
import { firstStep, LONG_MS, stepping, STRIDE } from './steps.ts';

/** The same again, and what must be true then. */
async function again(t: ExecutionContext, copy: PoddedCopy, last?: string, step?: string): Promise<void> {
  await restoreIt(copy.context, 'copy', copy.wanted);
  await expectBack(t, copy, last, step);
}

test('a generation that took over keeps its files, though that could not be written down', async (t) => {
  const copy = await makeCopy(t);
  // The disk is full from the moment that the next generation is noted.
  let isFull = false;
  class FullHome extends Home {
    override async write(...args: Parameters<Home['write']>): Promise<void> {
      if (isFull) throw new MoltError('IO', 'the disk is full');
      await super.write(...args);
      if (args[0].endsWith('pods/copy/pod.json')) isFull = true;
    }
  }
  await t.throwsAsync(restoreIt({ ...copy.context, home: new FullHome(copy.home) }, 'copy', copy.wanted), {
    code: 'IO',
  });
  t.true(isFull);
  const [pod] = await listPods(copy.context);
  t.like(pod, { state: 'running', generation: 2 });
  t.true(existsSync(join(pod?.dir ?? '', 'notes.db')), 'the files of what runs');
  t.true(existsSync(join(copy.home, 'pods/copy/gen-1/state/notes.db')), 'what is not saved yet');
  await again(t, copy);
});

for (const [way, more] of WAYS)
  test(`a restore ${way} that is interrupted at any step loses nothing, says what there is, and the same again ends right`, async (t) => {
    t.timeout(LONG_MS);
    const copy = await makeCopy(t, more);
    const outcomes = new Map<string, number>();
    let isInterrupted = true;
    let last = 'three';
    for (let at = firstStep(t); isInterrupted; at += STRIDE) {
      const stop = new AbortController();
      const { context } = stepping({ ...copy.context, signal: stop.signal }, (step) => {
        if (step === at) stop.abort(new MoltError('INTERRUPTED', 'interrupted'));
      });
      const error = await restoreIt(context, 'copy', copy.wanted).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      isInterrupted = stop.signal.aborted;
      if (error !== undefined) {
        if (!isMoltError(error, 'INTERRUPTED')) throw new Error(`at step ${at}`, { cause: error });
        t.regex(error.message, OUTCOME, `at step ${at}`);
      }
      const [pod] = await listPods(copy.context);
      t.is(pod?.state, 'running', `at step ${at}`);
      t.true(existsSync(join(pod?.dir ?? '', 'notes.db')));
      const outcome = error instanceof Error ? error.message : 'it ended';
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      await again(t, copy, last, `at step ${at}`);
      last = `three, ${at}`;
      await tellNote(copy.endpoint, last);
    }
    for (const [outcome, count] of outcomes) t.log(`${count} times: ${outcome}`);
    t.true(outcomes.size >= (STRIDE === 1 ? 3 : 2));
  });

/** What an interrupted restore may say that it left. */
const OUTCOME =
  /^interrupted; (nothing was changed|no file was changed, and copy (was started again|runs)|the restored copy runs already, and what it had before is not saved yet|copy is restored and runs; it was not asked for all that the moment holds)$/;

test('a restore into a new pod that is interrupted at any step says what there is, and the same again ends right', async (t) => {
  t.timeout(LONG_MS);
  const machine = await makePodded(t);
  const outcomes = new Map<string, number>();
  let isInterrupted = true;
  for (let at = firstStep(t); isInterrupted; at += STRIDE) {
    const name = `copy-${at}`;
    killPod(t, machine.context, name);
    const stop = new AbortController();
    const { context } = stepping({ ...machine.context, signal: stop.signal }, (step) => {
      if (step === at) stop.abort(new MoltError('INTERRUPTED', 'interrupted'));
    });
    const error = await machine.target(name, undefined, {}, context).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    isInterrupted = stop.signal.aborted;
    const outcome = error instanceof Error ? error.message.replaceAll(name, 'copy') : 'it ended';
    if (error !== undefined && !isMoltError(error, 'INTERRUPTED')) throw new Error(`at step ${at}`, { cause: error });
    const dir = join(machine.home, 'pods', name);
    const isThere = existsSync(join(dir, 'gen-1/state/notes.db'));
    if (outcome === 'interrupted; nothing was changed') {
      t.false(existsSync(dir), `at step ${at}`);
      t.is(await machine.context.home.findAgent(name), undefined);
    } else {
      t.true(isThere, `at step ${at}: ${outcome}`);
      if (error !== undefined)
        t.regex(outcome, /^interrupted; (the restored state is whole in ".*"|copy is restored and runs; .*)$/);
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const done = await (error === undefined ? listPods(machine.context) : machine.target(name)).then(async () => {
      const pod = await getPod(machine.context, name);
      return { pod, endpoint: endpointOf(pod) };
    });
    t.deepEqual(await askNotes(done.endpoint), ['one']);
    t.deepEqual(readNotes(machine.stateDir), ['one']);
    await stopPod(machine.context, done.pod);
    await removePod(machine.context, done.pod);
  }
  for (const [outcome, count] of outcomes) t.log(`${count} times: ${outcome}`);
  t.true(outcomes.size >= (STRIDE === 1 ? 3 : 2));
});
