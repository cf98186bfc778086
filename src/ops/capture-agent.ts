// Captures a live agent into a transaction: scans its roots, reads what changed since the stat cache, and keeps the last good version
// of what can't be read now.

import { join } from 'node:path';
import {
  captureFile,
  type CaptureContext,
  type CapturedEntry,
  type CaptureOutcome,
  type OpenBlob,
} from '../agent/capture.ts';
import { findChangedLarge } from '../agent/foresee.ts';
import { getProfile, type ProfileDescription, type Root } from '../agent/profile.ts';
import { loadRules } from '../agent/rules.ts';
import { isLoss, scan, type ScannedEntry } from '../agent/scan.ts';
import { isUnchanged, type CachedFile } from '../agent/stat-cache.ts';
import { STAGING_FOLDER } from '../agent/switch.ts';
import { sweepTemp } from '../agent/temp.ts';
import type { BlobRecord } from '../format/blob.ts';
import { type ComponentSize } from '../model/component.ts';
import type { BlobWriter, EntryAttributes, SkippedPath } from '../model/entry.ts';
import { isMoltError } from '../model/error.ts';
import type { BlobId, GitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { LARGE_BLOB_BYTES, type Transaction } from '../repo/transaction.ts';
import { type TreeFile } from '../repo/trees.ts';
import type { OpsContext } from './context.ts';
import { listAgentFiles, readAttributes, readRoots, type HeadCommit } from './commit-files.ts';
import type { Agent } from './home.ts';
import { rootDir } from './pod-folders.ts';
import { componentSizes, inTreeOrder, treeMode } from './captured-entries.ts';
import { loadCommitCache, type CommitCache } from './stat-cache-file.ts';

/** A database that takes longer than this to copy keeps its last good version. */
const DATABASE_DEADLINE_MS = 120_000;

/** What was captured. */
export interface CapturedAgent {
  readonly roots: readonly Root[];
  readonly description: ProfileDescription;
  /** In tree order, a folder before what is in it. */
  readonly attributes: readonly EntryAttributes[];
  /** Files and symlinks by path. */
  readonly files: ReadonlyMap<string, TreeFile & { readonly sizeBytes: number }>;
  readonly components: readonly ComponentSize[];
  readonly skipped: readonly SkippedPath[];
  /** How the files differ from the previous commit's. */
  readonly counts: {
    readonly added: number;
    readonly modified: number;
    readonly removed: number;
    readonly kept: number;
  };
  readonly readBytes: number;
  /** When reading began, and when each database was copied, in milliseconds since the Unix epoch. */
  readonly capturedMs: number;
  readonly databases: Readonly<Record<string, number>>;
  /** When the state was last seen to be what the previous commit holds, in milliseconds, if the stat cache knows it. */
  readonly checkedMs: number | undefined;
  /** The top of the previous commit's tree but agent.json, if the stat cache knows it. */
  readonly previousTop: ReadonlyMap<string, GitId> | undefined;
  /** For the next commit's stat cache. */
  readonly cache: { readonly scanStartNs: bigint; readonly files: ReadonlyMap<string, CachedFile> };
}

/** Where captured content goes: into a transaction, or nowhere when only ids are wanted. */
export type BlobStore = Pick<Transaction, 'openBlob' | 'expectBytes' | 'expectBlob'>;

/** Is given the content of files while it is captured. */
export interface CaptureWitness {
  /** Returns a writer that passes on to another what is captured of an entry, and is as large as said or smaller. */
  watch(entry: EntryAttributes, sizeBytes: number, writer: BlobWriter): BlobWriter;
}

/** How an agent is captured. */
export interface CaptureOptions {
  /** The commit that the next one follows, if there is one. */
  readonly head: HeadCommit;
  readonly full: boolean;
  readonly witness?: CaptureWitness | undefined;
}

/** What the previous commit has of a path. */
interface Previous {
  readonly blob: BlobId;
  readonly cached: CachedFile | undefined;
}

/**
 * Captures an agent.
 * @param store where content goes that the stat cache does not vouch for
 */
export async function captureAgent(
  context: OpsContext,
  agent: Agent,
  repository: Repository,
  store: BlobStore,
  options: CaptureOptions,
): Promise<CapturedAgent> {
  sweepTemp(context.home.tempDir);
  await context.home.sweep(Date.now());
  const capturedMs = context.clock.now();
  const profile = getProfile(agent.profile);
  const cache = await usableCache(context, agent, repository, options.head);
  const recorded = cache?.roots ?? (await unlessDamaged(readEarlierRoots(repository, options.head))) ?? [];
  const earlier = recorded.map((root) => ({ ...root, dir: rootDir(context.home, agent, root.key, root.dir) }));
  const roots = await profile.findRoots(agent.stateDir, { earlier, home: context.userHome });
  const rules = loadRules(roots, agent);
  const scanStartNs = BigInt(capturedMs) * 1_000_000n;
  const large = cache && findChangedLarge(roots, cache.stat, LARGE_BLOB_BYTES);
  if (large !== undefined) store.expectBlob(large);
  context.reporter.progress({ phase: 'scan' });
  const scanned = scan({
    roots,
    profile,
    rules,
    forbidden: [context.home.dir, ...roots.map(({ dir }) => join(dir, STAGING_FOLDER))],
    isKnownSqlite: (path, stamp) => {
      const cached = cache?.stat.files.get(path);
      return cached !== undefined && cached.inode === stamp.inode ? cached.kind === 'sqlite' : undefined;
    },
  });
  const capture = new Capture(context, repository, store, options, cache, { capturedMs, scanStartNs });
  await capture.loadPrevious();
  await capture.readAll(scanned.entries);
  await capture.skipAll(scanned.skipped);
  const description = await profile.describe(agent.stateDir);
  const checkedMs = cache === undefined ? undefined : Number(cache.stat.scanStartNs / 1_000_000n);
  return { roots, description, ...capture.result(), capturedMs, checkedMs, previousTop: cache?.top };
}

/** The cache is only used for the commit that it describes, so that every blob it names is known to be there. */
async function usableCache(
  context: OpsContext,
  agent: Agent,
  repository: Repository,
  head: HeadCommit,
): Promise<CommitCache | undefined> {
  if (head.id === undefined) return undefined;
  const cache = await loadCommitCache(context.home, agent, repository);
  return cache?.head === head.id ? cache : undefined;
}

async function readEarlierRoots(repository: Repository, head: HeadCommit): Promise<CommitCache['roots']> {
  return readRoots(repository, await head.view());
}

class Capture {
  readonly #context: OpsContext;
  readonly #repository: Repository;
  readonly #store: BlobStore;
  readonly #captureContext: CaptureContext;
  readonly #cache: CommitCache | undefined;
  readonly #scanStartNs: bigint;
  #previous = new Map<string, Previous>();
  #previousAttributes: Promise<ReadonlyMap<string, EntryAttributes>> | undefined;
  readonly #head: HeadCommit;
  readonly #witness: CaptureWitness | undefined;
  #attributes: EntryAttributes[] = [];
  readonly #files = new Map<string, TreeFile & { sizeBytes: number }>();
  readonly #cached = new Map<string, CachedFile>();
  readonly #skipped: SkippedPath[] = [];
  readonly #links = new Map<number, CaptureOutcome>();
  readonly #databases: Record<string, number> = {};
  readonly #counts = { added: 0, modified: 0, kept: 0 };
  #readBytes = 0;

  constructor(
    context: OpsContext,
    repository: Repository,
    store: BlobStore,
    options: CaptureOptions,
    cache: CommitCache | undefined,
    times: { readonly capturedMs: number; readonly scanStartNs: bigint },
  ) {
    this.#context = context;
    this.#repository = repository;
    this.#store = store;
    this.#cache = cache;
    this.#head = options.head;
    this.#witness = options.witness;
    this.#scanStartNs = times.scanStartNs;
    this.#captureContext = {
      tempDir: context.home.tempDir,
      clock: context.clock,
      deadlineMs: times.capturedMs + DATABASE_DEADLINE_MS,
      quickCheck: options.full,
    };
  }

  /** Takes the previous commit's files from the cache, or else from its trees. */
  async loadPrevious(): Promise<void> {
    if (this.#cache !== undefined) {
      for (const [path, cached] of this.#cache.stat.files) this.#previous.set(path, { blob: cached.blob, cached });
      return;
    }
    const head = await this.#head.view();
    if (head === undefined) {
      if (this.#head.id !== undefined)
        this.#context.reporter.warn(
          `the last commit can't be read (run molt verify); every file is stored that is not there`,
        );
      return;
    }
    const list = async (): Promise<void> => {
      for await (const { path, blob } of listAgentFiles(this.#repository, head))
        this.#previous.set(path, { blob, cached: undefined });
    };
    await unlessDamaged(list());
  }

  /** Takes up what the scan could not read: files, and folders with all that the last commit has below them. */
  async skipAll(all: readonly SkippedPath[]): Promise<void> {
    for (const skipped of all) {
      // oxlint-disable-next-line no-await-in-loop -- seldom more than one
      const below = isLoss(skipped) ? await this.#previousBelow(skipped.path) : [];
      for (const attributes of below) {
        // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
        await this.#keepAttributes(attributes);
      }
      this.#skipped.push({ ...skipped, kept: below.length > 0 });
      if (below.length > 0) this.#attributes = inTreeOrder(this.#attributes);
    }
  }

  async readAll(entries: readonly ScannedEntry[]): Promise<void> {
    const totalBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
    if (this.#cache === undefined) this.#store.expectBytes(totalBytes);
    let doneBytes = 0;
    for (const entry of entries) {
      // oxlint-disable-next-line no-await-in-loop -- one blob at a time
      await this.#take(entry);
      this.#context.signal?.throwIfAborted();
      doneBytes += entry.sizeBytes;
      this.#context.reporter.progress({ phase: 'read', doneBytes, totalBytes });
    }
  }

  result(): Omit<CapturedAgent, 'roots' | 'description' | 'capturedMs' | 'checkedMs' | 'previousTop'> {
    const removed = [...this.#previous.keys()].filter((path) => !this.#files.has(path)).length;
    return {
      attributes: this.#attributes,
      files: this.#files,
      components: componentSizes(this.#attributes, this.#files),
      skipped: this.#skipped,
      counts: { ...this.#counts, removed },
      readBytes: this.#readBytes,
      databases: this.#databases,
      cache: { scanStartNs: this.#scanStartNs, files: this.#cached },
    };
  }

  async #take(entry: ScannedEntry): Promise<void> {
    const { path } = entry;
    if (entry.type === 'directory') {
      this.#attributes.push(attributesOf(entry, entry.mtimeNs));
      return;
    }
    const previous = this.#previous.get(path);
    const cached = previous?.cached;
    if (cached !== undefined && this.#cache !== undefined && isUnchanged(entry, cached, this.#cache.stat.scanStartNs)) {
      this.#keep(entry, cached);
      return;
    }
    const outcome = this.#links.get(entry.linkGroup) ?? (await this.#capture(entry, previous?.blob));
    if (entry.linkGroup !== 0) this.#links.set(entry.linkGroup, outcome);
    if (outcome.status === 'captured') this.#add(entry, outcome, previous);
    else if (outcome.status === 'unreadable') await this.#keepLastGood(entry, outcome.reason);
  }

  async #capture(entry: ScannedEntry, previous: BlobId | undefined): Promise<CaptureOutcome> {
    const open: OpenBlob = (chunking, sizesBytes) => {
      const writer = this.#store.openBlob({
        chunking,
        sizesBytes,
        // A database is compressed although it may hold secrets: uncompressed, each tick would store a hundred times as much.
        secret: entry.secret && chunking !== 'fixed',
        previous,
        isPreviousStored: this.#cache !== undefined,
      });
      return this.#witness?.watch(entry, Math.max(...sizesBytes), writer) ?? writer;
    };
    try {
      const outcome = await captureFile(entry, open, this.#captureContext);
      if (outcome.status !== 'captured') return outcome;
      this.#readBytes += outcome.sizeBytes;
      if (outcome.damage !== undefined) {
        this.#context.reporter.warn(`${displayPath(entry.path)} is damaged and was saved as it is: ${outcome.damage}`);
      }
      return outcome;
    } catch (error) {
      // One planted file must not stop the backup of all others.
      if (isMoltError(error, 'COLLISION')) return { status: 'unreadable', reason: error.message };
      throw error;
    }
  }

  #keep(entry: ScannedEntry, cached: CachedFile): void {
    this.#counts.kept += 1;
    this.#cached.set(entry.path, cached);
    this.#file(entry, cached.blob, cached.blobSizeBytes, entry.mtimeNs);
  }

  #add(entry: ScannedEntry, outcome: CapturedEntry, previous: Previous | undefined): void {
    if (previous === undefined) this.#counts.added += 1;
    else if (previous.blob === outcome.id) this.#counts.kept += 1;
    else this.#counts.modified += 1;
    const { stamp, wal, journal, id: blob, sizeBytes: blobSizeBytes, kind } = outcome;
    if (kind === 'sqlite') this.#databases[entry.path] = outcome.capturedMs;
    const { sizeBytes, mtimeNs, ctimeNs, inode } = outcome.cacheable ? stamp : UNTRUSTED;
    const sides = { ...(wal !== undefined && { wal }), ...(journal !== undefined && { journal }) };
    this.#cached.set(entry.path, { sizeBytes, mtimeNs, ctimeNs, inode, ...sides, blob, blobSizeBytes, kind });
    this.#file(entry, blob, blobSizeBytes, stamp.mtimeNs);
  }

  /** What can't be read now stays as the last commit had it, attributes included. */
  async #keepLastGood(entry: ScannedEntry, reason: string): Promise<void> {
    const attributes = (await this.#readPrevious()).get(entry.path);
    const kept = attributes !== undefined && (await this.#keepAttributes({ ...attributes, linkGroup: 0 }));
    this.#skipped.push({ path: entry.path, reason, kept });
  }

  /** Returns what the last commit has at a path and below it, but for what was captured now. */
  async #previousBelow(path: string): Promise<EntryAttributes[]> {
    const present = new Set(this.#attributes.map((attributes) => attributes.path));
    const previous = [...(await this.#readPrevious()).values()];
    return previous
      .filter((known) => (known.path === path || known.path.startsWith(`${path}/`)) && !present.has(known.path))
      .map((known) => ({ ...known, linkGroup: 0 }));
  }

  #readPrevious(): Promise<ReadonlyMap<string, EntryAttributes>> {
    this.#previousAttributes ??= (async () => {
      const head = await this.#head.view();
      const known = head === undefined ? undefined : await unlessDamaged(readAttributes(this.#repository, head));
      return known ?? new Map<string, EntryAttributes>();
    })();
    return this.#previousAttributes;
  }

  /** Keeps one entry of the last commit; false if its content is lost there too. */
  async #keepAttributes(attributes: EntryAttributes): Promise<boolean> {
    const { path, type } = attributes;
    if (type !== 'directory') {
      const previous = this.#previous.get(path);
      const record = previous && (await unlessDamaged(this.#repository.objects.readBlobRecord(previous.blob)));
      if (previous === undefined || record === undefined || !(await this.#isStored(record))) return false;
      const { blob, cached } = previous;
      this.#counts.kept += 1;
      this.#files.set(path, { mode: treeMode(attributes), blob, sizeBytes: record.sizeBytes });
      const kind = cached?.kind ?? 'plain';
      this.#cached.set(path, { ...UNTRUSTED, blob, blobSizeBytes: record.sizeBytes, kind });
    }
    this.#attributes.push(attributes);
    return true;
  }

  /** Says whether all of a blob is stored: the stat cache vouches for it, and is gone after a repair. */
  async #isStored(record: BlobRecord): Promise<boolean> {
    if (this.#cache !== undefined) return true;
    const { objects, index } = this.#repository;
    const isWhole = async (): Promise<boolean> => {
      for await (const { key } of objects.listKeys(record)) if ((await index.find(key)) === undefined) return false;
      return true;
    };
    return (await unlessDamaged(isWhole())) ?? false;
  }

  #file(entry: ScannedEntry, blob: BlobId, sizeBytes: number, mtimeNs: bigint): void {
    const attributes = attributesOf(entry, mtimeNs);
    this.#attributes.push(attributes);
    this.#files.set(entry.path, { mode: treeMode(attributes), blob, sizeBytes });
  }
}

/** A stamp that no file has, for content that must be read again next time. */
const UNTRUSTED = { sizeBytes: -1, mtimeNs: 0n, ctimeNs: 0n, inode: 0n };

function attributesOf(entry: ScannedEntry, mtimeNs: bigint): EntryAttributes {
  const { path, type, mode, component, secret, linkGroup } = entry;
  return { path, type, mode, mtimeNs, component, secret, linkGroup };
}
