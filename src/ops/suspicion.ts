// Looks at a commit that was just published: whether what it changed looks like a loss. It reads what changed only, and of a file that
// grows only its list of chunks and the last chunk of what was there before. Whatever goes wrong here, the commit stands.

import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getProfile } from '../agent/profile.ts';
import { makeTempFolder, removeTempFolder } from '../agent/temp.ts';
import { isMoltError } from '../model/error.ts';
import type { BlobId, CommitId } from '../model/ids.ts';
import type { RowCounts } from '../model/row-counts.ts';
import {
  findPreciousKind,
  findSuspicions,
  FLOOR_FILES,
  isCountedFile,
  needsTotals,
  type ChangedFile,
  type ChangedRows,
  type Finding,
  type PreciousKind,
} from '../policy/suspicion.ts';
import { readTag } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { TREE_MODES } from '../repo/trees.ts';
import { holdAfterLoss, listOpenAlerts } from './alert-question.ts';
import { readAlertSettings } from './alert-settings.ts';
import { listAgentFiles } from './commit-files.ts';
import type { CommitResult } from './commit.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import type { OpenAgent } from './open.ts';
import { readRestoreNote } from './restore-journal.ts';
import { commitSide, type Side } from './side.ts';
import { listChanges, type FileChange } from './tree-diff.ts';
import { readWatchNote, writeWatchNote, type WatchNote } from './watch-note.ts';

/** A commit that looks as if something had been lost. */
export interface Suspicion {
  readonly commit: CommitId;
  /** The last commit that is known to be good; it is held until somebody answers. */
  readonly good: CommitId;
  readonly findings: readonly Finding[];
}

/** Questions beyond this number hold nothing more: retention stands still anyway. */
const MOST_OPEN = 10;
/** A database that was never counted is taken out of the commit to count it, if it isn't larger. */
const MOST_COUNTED_BYTES = 256 << 20;

/**
 * Compares a commit of a live agent with what was saved of it before, and holds that if something looks lost. Never throws.
 * @param result of a commit that was made just now
 */
export async function inspectCommit(
  context: OpsContext,
  open: OpenAgent,
  result: Pick<CommitResult, 'id' | 'parent' | 'roots'>,
): Promise<Suspicion | undefined> {
  try {
    return await inspect(context, open, result);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    context.reporter.warn(`saved, but it could not be looked at whether something is missing in it: ${why}`);
    return undefined;
  }
}

async function inspect(
  context: OpsContext,
  open: OpenAgent,
  result: Pick<CommitResult, 'id' | 'parent' | 'roots'>,
): Promise<Suspicion | undefined> {
  const { agent, repository } = open;
  const { home } = context;
  const { share } = await readAlertSettings(home);
  if (share === undefined) return undefined;
  const note = await readWatchNote(home, agent);
  const incarnation = agent.incarnations?.[agent.branch]?.id;
  const { base, isRestored } = await findBase(context, open, note, result.parent);
  const watch = new Watch(context, repository, agent, { base, commit: result.id, isRestored, note });
  // What it would be compared with may have expired, or be damaged: then this is where watching begins anew.
  const looked = await unlessDamaged(watch.look(result.roots, share));
  const { findings, rows } = looked ?? { findings: [], rows: note?.rows ?? new Map() };
  await writeWatchNote(home, agent, { commit: result.id, incarnation, rows });
  if (base === undefined || findings.length === 0) return undefined;
  const suspicion = { commit: result.id, good: base, findings };
  if ((await listOpenAlerts(repository)).length < MOST_OPEN) await holdAfterLoss(context, open, suspicion);
  return suspicion;
}

/**
 * Returns the commit that the live state was at before: the last one that was made of it here, whatever branch that was on, or the
 * one that was restored since.
 */
async function findBase(
  { home }: OpsContext,
  { agent, repository }: OpenAgent,
  note: WatchNote | undefined,
  parent: CommitId | undefined,
): Promise<{ readonly base: CommitId | undefined; readonly isRestored: boolean }> {
  const incarnation = agent.incarnations?.[agent.branch]?.id;
  const restore = await readRestoreNote(home, agent);
  const isRaised = incarnation !== undefined && note !== undefined && incarnation !== note.incarnation;
  if (isRaised || (restore !== undefined && restore.safety === parent)) {
    // Of a restore in part nothing says what to expect.
    if (restore?.components !== undefined) return { base: undefined, isRestored: true };
    const base = isRaised ? (await readTag(repository, incarnation)).commit : restore?.commit;
    return { base, isRestored: true };
  }
  return { base: note?.commit ?? parent, isRestored: false };
}

/** One look at what differs between two commits. */
class Watch {
  readonly #context: OpsContext;
  readonly #repository: Repository;
  readonly #agent: Agent;
  readonly #base: CommitId | undefined;
  readonly #commit: CommitId;
  readonly #isRestored: boolean;
  readonly #note: WatchNote | undefined;

  constructor(
    context: OpsContext,
    repository: Repository,
    agent: Agent,
    what: {
      readonly base: CommitId | undefined;
      readonly commit: CommitId;
      readonly isRestored: boolean;
      readonly note: WatchNote | undefined;
    },
  ) {
    this.#context = context;
    this.#repository = repository;
    this.#agent = agent;
    this.#base = what.base;
    this.#commit = what.commit;
    this.#isRestored = what.isRestored;
    this.#note = what.note;
  }

  async look(
    roots: CommitResult['roots'],
    share: number,
  ): Promise<{ readonly findings: readonly Finding[]; readonly rows: ReadonlyMap<string, RowCounts> }> {
    const known = this.#isRestored ? undefined : this.#note?.rows;
    if (this.#base === undefined) return { findings: [], rows: new Map() };
    const { profile } = this.#agent;
    const before = await commitSide(this.#repository, this.#base);
    const changes = await listChanges(before, await commitSide(this.#repository, this.#commit));
    const files: ChangedFile[] = [];
    const moved = new Set(changes.flatMap(({ change, after }) => (change === 'added' && after ? [after.blob] : [])));
    for (const change of changes) {
      // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
      const file = await this.#measure(change, moved);
      if (file !== undefined) files.push(file);
    }
    const { rows, changed } = await this.#countRows(changes, roots, known ?? new Map());
    const removed = changes.filter(({ change, path }) => change === 'removed' && isCountedFile(path)).length;
    const wantsTotals = needsTotals(files) || removed > FLOOR_FILES;
    const { totals, fileCount } = wantsTotals ? await this.#countAll(before) : { totals: new Map(), fileCount: 0 };
    const facts = { files, fileCounts: { before: fileCount, removed }, totals, rows: changed };
    return { findings: findSuspicions(facts, profile, share), rows };
  }

  /** Measures a changed file, if losing it would be worth an alarm. */
  async #measure(change: FileChange, moved: ReadonlySet<BlobId>): Promise<ChangedFile | undefined> {
    const { path, before, after } = change;
    const kind = findPreciousKind(path, this.#agent.profile);
    // What is elsewhere now, as after the rotation of a log, is not lost.
    if (kind === undefined || change.change === 'renamed' || (before !== undefined && moved.has(before.blob)))
      return undefined;
    const isLink = [before, after].some((side) => side?.mode === TREE_MODES.symlink);
    if (isLink) return undefined;
    const beforeBytes = before === undefined ? 0 : await this.#sizeOf(before.blob);
    const afterBytes = after === undefined ? 0 : await this.#sizeOf(after.blob);
    const isGrowing = kind === 'transcript' && before !== undefined && after !== undefined;
    const isContinued = isGrowing ? await isPrefix(this.#repository, before.blob, after.blob) : undefined;
    return { path, kind, beforeBytes, afterBytes, isRemoved: after === undefined, isContinued };
  }

  async #sizeOf(blob: BlobId): Promise<number> {
    return (await this.#repository.objects.readBlobRecord(blob)).sizeBytes;
  }

  /** Counts the rows of the databases that changed; of the others what is known goes on being true. */
  async #countRows(
    changes: readonly FileChange[],
    roots: CommitResult['roots'],
    known: ReadonlyMap<string, RowCounts>,
  ): Promise<{ readonly rows: ReadonlyMap<string, RowCounts>; readonly changed: readonly ChangedRows[] }> {
    const profile = getProfile(this.#agent.profile);
    const rows = new Map(known);
    const changed: ChangedRows[] = [];
    const dirs = new Map(roots.map(({ key, dir }) => [key, dir]));
    for (const { path, before, after } of changes) {
      if (findPreciousKind(path, this.#agent.profile) !== 'database') continue;
      if (after === undefined) rows.delete(path);
      const key = [...dirs.keys()].find((one) => path.startsWith(`${one}/`)) ?? '';
      if (after === undefined || !dirs.has(key)) continue;
      const real = join(dirs.get(key) ?? '', path.slice(key.length + 1));
      try {
        // oxlint-disable-next-line no-await-in-loop -- few databases
        const first = known.has(path) ? undefined : await profile.countRows(real, path, []);
        if (first === undefined && !known.has(path)) continue;
        // oxlint-disable-next-line no-await-in-loop -- the same
        const was = known.get(path) ?? (before && (await this.#countSaved(path, before.blob)));
        // oxlint-disable-next-line no-await-in-loop -- the same
        const is = await profile.countRows(real, path, Object.keys(was?.bySession ?? {}));
        if (is === undefined) continue;
        rows.set(path, is);
        if (was !== undefined) changed.push({ path, before: was, after: is });
      } catch (error) {
        // Busy or just being replaced: it is counted the next time that it changes, against what is known now.
        if (!isMoltError(error)) throw error;
      }
    }
    return { rows, changed };
  }

  /** Counts a database as a commit has it, which is done once. */
  async #countSaved(path: string, blob: BlobId): Promise<RowCounts | undefined> {
    if ((await this.#sizeOf(blob)) > MOST_COUNTED_BYTES) return undefined;
    const folder = makeTempFolder(this.#context.home.tempDir);
    try {
      const copy = join(folder, 'database');
      await using file = await openFile(copy, 'wx', 0o600);
      for await (const bytes of this.#repository.objects.readBlob(blob)) await file.write(bytes);
      return await getProfile(this.#agent.profile).countRows(copy, path, []);
    } finally {
      removeTempFolder(folder);
    }
  }

  /** Counts all files of a commit, and the bytes of what is precious: only after some were removed. */
  async #countAll({ view }: Side & { readonly view: Parameters<typeof listAgentFiles>[1] }): Promise<{
    readonly totals: ReadonlyMap<PreciousKind, number>;
    readonly fileCount: number;
  }> {
    const totals = new Map<PreciousKind, number>();
    let fileCount = 0;
    for await (const { path, blob } of listAgentFiles(this.#repository, view)) {
      if (isCountedFile(path)) fileCount += 1;
      const kind = findPreciousKind(path, this.#agent.profile);
      if (kind !== undefined) totals.set(kind, (totals.get(kind) ?? 0) + (await this.#sizeOf(blob)));
    }
    return { totals, fileCount };
  }
}

/**
 * Says whether one blob begins with all of another. Equal chunks at the front prove it without reading them; only from the first that
 * differs, which mostly is the last one, are bytes compared.
 */
async function isPrefix(repository: Repository, before: BlobId, after: BlobId): Promise<boolean> {
  const { objects } = repository;
  const [old, now] = [await objects.readBlobRecord(before), await objects.readBlobRecord(after)];
  if (now.sizeBytes < old.sizeBytes) return false;
  const nows = objects.listChunks(now)[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  let isApart = false;
  for await (const chunk of objects.listChunks(old)) {
    if (!isApart) {
      const next = await nows.next();
      if (next.done !== true && next.value.id === chunk.id) continue;
      isApart = true;
      if (next.done !== true) rest = await objects.readChunk(next.value.id);
    }
    const bytes = await objects.readChunk(chunk.id);
    while (rest.length < bytes.length) {
      // oxlint-disable-next-line no-await-in-loop -- until there is enough to compare
      const next = await nows.next();
      if (next.done === true) return false;
      // oxlint-disable-next-line no-await-in-loop -- the same
      rest = Buffer.concat([rest, await objects.readChunk(next.value.id)]);
    }
    if (!rest.subarray(0, bytes.length).equals(bytes)) return false;
    rest = rest.subarray(bytes.length);
  }
  return true;
}
