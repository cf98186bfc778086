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
import { getPod } from '../../src/ops/pod-look.ts';
import { checkPod } from '../../src/ops/pods.ts';
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
  within?: string,
): Promise<PoddedCopy> {
  const machine = await makePodded(t, more, within);
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

/** Lists the safety commits of the pod, the newest first. */
export async function listSafeties({ context }: Podded): Promise<CommitId[]> {
  await using open = await openAgent(context, 'copy');
  const safeties: CommitId[] = [];
  for await (const { commit, text } of walkHistory(open.repository, tipOf(open, 'copy') as CommitId))
    if (text.kind === 'safety') safeties.push(commit.id);
  return safeties;
}

/** Returns the notes of a commit of the pod. */
export async function notesOf({ context }: Podded, revision: CommitId): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'molt-safety-'));
  const dir = join(folder, 'files');
  await using open = await openAgent(context, 'copy');
  await applyRestore(context, open, await planRestore(context, open, { revision, timestamp: undefined, dir }));
  const notes = readNotes(join(dir, 'state'));
  rmSync(folder, { recursive: true });
  return notes;
}

/** Says whether some safety commit of the pod has a note. */
async function isSafe(copy: Podded, note: string): Promise<boolean> {
  for (const id of await listSafeties(copy)) if ((await notesOf(copy, id)).includes(note)) return true;
  return false;
}

/** Expects the pod to run with what was wanted, and what it was told last before to be saved. */
export async function expectBack(t: ExecutionContext, copy: PoddedCopy, last = 'three', step = ''): Promise<void> {
  const pod = await getPod(copy.context, 'copy');
  t.like(await checkPod(copy.context, pod), { state: 'running', healthy: true }, step);
  t.true(existsSync(join(pod.stateDir, 'notes.db')), step);
  t.deepEqual(await askNotes(copy.endpoint), ['one', 'two'], step);
  t.true(await isSafe(copy, last), `${step} ${last}`);
}
