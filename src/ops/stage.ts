// Stages what a restore in place will put: written, checked and made durable in a folder inside each root, before any file of the agent
// is touched. Most of it while the agent still runs, so that it need not be down for it.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { flushTree, writeEntries } from '../agent/rehydrate.ts';
import { nativeOf, STAGING_FOLDER, type Stage } from '../agent/switch.ts';
import type { RestoreEntry } from '../model/entry.ts';
import type { BlobId } from '../model/ids.ts';
import { FileFiller } from '../repo/file-filler.ts';
import type { OpsContext } from './context.ts';
import { ALIKE_BYTES, type KeptCopies } from './kept-copies.ts';
import type { ComparedPlan } from './in-place-plan.ts';
import type { OpenAgent } from './open.ts';

/** What is staged: where, and with which content. */
export type Staged = ReadonlyMap<string, { readonly stage: Stage; readonly blob: BlobId | undefined }>;

/**
 * Stages what a plan puts, but for what is staged already, and returns all that is staged then.
 * @param early what was staged before, with its stage
 * @param copies of what is there now
 */
export async function stageFiles(
  context: OpsContext,
  { repository }: OpenAgent,
  plan: ComparedPlan,
  stage: Stage,
  { early = new Map(), copies }: { readonly early?: Staged | undefined; readonly copies?: KeptCopies | undefined } = {},
): Promise<Staged> {
  const { dirs } = plan;
  // Names of one file are staged together.
  const isStaged = ({ path, blob, linkGroup }: RestoreEntry): boolean =>
    linkGroup === 0 && early.get(path)?.blob === blob && early.has(path);
  const entries = plan.put.filter((entry) => !isStaged(entry));
  const roots = [...dirs].filter(([key]) => entries.some(({ path }) => path.startsWith(`${key}/`)));
  const targets = new Map(roots.map(([key, dir]) => [key, join(dir, STAGING_FOLDER, stage)]));
  const totalBytes = bytesOf(entries);
  const filledBytes = bytesOf(entries.filter(({ path }) => copies?.find(path) === undefined));
  await writeEntries({
    targets,
    entries,
    findLikeness: ({ path, sizeBytes }) =>
      sizeBytes >= ALIKE_BYTES && plan.saved.has(path) ? nativeOf(dirs, path) : undefined,
    findCopy: ({ path }) => copies?.find(path),
    content: new FileFiller(repository, { totalBytes: filledBytes, signal: context.signal }),
    onProgress: ({ bytes }) => context.reporter.progress({ phase: 'stage', doneBytes: bytes, totalBytes }),
  });
  await Promise.all([...targets.values()].map((dir) => flushTree(dir)));
  return new Map([...early, ...entries.map(({ path, blob }) => [path, { stage, blob }] as const)]);
}

/** Removes what is staged. */
export async function dropStaged(dirs: ReadonlyMap<string, string>): Promise<void> {
  const stagings = [...dirs.values()].map((dir) => join(dir, STAGING_FOLDER));
  await Promise.all(stagings.map((dir) => rm(dir, { recursive: true, force: true })));
}

/** Returns how much entries hold. */
export function bytesOf(entries: readonly RestoreEntry[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
