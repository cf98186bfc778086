// Finds a phrase in all history: when it appeared in a file or a conversation, and when it went away. The index says which commits may
// have brought it; each answer is then read from the content of the commits that it names.
//
// Between two commits that may have brought it, a phrase that is gone stays gone. So of the versions between them the last one tells
// whether it went, and halving finds where.

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { excerptOf } from '../diff/excerpt.ts';
import { foldText } from '../diff/fold.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { displayPath } from '../model/name.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { isDamage } from '../repo/storage-failure.ts';
import { resolvePaths } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { readLine, type Line } from './first-parents.ts';
import { openAgent } from './open.ts';
import { getHead, resolveRevision } from './revision.ts';
import { bringUpToDate, type StretchList } from './search-build.ts';
import { hasIndex } from './search-index.ts';
import { PhraseReader, type FoundPhrase } from './search-read.ts';
import { SearchUnits, type SearchUnit, type TurnGroup } from './search-units.ts';

/** What to look for. */
export interface SearchOptions {
  readonly agent: string | undefined;
  /** Words before and after fold to the same: case and runs of white space don't matter unless `isExact` says that case does. */
  readonly phrase: string;
  /** Capital and small letters differ. */
  readonly isExact?: boolean;
  /** The line of history that ends here is searched; the branch's head if it is left out. REV. */
  readonly revision?: string | undefined;
  /** Only in these files, and below these folders. */
  readonly paths?: readonly string[];
  /** No more is looked for after the first answer, and when it went away. */
  readonly isFirstOnly?: boolean;
  /** Stops the search, as the context's does; what was indexed so far stays. */
  readonly signal?: AbortSignal | undefined;
}

/** A commit and when it was captured. */
export interface SearchMoment {
  readonly commit: CommitId;
  readonly timeMs: number;
}

/** A span of history in which a file, or a turn of a conversation, had the phrase. */
export interface SearchAnswer {
  /** From 0. An answer comes again with its number once more is known of it, and replaces the one before. */
  readonly number: number;
  /** Escaped commit path. */
  readonly path: string;
  /** The first kept commit of the span. */
  readonly appeared: SearchMoment;
  /** The kept commit before it, which does not have the phrase; undefined where `appeared` is the first that is kept. */
  readonly before: SearchMoment | undefined;
  /** Commits between `before` and `appeared`, or before `appeared`, were pruned: it may have appeared in one of these. */
  readonly mayBeEarlier: boolean;
  /** `pending` until it was looked for; undefined if the phrase is there to the end of the line of history. */
  readonly gone: SearchMoment | 'pending' | undefined;
  /** The last kept commit of the span that is known: the one before `gone`, or the end of the line of history. */
  readonly lastSeen: SearchMoment | undefined;
  /** The line of the file, from 1, where the phrase is in `appeared`; undefined for a turn of a database. */
  readonly line: number | undefined;
  /** Text around the phrase, one line, secrets masked, safe for a terminal. */
  readonly excerpt: string;
  /** The turn that has the phrase, if it is a conversation's. */
  readonly turn: PlacedTurn | undefined;
}

/** The shortest phrase that is looked for, folded: two letters, or one that is a word of its own, as Chinese has them. */
const LEAST_BYTES = 2;

/**
 * Searches a line of history, in the order in which the phrase appeared in each file or turn. Spans of one file come one after the other.
 * The first search of a long history reads all of it; later ones read what came since.
 * @throws {MoltError} USAGE for a phrase that is too short, and what opening throws; the signal's reason
 */
export async function* searchHistory(context: OpsContext, options: SearchOptions): AsyncIterable<SearchAnswer> {
  const phrase = foldText(options.phrase);
  if (Buffer.byteLength(phrase) < LEAST_BYTES)
    throw new MoltError('USAGE', 'the phrase is too short to search for', { hint: 'give at least two letters' });
  const signal = options.signal ?? context.signal;
  await using open = await openAgent(context, options.agent);
  const { repository } = open;
  const tip = options.revision === undefined ? getHead(open) : await resolveRevision(context, open, options.revision);
  const paths = await resolvePaths(context, open, options.paths ?? []);
  const line = await readLine(repository, tip);
  const fold = { isExact: options.isExact === true };
  const wanted = { phrase, paths, isExact: fold.isExact };
  const exact = { phrase: foldText(options.phrase, fold), fold };
  const reader = new PhraseReader(repository, line, exact, signal);
  let stretches: StretchList = [];
  let isAnswered = false;
  for await (const state of bringUpToDate(context, repository, line, signal)) {
    stretches = state.stretches;
    if (isAnswered || !state.isPrefix) continue;
    // The first answer need not wait until all of a long history is indexed: where it was not yet, it appeared later.
    for await (const { unit, hit, found } of inOrder(context, reader, new SearchUnits(state.fresh, wanted))) {
      yield beginAnswer(line, unit, unit.hits[hit]?.at ?? 0, found);
      isAnswered = true;
      break;
    }
  }
  let number = 0;
  for await (const { unit, hit, found } of inOrder(context, reader, new SearchUnits(stretches, wanted))) {
    for await (const answer of followUnit(context, { reader, line, unit }, hit, found)) {
      const isLast = answer.gone !== 'pending';
      yield { ...answer, number };
      if (isLast) number += 1;
      if (isLast && options.isFirstOnly === true) return;
    }
  }
}

/**
 * Brings the index of an agent that was searched here before up to date, so that the next search has little to read. An agent that
 * nobody ever searched costs nothing.
 * @throws {MoltError} what opening throws, IO; the context's signal's reason
 */
export async function keepSearchIndex(context: OpsContext, label: string): Promise<void> {
  await using open = await openAgent(context, label);
  const { repository } = open;
  if (!(await hasIndex(context.home, repository))) return;
  const line = await readLine(repository, getHead(open));
  for await (const _ of bringUpToDate(context, repository, line, context.signal));
}

/** A unit that has the phrase, from one of its hits on. */
interface Begun {
  readonly unit: SearchUnit;
  /** Which of its hits is the first that has it. */
  readonly hit: number;
  readonly found: FoundPhrase;
}

/** Something that may have the phrase, by the place of the commit that may have brought it. */
type Candidate =
  | { readonly at: number; readonly unit: SearchUnit; readonly hit: number }
  | { readonly at: number; readonly group: TurnGroup };

/** Lists the units that have the phrase in the order in which they had it first. */
async function* inOrder(context: OpsContext, reader: PhraseReader, all: SearchUnits): AsyncIterable<Begun> {
  const waiting: Candidate[] = [
    ...all.units.map((unit) => ({ at: unit.hits[0]?.at ?? Infinity, unit, hit: 0 })),
    ...all.groups.map((group) => ({ at: group.at, group })),
  ].toSorted((a, b) => a.at - b.at);
  const done = new Set<string>();
  let next = 0;
  for (let one = waiting[next]; one !== undefined; next += 1, one = waiting[next]) {
    const { at } = one;
    const units = 'group' in one ? all.expand(one.group) : [one.unit];
    for (const unit of units) {
      const key = `${unit.turn?.session} ${unit.turn?.seq} ${unit.path}`;
      if (done.has(key)) continue;
      // oxlint-disable-next-line no-await-in-loop -- in order
      const found = await unlessUnreadable(context, unit, () => reader.find(unit, at));
      const hit = unit.hits.findIndex((each) => each.at === at);
      if (found !== undefined) {
        if ('group' in one) done.add(key);
        yield { unit, hit, found };
      } else if (!('group' in one) && hit + 1 < unit.hits.length)
        putBack(waiting, next + 1, { at: unit.hits[hit + 1]?.at ?? Infinity, unit, hit: hit + 1 });
    }
  }
}

/** A hit that is none puts its unit further back. */
function putBack(waiting: Candidate[], from: number, candidate: Candidate): void {
  let [low, high] = [from, waiting.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((waiting[middle]?.at ?? Infinity) <= candidate.at) low = middle + 1;
    else high = middle;
  }
  waiting.splice(low, 0, candidate);
}

/** What can't be read is neither there nor gone. Others have their turn before: what is read here may all be at hand. */
async function unlessUnreadable<T>(
  context: OpsContext,
  { path }: SearchUnit,
  work: () => Promise<T>,
): Promise<T | undefined> {
  await eventLoopTurn();
  try {
    return await work();
  } catch (error) {
    if (!isMoltError(error) || !isDamage(error)) throw error;
    context.reporter.warn(`${displayPath(path)} could not be followed to the end: ${error.message}`);
    return undefined;
  }
}

/** Yields each span of a unit twice: when its beginning is known, and when its end is. */
async function* followUnit(
  context: OpsContext,
  { reader, line, unit }: { readonly reader: PhraseReader; readonly line: Line; readonly unit: SearchUnit },
  first: number,
  firstFound: FoundPhrase,
): AsyncIterable<SearchAnswer> {
  let found: FoundPhrase | undefined = firstFound;
  for (let hit = first; hit < unit.hits.length;) {
    const start = unit.hits[hit]?.at ?? 0;
    // oxlint-disable-next-line no-await-in-loop -- in order
    found ??= await unlessUnreadable(context, unit, () => reader.find(unit, start));
    hit += 1;
    if (found === undefined) continue;
    const begun = beginAnswer(line, unit, start, found);
    found = undefined;
    yield begun;
    const from = hit;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const end = await unlessUnreadable(context, unit, () => findEnd(reader, unit, from));
    // What is known of it then stays: nothing says when it went, or whether.
    if (end === undefined) return;
    hit = end.next;
    const gone = end.gone === undefined ? undefined : momentAt(line, end.gone);
    yield { ...begun, gone, lastSeen: momentAt(line, (end.gone ?? line.length) - 1) };
  }
}

/**
 * Finds where a span ends that was open at the hit before `next`.
 * @returns the place in the line where the phrase is gone, if it goes, and the first hit behind it
 */
async function findEnd(
  reader: PhraseReader,
  unit: SearchUnit,
  next: number,
): Promise<{ readonly gone: number | undefined; readonly next: number }> {
  let present = unit.hits[next - 1]?.at ?? 0;
  for (let at = next; ; at += 1) {
    const hit = unit.hits[at];
    // The last version before the next hit, or of all.
    const last = lastVersion(unit.versions, hit?.at ?? Infinity);
    // oxlint-disable-next-line no-await-in-loop -- in order
    if (last > present && (await reader.find(unit, last)) === undefined) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      return { gone: await halve(reader, unit, present, last), next: at };
    }
    if (hit === undefined) return { gone: undefined, next: at };
    // Until here it was there; a hit that is none may be where it goes.
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (!hit.isCertain && (await reader.find(unit, hit.at)) === undefined) return { gone: hit.at, next: at + 1 };
    present = hit.at;
  }
}

/** Finds the first version without the phrase, between one that has it and one that has not. */
async function halve(reader: PhraseReader, unit: SearchUnit, present: number, absent: number): Promise<number> {
  const versions = unit.versions.filter((version) => version > present && version <= absent);
  let [low, high] = [0, versions.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    // oxlint-disable-next-line no-await-in-loop -- halves the rest each time
    if ((await reader.find(unit, versions[middle] ?? absent)) === undefined) high = middle;
    else low = middle + 1;
  }
  return versions[low] ?? absent;
}

function lastVersion(versions: readonly number[], before: number): number {
  let [low, high] = [0, versions.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((versions[middle] ?? 0) < before) low = middle + 1;
    else high = middle;
  }
  return versions[low - 1] ?? -1;
}

function beginAnswer(
  line: Line,
  { path }: SearchUnit,
  at: number,
  { text, line: lineNumber, turn, phrase }: FoundPhrase,
): SearchAnswer {
  return {
    number: 0,
    path,
    appeared: momentAt(line, at),
    before: at === 0 ? undefined : momentAt(line, at - 1),
    mayBeEarlier: line.at(at)?.isAfterGap === true,
    gone: 'pending',
    lastSeen: undefined,
    line: lineNumber,
    excerpt: excerptOf(text, phrase),
    turn,
  };
}

function momentAt(line: Line, at: number): SearchMoment {
  const commit = line.at(at);
  if (commit === undefined) throw new Error('the line of history has no such commit');
  return { commit: commit.id, timeMs: commit.timeMs };
}
