// Checks a whole storage: every object of it, the graph that they form, and what damage means for the commits. Reads only.

import { encodeFormatFile, FORMAT_FILE } from '../format/format-file.ts';
import { HEADER_BYTES, MAGIC, OBJECT, type ObjectType } from '../format/layout.ts';
import { parseCheckpointName } from '../format/checkpoint.ts';
import { checkKeyringMac, parseKeyring } from '../format/keyring.ts';
import { parseSegmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId, RepositoryId, StorageId } from '../model/ids.ts';
import type { Progress } from '../model/ports.ts';
import type { Storage } from '../storage/storage.ts';
import { Containers } from './containers.ts';
import { gitKey } from './keys.ts';
import { keyringName } from './keyrings.ts';
import type { LostObjects } from './lost-objects.ts';
import { heldMark, MARK, wantMark } from './object-table.ts';
import type { RepositoryKeys } from './secrets.ts';
import { BlobCheck } from './verify-blobs.ts';
import { CacheCheck } from './verify-caches.ts';
import { LogCheck } from './verify-log.ts';
import { ObjectGraph } from './verify-objects.ts';
import { VerifyReport } from './verify-report.ts';

/** What a check needs. */
export interface VerifyTarget {
  readonly storage: Storage;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
  readonly keys: RepositoryKeys;
}

/** How thorough it is. */
export interface VerifyOptions {
  /** The share of packs whose file content is read, from 0 to 1. */
  readonly readShare: number;
  /** Returns a number from 0 to below 1: picks the packs. */
  readonly random: () => number;
  readonly onProgress?: (progress: Progress) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A commit that can't be brought back whole. */
export interface HurtCommit {
  readonly id: CommitId;
  /** When it was captured, if the log still tells. */
  readonly timeMs: number | undefined;
  readonly tags: readonly string[];
}

/** What was found. */
export interface StorageCheck {
  readonly report: VerifyReport;
  /** All commits of the log. */
  readonly commitCount: number;
  /** In order of time. */
  readonly hurt: readonly HurtCommit[];
  /** Checkpoints and index runs serve as they are. */
  readonly cachesAreSound: boolean;
  /** What can't be read. */
  readonly lost: LostObjects;
  /** Says of a segment or pack whether it is part of the repository: neither swept away nor somebody else's. */
  readonly counts: (name: string) => boolean;
  /** The last segment that is gone by a sweep, 0 if none is. */
  readonly beginSeq: number;
}

/** Checks a storage. Problems are data; what is thrown is what kept it from being checked at all. */
export async function checkStorage(target: VerifyTarget, options: VerifyOptions): Promise<StorageCheck> {
  const { storage, keys } = target;
  const report = new VerifyReport();
  const containers = new Containers(storage, target, keys.epochKeys);
  const graph = new ObjectGraph(containers, keys.idKey);
  const objects = new Map<string, number>();
  // One listing in order of names sees checkpoints before the log and the log before packs: what is written meanwhile is never missed.
  for await (const { name, sizeBytes } of storage.list('')) objects.set(name, sizeBytes);
  const onRead = progressOf(report, objects, options);
  await checkNames(target, report, objects, onRead);
  const caches = new CacheCheck({ containers, graph, report, objects, onRead });
  await caches.readCheckpoints();
  const log: LogCheck = new LogCheck({
    containers,
    graph,
    report,
    objects,
    readsPack: pickPacks(objects, options),
    readsDeltas: options.readShare > 0,
    known: caches.newestBegin,
    onSegment: (segment) => caches.compare(log, segment),
    onRead,
  });
  await log.run();
  checkKeyGenerations(log, report, objects);
  noteOrphans(log, report, objects);
  for (const id of log.refs.values())
    wantObject(graph, id, log.tagTargets.has(id) && !log.commits.has(id) ? OBJECT.tag : OBJECT.commit);
  for (const id of [...log.commits.keys(), ...log.expired.keys()]) wantObject(graph, id, OBJECT.commit);
  // What a sweep left over refers to things that are gone, here or where this was cloned from.
  if (hasMissing(graph)) await graph.markLive(listKept(log), [...log.expired.keys()].map(gitKey));
  if (hasMissing(graph)) {
    reportMissing(graph, report);
    await graph.markHurt();
  }
  await caches.finish(log);
  if (options.readShare > 0) await new BlobCheck(graph, log, report, options).run();
  const hurt = listHurt(graph, log);
  const commits = new Set([...log.commits.keys(), ...log.expired.keys(), ...hurt.map(({ id }) => id)]);
  return {
    report,
    commitCount: commits.size,
    hurt,
    cachesAreSound: caches.isSound,
    lost: log.lost,
    beginSeq: log.base?.base.seq ?? 0,
    counts: (name) => log.counts(name),
  };
}

function progressOf(
  report: VerifyReport,
  objects: ReadonlyMap<string, number>,
  options: VerifyOptions,
): (bytes: number) => void {
  let totalBytes = 0;
  for (const sizeBytes of objects.values()) totalBytes += sizeBytes;
  return (bytes) => {
    options.signal?.throwIfAborted();
    report.checked.bytes += bytes;
    const known = options.readShare === 1 ? { totalBytes } : {};
    options.onProgress?.({ phase: 'verify', doneBytes: report.checked.bytes, ...known });
  };
}

/** Returns which packs are read whole: a random subset of the share that was asked for, rounded up. */
function pickPacks(objects: ReadonlyMap<string, number>, options: VerifyOptions): (name: string) => boolean {
  if (options.readShare >= 1) return () => true;
  const packs = [...objects.keys()].filter((name) => name.startsWith('packs/'));
  const picked = new Set<string>();
  for (let left = Math.ceil(packs.length * options.readShare); left > 0 && packs.length > 0; left -= 1) {
    const [name] = packs.splice(Math.floor(options.random() * packs.length), 1);
    if (name !== undefined) picked.add(name);
  }
  return (name) => picked.has(name);
}

/** Checks format.json, the keyrings, and that every other object has a name of molt's. */
async function checkNames(
  target: VerifyTarget,
  report: VerifyReport,
  objects: ReadonlyMap<string, number>,
  onRead: (bytes: number) => void,
): Promise<void> {
  if (!objects.has(FORMAT_FILE)) report.add(FORMAT_FILE, new MoltError('DAMAGED', `${FORMAT_FILE} is missing`));
  for (const name of objects.keys()) {
    if (isContainerName(name)) continue;
    const isWhole = name === FORMAT_FILE || name.startsWith('keys/');
    // oxlint-disable-next-line no-await-in-loop -- few, one after the other
    const bytes = await target.storage.read(name, isWhole ? undefined : { start: 0, end: HEADER_BYTES });
    if (bytes === undefined) continue;
    onRead(bytes.length);
    try {
      checkOther(target, name, bytes, report);
    } catch (error) {
      if (!isMoltError(error)) throw error;
      report.add(name, error);
    }
  }
}

function checkOther(target: VerifyTarget, name: string, bytes: Buffer, report: VerifyReport): void {
  if (name === FORMAT_FILE) {
    if (!encodeFormatFile(target).equals(bytes)) throw new MoltError('DAMAGED', `${name} is not as molt writes it`);
  } else if (/^keys\/\d{6}$/.test(name)) {
    const keyring = parseKeyring(bytes, target.repositoryId);
    if (keyringName(keyring.generation) !== name) {
      throw new MoltError('RENAMED', `${name} is keyring ${keyring.generation} under another name`);
    }
    checkKeyringMac(keyring, target.keys.roots);
  } else if (bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new MoltError('RENAMED', `${name} is a container of molt's under a name that no container has`);
  } else if (name.startsWith('probe/')) {
    report.note(name, 'is left from trying out the place, and may be deleted');
  } else {
    report.note(name, 'is no object of molt');
  }
}

function isContainerName(name: string): boolean {
  if (parseSegmentName(name) !== undefined || parseCheckpointName(name) !== undefined) return true;
  return /^index\/[0-9a-f]{64}$/.test(name) || /^packs\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/.test(name);
}

/** The log says which keyrings there were: without the newest, keys that were removed since would be taken for good. */
function checkKeyGenerations(log: LogCheck, report: VerifyReport, objects: ReadonlyMap<string, number>): void {
  const newest = [...objects.keys()].findLast((name) => /^keys\/\d{6}$/.test(name)) ?? keyringName(0);
  const known = keyringName(Math.max(log.keyGeneration, 1));
  if (newest < known)
    report.add(known, new MoltError('DAMAGED', `${known} is missing, but the log was written with it`));
}

function noteOrphans(log: LogCheck, report: VerifyReport, objects: ReadonlyMap<string, number>): void {
  for (const name of objects.keys()) {
    if (!name.startsWith('packs/') || !isContainerName(name) || log.usedPacks.has(name)) continue;
    report.note(
      name,
      'is named by no segment: what an interrupted backup left behind, or a pack whose segment is lost',
    );
  }
}

/** Lists what must be whole: commits that have their content, and what refs name. */
function* listKept(log: LogCheck): Iterable<Buffer> {
  for (const id of log.commits.keys()) if (!log.expired.has(id)) yield gitKey(id);
  for (const id of log.refs.values()) if (!log.expired.has(log.tagTargets.get(id) ?? id)) yield gitKey(id);
}

function wantObject(graph: ObjectGraph, id: GitId, type: ObjectType): void {
  graph.table.mark(graph.table.add(gitKey(id)), wantMark(type));
}

function hasMissing(graph: ObjectGraph): boolean {
  const [first] = graph.missing();
  return first !== undefined;
}

function reportMissing(graph: ObjectGraph, report: VerifyReport): void {
  const missing = [...graph.missing()];
  const some = missing.slice(0, 3).map((number) => graph.table.keyText(number));
  const rest = missing.length > some.length ? ` and ${missing.length - some.length} more` : '';
  const noun =
    missing.length === 1 ? 'an object that others need is' : `${missing.length} objects that others need are`;
  report.add('objects', new MoltError('DAMAGED', `${noun} missing or can't be read: ${some.join(', ')}${rest}`));
}

function listHurt(graph: ObjectGraph, log: LogCheck): HurtCommit[] {
  const tags = tagNames(log);
  const hurt: HurtCommit[] = [];
  for (let number = 0; number < graph.table.count; number += 1) {
    const marks = graph.table.marks(number);
    const isCommit = (marks & (heldMark(OBJECT.commit) | wantMark(OBJECT.commit))) !== 0;
    if (!isCommit || (marks & MARK.hurt) === 0) continue;
    const id = graph.table.keyText(number) as CommitId;
    // It has no content that could be hurt.
    if (log.expired.has(id) && graph.table.isHeld(number)) continue;
    hurt.push({ id, timeMs: log.commits.get(id)?.timeMs, tags: tags.get(id) ?? [] });
  }
  return hurt.toSorted((a, b) => (a.timeMs ?? 0) - (b.timeMs ?? 0));
}

function tagNames(log: LogCheck): Map<GitId, string[]> {
  const names = new Map<GitId, string[]>();
  for (const [ref, id] of log.refs) {
    if (!ref.startsWith('refs/tags/')) continue;
    const commit = log.tagTargets.get(id) ?? id;
    names.set(commit, [...(names.get(commit) ?? []), ref.slice('refs/tags/'.length)]);
  }
  return names;
}
