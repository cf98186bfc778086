// Tells which commit wrote each line of a file, and what was said to the agent before. The file's versions are walked from the newest to
// the oldest; of each only its lines that are still asked about are followed into the one before.

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { detectKind } from '../diff/kind.ts';
import { matchLines, splitLines } from '../diff/match-lines.ts';
import { maskText } from '../diff/secrets.ts';
import { MoltError } from '../model/error.ts';
import { shortId, type BlobId, type CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { findRevisionPath } from '../policy/revision.ts';
import type { Repository } from '../repo/repository.ts';
import { TREE_MODES } from '../repo/trees.ts';
import { readHistoryCommit } from './ancestry.ts';
import { readAttributes, readCommitView, TreeFinder } from './commit-files.ts';
import { findPath } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { readLine, type LineCommit } from './first-parents.ts';
import { openForWords } from './open-words.ts';
import type { OpenAgent } from './open.ts';
import { findCandidates } from './path-history.ts';
import { joinSimilar } from './renames.ts';
import { resolveParsed } from './revision.ts';
import { commitSide } from './side.ts';
import { listChanges } from './tree-diff.ts';
import { listTurnsBetween } from './turns-between.ts';

/** Which lines to blame. */
export interface BlameOptions {
  readonly agent: string | undefined;
  /** An agent may stand before REV:PATH. */
  readonly words: readonly string[];
  /** Only these lines, from 1, both included. */
  readonly lines?: { readonly from: number; readonly to: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One line of the file. */
export interface BlameLine {
  /** From 1. */
  readonly number: number;
  /** Without its end, secrets in it masked; not safe for a terminal. */
  readonly text: string;
  /** The commit that wrote it; `moments` has more of it. */
  readonly commit: CommitId;
}

/** A commit that wrote lines, and the window before it. */
export interface BlameMoment {
  readonly commit: CommitId;
  readonly timeMs: number;
  readonly message: string;
  /** The file's escaped path then. */
  readonly path: string;
  /** The kept commit before it: what was said since then may be why. Undefined where history begins. */
  readonly before: { readonly commit: CommitId; readonly timeMs: number } | undefined;
  /** History begins here, or was pruned before: the lines may be older. */
  readonly mayBeEarlier: boolean;
}

/** A blamed file. */
export interface Blame {
  readonly commit: CommitId;
  /** Escaped commit path. */
  readonly path: string;
  readonly lines: readonly BlameLine[];
  /** Of the commits in `lines`, newest first. */
  readonly moments: readonly BlameMoment[];
}

/** A blamed file, its repository still open until it is disposed of. */
export interface OpenBlame extends AsyncDisposable {
  readonly blame: Blame;
  /** Returns what was said in the window of a moment, in the order of time. */
  readTurns(moment: BlameMoment): Promise<PlacedTurn[]>;
}

/** Larger files are not blamed. */
const BLAMED_MAX_BYTES = 8 << 20;

/**
 * Blames a file of a moment.
 * @throws {MoltError} USAGE when it is no text or too large, NOT_FOUND, AMBIGUOUS, DAMAGED; the signal's reason
 */
export async function openBlame(context: OpsContext, options: BlameOptions): Promise<OpenBlame> {
  const signal = options.signal ?? context.signal;
  const opened = await openForWords(context, options.agent, options.words);
  try {
    const { open, words } = opened;
    const word = words.length === 1 ? findRevisionPath(words[0] ?? '') : undefined;
    if (word === undefined)
      throw new MoltError('USAGE', 'blame takes one file of one moment', {
        hint: 'name it as REV:PATH, as in HEAD:workspace/MEMORY.md',
      });
    const commit = await resolveParsed(context, open, word.revision);
    const view = await readCommitView(open.repository, commit);
    const { path, entry } = await findPath(context, open, view, word.path);
    if (entry.mode === TREE_MODES.tree || entry.mode === TREE_MODES.symlink)
      throw new MoltError('USAGE', `"${displayPath(path)}" is no file with lines`, {
        hint: 'blame takes a file of text',
      });
    if ((await readAttributes(open.repository, view)).get(path)?.secret === true)
      throw new MoltError('USAGE', `"${displayPath(path)}" holds secrets, and blame would show them`, {
        hint: `molt cat ${shortId(commit)}:${displayPath(path)} writes it as it is`,
      });
    const blame = await blameFile(open, { commit, path, blob: entry.id }, { ...options, signal });
    return {
      blame,
      readTurns: (moment) => listTurnsBetween(open.repository, moment, signal),
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

interface FileVersion {
  readonly path: string;
  readonly blob: BlobId;
}

async function blameFile(
  { repository }: OpenAgent,
  file: FileVersion & { readonly commit: CommitId },
  { lines: wanted, signal }: BlameOptions,
): Promise<Blame> {
  const all = await readLines(repository, file);
  if (all === undefined)
    throw new MoltError(
      'USAGE',
      `"${displayPath(file.path)}" is not text, or larger than ${BLAMED_MAX_BYTES >> 20} MiB`,
    );
  const { from = 1, to = all.length } = wanted ?? {};
  if (from < 1 || to < from || (wanted !== undefined && from > all.length))
    throw new MoltError('USAGE', `there are no lines ${from} to ${to}: the file has ${all.length}`);
  const writers = new Map<number, BlameMoment>();
  // For each line that is asked about still: where it stands in the version that is looked at.
  let asked = new Map<number, number>();
  for (let at = from - 1; at < Math.min(to, all.length); at += 1) asked.set(at, at);
  let version: { readonly path: string; readonly blob: BlobId; readonly lines: readonly string[] } = {
    ...file,
    lines: all,
  };
  const line = await readLine(repository, file.commit);
  let isCandidate = await findCandidates(repository, [version.path]);
  for (let at = line.length - 1; at >= 0 && asked.size > 0; at -= 1) {
    signal?.throwIfAborted();
    const [commit, base] = [line.at(at), line.at(at - 1)];
    if (commit === undefined) break;
    // Behind a gap the commits that changed it may be among those that are gone.
    if (base !== undefined && !commit.isAfterGap && !isCandidate(commit)) continue;
    // oxlint-disable-next-line no-await-in-loop -- so that an interface in the same process hears keys
    await eventLoopTurn();
    // oxlint-disable-next-line no-await-in-loop -- from version to version
    const older = base === undefined ? undefined : await findBefore(repository, base, commit, version.path);
    if (older?.blob === version.blob && older.path === version.path) continue;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const before = older === undefined ? undefined : await readLines(repository, older);
    const kept = before === undefined ? new Map<number, number>() : matchLines(before, version.lines);
    // oxlint-disable-next-line no-await-in-loop -- the same
    const moment = await momentOf(repository, commit, base, version.path);
    const next = new Map<number, number>();
    for (const [number, place] of asked) {
      const earlier = kept.get(place);
      if (earlier === undefined) writers.set(number, moment);
      else next.set(number, earlier);
    }
    asked = next;
    if (older === undefined || before === undefined) break;
    // oxlint-disable-next-line no-await-in-loop -- rarely
    if (older.path !== version.path) isCandidate = await findCandidates(repository, [older.path]);
    version = { ...older, lines: before };
  }
  const moments = [...new Set(writers.values())];
  return {
    commit: file.commit,
    path: file.path,
    lines: [...writers]
      .map(([at, { commit }]) => ({ number: at + 1, text: maskText(all[at] ?? ''), commit }))
      .toSorted((a, b) => a.number - b.number),
    moments: moments.toSorted((a, b) => b.timeMs - a.timeMs),
  };
}

/** Finds the file in the commit before: under its path, or where it moved from. */
async function findBefore(
  repository: Repository,
  base: LineCommit,
  commit: LineCommit,
  path: string,
): Promise<FileVersion | undefined> {
  const view = await readCommitView(repository, base.id);
  const entry = await new TreeFinder(repository, view).findEntry(path);
  if (entry?.mode === TREE_MODES.file || entry?.mode === TREE_MODES.executable) return { path, blob: entry.id };
  const [before, after] = [await commitSide(repository, base.id), await commitSide(repository, commit.id)];
  const changes = await joinSimilar(await listChanges(before, after), { before, after });
  const moved = changes.find((change) => change.path === path && change.change === 'renamed');
  return moved?.from === undefined || moved.before === undefined
    ? undefined
    : { path: moved.from, blob: moved.before.blob };
}

async function readLines(repository: Repository, { path, blob }: FileVersion): Promise<string[] | undefined> {
  const { sizeBytes } = await repository.objects.readBlobRecord(blob);
  if (sizeBytes > BLAMED_MAX_BYTES) return undefined;
  const bytes = await repository.objects.readBlobWhole(blob, BLAMED_MAX_BYTES);
  return detectKind(bytes, path) === 'text' ? splitLines(bytes.toString('utf8')) : undefined;
}

async function momentOf(
  repository: Repository,
  { id, timeMs, isAfterGap }: LineCommit,
  base: LineCommit | undefined,
  path: string,
): Promise<BlameMoment> {
  const { text } = await readHistoryCommit(repository, id);
  return {
    commit: id,
    timeMs,
    message: text.message,
    path,
    before: base === undefined ? undefined : { commit: base.id, timeMs: base.timeMs },
    mayBeEarlier: isAfterGap || base === undefined,
  };
}
