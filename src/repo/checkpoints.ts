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
  compareCommits,
  indexName,
  RUN_MAX_ENTRIES,
  type CommitEntry,
  type IndexEntry,
} from '../format/index-run.ts';
import { BLOCK, BLOCK_MAX_BYTES, KIND } from '../format/layout.ts';
import { segmentName } from '../format/segment.ts';
import { MoltError } from '../model/error.ts';
import { createHash } from 'node:crypto';
import type { SegmentSeq } from '../model/ids.ts';
import type { Containers } from './containers.ts';
import { isBetter, type IndexRun } from './object-index.ts';
import type { Repository } from './repository.ts';
import { isDamage } from './storage-failure.ts';

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

/** Writes the log's tail as an index run, merged with older ones of its size, and a checkpoint that names all runs; returns their bytes. */
export async function writeCheckpoint(repository: Repository): Promise<number> {
  const { index, log, storage } = repository;
  const { seq, hash } = log.tip;
  const kept = [...index.runs];
  const merging: IndexRun[] = [];
  let objects = index.tailSize;
  for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
    if (last.note.objects > objects || last.note.objects + objects > RUN_MAX_ENTRIES) break;
    merging.unshift(last);
    kept.pop();
    objects += last.note.objects;
  }
  const run = await mergeRuns(repository, merging, (kept.at(-1)?.note.toSeq ?? 0) + 1, seq);
  await storage.createOnce(indexName(run.note.id), run.parts);
  const runs = [...kept.map(({ note }) => note), run.note];
  const checkpoint: Checkpoint = { seq, hash, refs: log.refs, runs, holes: log.holes };
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
  return run.sizeBytes + container.sizeBytes;
}

async function mergeRuns(repository: Repository, merging: readonly IndexRun[], fromSeq: number, toSeq: SegmentSeq) {
  const { index } = repository;
  let entries = index.tailEntries();
  const commits: CommitEntry[] = [...index.tailCommits];
  for (const run of merging) {
    // oxlint-disable-next-line no-await-in-loop -- one run in memory at a time
    entries = await mergeEntries(run.entries(), entries);
    // oxlint-disable-next-line no-await-in-loop -- the same
    commits.push(...(await run.readCommits()));
  }
  const spec = { ...repository.containerSpec(), kind: KIND.index, seq: toSeq, storageId: repository.storageId };
  const { sha256, parts, sizeBytes, objects } = buildIndexRun(
    spec,
    { fromSeq, toSeq },
    entries,
    commits.toSorted(compareCommits),
  );
  const note: RunNote = { id: sha256, fromSeq, toSeq, objects };
  return { note, parts, sizeBytes };
}

/** Merges two sorted lists; where both have a key, the better place stays. */
async function mergeEntries(older: AsyncIterable<IndexEntry>, newer: readonly IndexEntry[]): Promise<IndexEntry[]> {
  const merged: IndexEntry[] = [];
  let at = 0;
  for await (const entry of older) {
    for (let next = newer[at]; next !== undefined && next.key.compare(entry.key) < 0; next = newer[at]) {
      merged.push(next);
      at += 1;
    }
    const same = newer[at];
    if (same === undefined || !same.key.equals(entry.key)) {
      merged.push(entry);
    } else {
      merged.push(isBetter(entry.place, same.place) ? entry : same);
      at += 1;
    }
  }
  for (const entry of newer.slice(at)) merged.push(entry);
  return merged;
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
  for (const name of older.slice(0, -1)) {
    // oxlint-disable-next-line no-await-in-loop -- one at a time, mostly
    await storage.delete(name);
  }
  const runs = new Set(newest.runs.map(({ id }) => indexName(id)));
  for (const name of names.filter((kept) => kept !== own && !older.slice(0, -1).includes(kept))) {
    // oxlint-disable-next-line no-await-in-loop -- one or two
    for (const { id } of (await readCheckpoint(containers, name))?.runs ?? []) runs.add(indexName(id));
  }
  const hourAgo = repository.clock.now() - 3_600_000;
  for await (const { name, modifiedMs } of storage.list('index/')) {
    if (!runs.has(name) && modifiedMs < hourAgo) await storage.delete(name);
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
