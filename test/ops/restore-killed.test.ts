// A molt that is killed in the middle of a restore into or of a pod: whatever the step, the same again ends right, and nothing is lost.

import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { walkHistory } from '../../src/ops/ancestry.ts';
import { openAgent } from '../../src/ops/open.ts';
import { listPods } from '../../src/ops/pods.ts';
import { applyRestore, findMoment, planRestore } from '../../src/ops/restore.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { askNotes, commitOf, killPod, makePodded, readNotes, tellNote, tipOf } from './podded.ts';

const CHILD = join(import.meta.dirname, 'restore-pod-process.ts');

function killedAt(home: string, how: string, label: string, commit: string, at: number): boolean {
  const { signal, status, stderr } = spawnSync(process.execPath, [CHILD, home, how, label, commit, String(at)], {
    encoding: 'utf8',
  });
  if (signal !== 'SIGKILL' && status !== 0) throw new Error(stderr);
  return signal === 'SIGKILL';
}

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
        const machine = await makePodded(t, more);
        const { context, home } = machine;
        const { pod: begun } = await machine.target('copy');
        await tellNote(begun?.endpoint, 'two');
        const wanted = await commitOf(context, 'copy');
        await tellNote(begun?.endpoint, 'three');
        const isKilled = killedAt(home, 'in-place', 'copy', wanted, at);
        if (isKilled) {
          await using open = await openAgent(context, 'copy');
          await restoreAgent(context, open, wanted);
        }
        const [pod] = await listPods(context);
        t.like(pod, { name: 'copy', state: 'running', healthy: true });
        t.deepEqual(await askNotes(pod?.endpoint), ['one', 'two']);
        await using open = await openAgent(context, 'copy');
        const saved: string[][] = [];
        for await (const { commit, text } of walkHistory(open.repository, tipOf(open, 'copy') as CommitId)) {
          if (text.kind !== 'safety') continue;
          const dir = join(mkdtempSync(join(tmpdir(), 'molt-safety-')), 'files');
          const moment = await findMoment(context, open, { revision: commit.id, timestamp: undefined });
          await applyRestore(
            context,
            open,
            await planRestore(context, open, { revision: moment.commit, timestamp: undefined, dir }),
          );
          saved.push(readNotes(join(dir, 'state')));
        }
        t.true(
          saved.some((notes) => notes.includes('three')),
          JSON.stringify(saved),
        );
        t.log(isKilled ? 'killed' : 'it had ended before');
      },
    );
