// A restore that fails or is interrupted while a pod changes its generation: what runs keeps its files, and the same again ends right.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { MoltError } from '../../src/model/error.ts';
import { Home } from '../../src/ops/home.ts';
import { listPods } from '../../src/ops/pods.ts';
import { expectBack, makeCopy, restoreIt, WAYS, type PoddedCopy } from './podded-copy.ts';

/** The same again, and what must be true then. */
async function again(t: ExecutionContext, copy: PoddedCopy): Promise<void> {
  await restoreIt(copy.context, 'copy', copy.wanted);
  await expectBack(t, copy);
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
  for (const at of [2, 5, 8, 11, 12, 13, 14])
    test.serial(
      `an interrupt at step ${at} of a restore ${way} loses nothing, and the same again ends right`,
      async (t) => {
        const copy = await makeCopy(t, more);
        const stop = new AbortController();
        let steps = 0;
        const progress = (): void => {
          if ((steps += 1) === at) stop.abort(new MoltError('INTERRUPTED', 'interrupted'));
        };
        const context = { ...copy.context, signal: stop.signal, reporter: { progress, warn() {} } };
        const error = await restoreIt(context, 'copy', copy.wanted).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined)
          t.true(
            error instanceof MoltError && error.code === 'INTERRUPTED',
            error instanceof Error ? error.stack : 'no error',
          );
        const [pod] = await listPods(copy.context);
        t.true(existsSync(join(pod?.dir ?? '', 'notes.db')));
        t.is(pod?.state, 'running', error instanceof MoltError ? error.message : 'it ended');
        t.log(error instanceof MoltError ? error.message : 'it ended');
        await again(t, copy);
      },
    );
