// Checkpoints and index runs: caches over the log that keep opening and looking up fast. Deleting them costs time, never data.

import { decodeBlock } from '../chunk/compress.ts';
import {
  checkpointName,
  encodeCheckpoint,
  parseCheckpoint,
  parseCheckpointName,
  type Checkpoint,
  type RunNote,
} from '../format/checkpoint.ts';
import { ContainerWriter } from '../format/container.ts';
import {
  buildIndexRun,
  indexName,
  renumberPacks,
  RUN_TABLES,
  type RunContent,
  type RunTableName,
} from '../format/index-run.ts';
import { mergeRows } from '../format/rows.ts';
import { BLOCK, BLOCK_MAX_BYTES, KIND } from '../format/layout.ts';
import { segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { createHash } from 'node:crypto';
import type { PackId, SegmentSeq } from '../model/ids.ts';
import type { ObjectStat, Storage } from '../storage/storage.ts';
import type { Containers } from './containers.ts';
import type { IndexRun } from './index-run.ts';
import type { Repository } from './repository.ts';
import { isDamage } from './storage-failure.ts';
import { leaveOut } from './swept-rows.ts';

/** Entries of one run at most, so that merging it stays quick and takes little memory. */
const RUN_MAX_ENTRIES = 1 << 20;
/** Entries of the largest run that a tick makes: some 70 kB. */
const TICK_MAX_ENTRIES = 8000;
/** Runs from which on a tick merges larger ones too, since each look-up asks them all. */
const MOST_RUNS = 24;

/** Returns the newest checkpoint that can be believed, or undefined: then the log is replayed from its beginning. */
export async function findCheckpoint(containers: Containers): Promise<Checkpoint | undefined> {
  const names: string[] = [];
  for await (const { name } of containers.storage.list('checkpoint/')) names.push(name);
  for (const name of names.toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- the newest is nearly always good
    const checkpoint = await readCheckpoint(containers, name);
    if (checkpoint !== undefined) return checkpoint;
  }
  return undefined;
}

/**
 * Writes the log's tail as an index run, merged with newer ones of older segments, and a checkpoint that names all runs; returns
 * their bytes.
 * @param options.atLeisure larger runs are merged too: while a full backup is made, not while a tick is
 */
export async function writeCheckpoint(
  repository: Repository,
  options: { readonly atLeisure: boolean },
): Promise<number> {
  const { index, log, storage } = repository;
  const { seq, hash } = log.tip;
  const kept = [...index.runs];
  const isSwept = index.swept !== undefined;
  const merging = kept.splice(findMergeStart(kept, index.tailSize, { ...options, isSwept }));
  // After a sweep no run stays as it is.
  const older = index.swept === undefined ? kept.map(({ note }) => ({ note, sizeBytes: 0 })) : [];
  // oxlint-disable-next-line no-await-in-loop -- one run in memory at a time
  if (index.swept !== undefined) for (const run of kept) await rewriteRun(repository, run, older);
  const run = await mergeRuns(repository, merging, (older.at(-1)?.note.toSeq ?? 0) + 1, seq);
  await storage.createOnce(indexName(run.note.id), run.parts);
  const runs = [...older.map(({ note }) => note), run.note];
  // Bad objects behind the tip are no holes yet: the next segment says what they are.
  const holes = log.holes.filter((hole) => hole < seq);
  const { refs, tagged, begin } = log;
  const checkpoint: Checkpoint = { seq, hash, refs, tagged, runs, holes, begin };
  const writer = new ContainerWriter({
    ...repository.containerSpec(),
    kind: KIND.checkpoint,
    seq,
    storageId: repository.storageId,
  });
  writer.add(encodeCheckpoint(checkpoint));
  const container = writer.finish({}, [], 'padme');
  await storage.createOnce(checkpointName(seq, hash), container.parts);
  index.reset(runs);
  await tidyCaches(repository, checkpoint);
  return run.sizeBytes + container.sizeBytes + older.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Writes a run anew without what a sweep took away; the next one covers the segments of one that has nothing left. */
async function rewriteRun(repository: Repository, run: IndexRun, done: WrittenRun[]): Promise<void> {
  const content = leaveOut(await run.readContent(), repository.index.swept, run.name);
  if (content.entries.length + content.commits.length + content.paths.length === 0) return;
  const fromSeq = (done.at(-1)?.note.toSeq ?? 0) + 1;
  const packs = new Map<PackId, number>();
  const entries = renumberPacks(content.entries, content.packs, packs, run.name);
  const written = build(
    repository,
    { fromSeq, toSeq: run.note.toSeq as SegmentSeq },
    { ...content, entries, packs: [...packs.keys()] },
  );
  await repository.storage.createOnce(indexName(written.note.id), written.parts);
  done.push(written);
}

/**
 * Returns where the runs begin that are merged with the tail: those that are no larger than what is merged already, so that sizes
 * double from run to run. A tick merges small ones only, as long as there are not too many runs. After a sweep all are written anyway,
 * and merged: the old ones have little left but lines of what expired.
 */
function findMergeStart(
  runs: readonly IndexRun[],
  tailSize: number,
  { atLeisure, isSwept }: { readonly atLeisure: boolean; readonly isSwept: boolean },
): number {
  const isCrowded = runs.length >= MOST_RUNS;
  const most = atLeisure || isCrowded || isSwept ? RUN_MAX_ENTRIES : TICK_MAX_ENTRIES;
  // What ticks left side by side counts as one size.
  const least = isSwept ? RUN_MAX_ENTRIES : isCrowded ? TICK_MAX_ENTRIES : 0;
  let objects = tailSize;
  let start = runs.length;
  for (let last = runs[start - 1]; last !== undefined; last = runs[start - 1]) {
    const size = last.note.objects;
    if (size > Math.max(objects, least) || size + objects > most) break;
    objects += size;
    start -= 1;
  }
  return start;
}

async function mergeRuns(repository: Repository, merging: readonly IndexRun[], fromSeq: number, toSeq: SegmentSeq) {
  const { index } = repository;
  const packs = new Map<PackId, number>();
  let entries = index.tailEntries(packs);
  let commits = await index.tailCommitRows();
  let paths = index.tailPathRows();
  for (const run of merging.toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- one run in memory at a time, the smaller into the larger
    const content = leaveOut(await run.readContent(), index.swept, run.name);
    const older = renumberPacks(content.entries, content.packs, packs, run.name);
    entries = mergeTable('entries', older, entries);
    commits = mergeTable('commits', content.commits, commits);
    paths = mergeTable('paths', content.paths, paths);
  }
  return build(repository, { fromSeq, toSeq }, { entries, commits, paths, packs: [...packs.keys()] });
}

/** A run, and how large it is. */
interface WrittenRun {
  readonly note: RunNote;
  readonly sizeBytes: number;
}

function build(
  repository: Repository,
  range: { readonly fromSeq: number; readonly toSeq: SegmentSeq },
  content: RunContent,
): WrittenRun & { readonly parts: readonly Buffer[] } {
  const spec = { ...repository.containerSpec(), kind: KIND.index, seq: range.toSeq, storageId: repository.storageId };
  const { sha256, parts, sizeBytes, objects } = buildIndexRun(spec, range, content);
  return { note: { id: sha256, ...range, objects }, parts, sizeBytes };
}

function mergeTable(table: RunTableName, older: Buffer, newer: Buffer): Buffer {
  const { rowBytes, keyBytes } = RUN_TABLES[table];
  return mergeRows(older, newer, rowBytes, keyBytes);
}

/**
 * Drops checkpoints older than the one before the newest, and the runs that no checkpoint left names. Later ones may be another
 * process's. A reader that loses a run opens anew.
 */
async function tidyCaches(repository: Repository, newest: Checkpoint): Promise<void> {
  const { storage, containers } = repository;
  const names: string[] = [];
  for await (const { name } of storage.list('checkpoint/')) names.push(name);
  const own = checkpointName(newest.seq, newest.hash);
  const older = names.filter((name) => (parseCheckpointName(name)?.seq ?? 0) <= newest.seq && name !== own);
  await deleteOldest(storage, older.slice(0, -1));
  const runs = new Set(newest.runs.map(({ id }) => indexName(id)));
  for (const name of names.filter((kept) => kept !== own && !older.slice(0, -1).includes(kept))) {
    // oxlint-disable-next-line no-await-in-loop -- one or two
    for (const { id } of (await readCheckpoint(containers, name))?.runs ?? []) runs.add(indexName(id));
  }
  const hourAgo = repository.clock.now() - 3_600_000;
  const unused: ObjectStat[] = [];
  for await (const stat of storage.list('index/')) {
    if (!runs.has(stat.name) && stat.modifiedMs < hourAgo) unused.push(stat);
  }
  const oldestFirst = unused.toSorted((a, b) => a.modifiedMs - b.modifiedMs);
  await deleteOldest(
    storage,
    oldestFirst.map(({ name }) => name),
  );
}

/** Deletes names, oldest first, up to one that the storage does not let go: where it is locked, so are those behind it. */
async function deleteOldest(storage: Storage, names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- one at a time, mostly
      await storage.delete(name);
    } catch (error) {
      if (!isMoltError(error, 'REMOTE_REFUSED')) throw error;
      return;
    }
  }
}

/** Reads one checkpoint; undefined when it is damaged, or the log has another segment at its number. */
async function readCheckpoint(containers: Containers, name: string): Promise<Checkpoint | undefined> {
  const named = parseCheckpointName(name);
  if (named === undefined) return undefined;
  try {
    const bytes = await containers.storage.read(name);
    const segment = await containers.storage.read(segmentName(named.seq));
    if (bytes === undefined || segment === undefined) return undefined;
    const checkpoint = await openCheckpoint(containers, name, named.seq, bytes);
    const hash = createHash('sha256').update(segment).digest('hex');
    const isOfThisLog = hash === named.hash && checkpoint.hash === hash && checkpoint.seq === named.seq;
    return isOfThisLog && (await hasRuns(containers, checkpoint)) ? checkpoint : undefined;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Says whether a checkpoint's runs are there. */
async function hasRuns({ storage }: Containers, { runs }: Checkpoint): Promise<boolean> {
  const stats = await Promise.all(runs.map(({ id }) => storage.stat(indexName(id))));
  return !stats.includes(undefined);
}

/**
 * Reads a checkpoint from its bytes. Whether the log agrees with it is the caller's question.
 * @throws {MoltError} DAMAGED and its kin
 */
export async function openCheckpoint(
  containers: Containers,
  name: string,
  seq: SegmentSeq,
  bytes: Buffer,
): Promise<Checkpoint> {
  const reader = containers.openWhole(bytes, { name, kind: KIND.checkpoint, seq });
  const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
  const block = footer.blocks[0];
  if (block === undefined || block.plainBytes > BLOCK_MAX_BYTES)
    throw new MoltError('DAMAGED', `${name} holds nothing`);
  const plain = reader.openBlock(
    0,
    BLOCK.data,
    bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes),
  );
  return parseCheckpoint(decodeBlock('zstd', plain, block.plainBytes), name);
}
