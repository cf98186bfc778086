// The pod `copy` of the notes agent, which is to go back to its newest commit; and what must be true of it, whatever happened meanwhile.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { walkHistory } from '../../src/ops/ancestry.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { findUndo } from '../../src/ops/in-place.ts';
import type { InPlaceOptions, InPlaceResult } from '../../src/ops/in-place-result.ts';
import { openAgent } from '../../src/ops/open.ts';
import { listPods } from '../../src/ops/pods.ts';
import { applyRestore, findMoment, planRestore } from '../../src/ops/restore.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { askNotes, commitOf, makePodded, readNotes, tellNote, tipOf, type Podded } from './podded.ts';

/** A machine with the pod. */
export interface PoddedCopy extends Podded {
  readonly endpoint: string | undefined;
  /** Its newest commit, with the notes `one` and `two`; since then it was told a third. */
  readonly wanted: CommitId;
}

/** Both ways of going back in place, and what of a pod.json leads to each. */
export const WAYS = [
  ['beside', {}],
  ['stopped first', { front: false }],
] as const;

/** Makes the machine. */
export async function makeCopy(
  t: ExecutionContext,
  more: Readonly<Record<string, unknown>> = {},
  given: Partial<OpsContext> = {},
): Promise<PoddedCopy> {
  const machine = await makePodded(t, more, given);
  const { pod } = await machine.target('copy');
  await tellNote(pod?.endpoint, 'two');
  const wanted = await commitOf(machine.context, 'copy');
  await tellNote(pod?.endpoint, 'three');
  return { ...machine, endpoint: pod?.endpoint, wanted };
}

/** Restores an agent where it is. */
export async function restoreIt(
  context: OpsContext,
  label: string,
  revision: string | undefined,
  options: InPlaceOptions = {},
): Promise<InPlaceResult> {
  await using open = await openAgent(context, label);
  const { commit } = await findMoment(context, open, { revision, timestamp: undefined });
  return await restoreAgent(context, open, commit, options);
}

const CHILD = join(import.meta.dirname, 'restore-pod-process.ts');

/** Restores in a process that is killed at a step, or where a phase begins; returns false if it had ended before. */
export function killedAt(
  home: string,
  how: 'target' | 'in-place',
  label: string,
  commit: string,
  at: number | string,
): boolean {
  const { signal, status, stderr } = spawnSync(process.execPath, [CHILD, home, how, label, commit, String(at)], {
    encoding: 'utf8',
  });
  if (signal !== 'SIGKILL' && status !== 0) throw new Error(stderr);
  return signal === 'SIGKILL';
}

/** Takes the last restore back. */
export async function undoIt(context: OpsContext, label: string): Promise<InPlaceResult> {
  await using open = await openAgent(context, label);
  return await restoreAgent(context, open, await findUndo(context, open));
}

/** Lists the notes of all safety commits of the pod, the newest first. */
export async function savedNotes({ context }: Podded): Promise<string[][]> {
  await using open = await openAgent(context, 'copy');
  const saved: string[][] = [];
  for await (const { commit, text } of walkHistory(open.repository, tipOf(open, 'copy') as CommitId)) {
    if (text.kind !== 'safety') continue;
    const folder = mkdtempSync(join(tmpdir(), 'molt-safety-'));
    const dir = join(folder, 'files');
    await applyRestore(
      context,
      open,
      await planRestore(context, open, { revision: commit.id, timestamp: undefined, dir }),
    );
    saved.push(readNotes(join(dir, 'state')));
    rmSync(folder, { recursive: true });
  }
  return saved;
}

/** Expects the pod to run with what was wanted, and what it had before to be saved. */
export async function expectBack(t: ExecutionContext, copy: PoddedCopy): Promise<void> {
  const [pod] = await listPods(copy.context);
  t.like(pod, { name: 'copy', state: 'running', healthy: true });
  t.true(existsSync(join(pod?.dir ?? '', 'notes.db')));
  t.deepEqual(await askNotes(copy.endpoint), ['one', 'two']);
  const saved = await savedNotes(copy);
  t.true(
    saved.some((notes) => notes.includes('three')),
    JSON.stringify(saved),
  );
}
