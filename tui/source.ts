// The one place where the interface gets what it shows from. Operations answer; here their answers become rows and plain data.

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import type { CommitId } from '../src/model/ids.ts';
import { displayPath } from '../src/model/name.ts';
import { isMoltError } from '../src/model/error.ts';
import { unforeseenFailure } from '../src/model/system-error.ts';
import type { OpsContext } from '../src/ops/context.ts';
import type { OpenAgent } from '../src/ops/open.ts';
import { openComparison, type CompareOptions, type Comparison } from '../src/ops/semantic-diff.ts';
import { findWholeParent, listChangesOf, readMoment, type Timeline } from '../src/ops/timeline.ts';
import type { LocalTime } from './days.ts';
import { line } from './line.ts';
import { rowsOfDiff } from './views/diff.ts';
import {
  hasChanges,
  isRead,
  isUneventful,
  type ComponentCounts,
  type DayNote,
  type Detail,
  type DetailFile,
  type FileView,
  type Glance,
  type Loading,
  type Pair,
  type Trouble,
} from './state.ts';

/** After so many commits that are read keys have their turn. */
const TURN_COMMITS = 4;
/** Of more files than these the sizes are not looked up. */
const MOST_SIZES = 500;

/** Returns what went wrong, as people are told. */
export function troubleOf(error: unknown): Trouble {
  const known = unforeseenFailure(error);
  if (isMoltError(known)) {
    const isDamage = isMoltError(known, 'DAMAGED', 'TRUNCATED', 'RENAMED');
    const hint = isDamage ? 'v verifies: it says what else is hurt, and what helps' : undefined;
    return { message: known.message, hint: known.hint ?? hint };
  }
  return { message: error instanceof Error ? error.message : String(error), hint: 'this is a bug in molt' };
}

/** Reads what a key names; a failure is what is shown in its place. */
export async function load<T>(key: string, read: () => Promise<T>): Promise<Loading<T>> {
  try {
    return { key, is: 'ready', value: await read() };
  } catch (error) {
    return { key, is: 'failed', trouble: troubleOf(error) };
  }
}

/** Reads a commit of the list; one that can't be read says so in its row. */
export async function readGlance(open: OpenAgent, timeline: Timeline, at: number): Promise<Glance> {
  try {
    return await readMoment(open, timeline, at);
  } catch (error) {
    return { id: timeline.id(at), trouble: troubleOf(error) };
  }
}

/** Reads what the commits of a day changed; those that can't be read are passed over. Stops when nobody wants to know any more. */
export async function readDayNote(
  open: OpenAgent,
  timeline: Timeline,
  commits: readonly number[],
  signal: AbortSignal,
): Promise<DayNote> {
  const uneventful = new Set<CommitId>();
  let changed = 0;
  for (const [index, at] of commits.entries()) {
    if (signal.aborted) break;
    // oxlint-disable-next-line no-await-in-loop -- so that a key is never kept waiting
    if (index % TURN_COMMITS === 0) await eventLoopTurn();
    // oxlint-disable-next-line no-await-in-loop -- the same
    const glance = await readGlance(open, timeline, at);
    if (!isRead(glance)) continue;
    if (hasChanges(glance)) changed += 1;
    if (isUneventful(glance)) uneventful.add(glance.id);
  }
  return { changed, uneventful };
}

/** Compares the two moments of the detail; a commit is compared with the one before it. */
export async function comparePair(context: OpsContext, open: OpenAgent, { from, to }: Pair): Promise<Comparison> {
  const before = from !== 'before' ? from : to === 'live' ? undefined : await findWholeParent(open, to);
  return openComparison(context, open, { from: before, to });
}

/** Returns a comparison as the detail shows it. */
export async function detailOf(comparison: Comparison): Promise<Detail> {
  const files: DetailFile[] = [];
  for (const [index, file] of comparison.files.entries()) {
    const { path, from, component, change } = file;
    // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
    const sides = index < MOST_SIZES ? await comparison.contents(file) : undefined;
    files.push({
      path,
      title: from === undefined ? displayPath(path) : `${displayPath(from)} → ${displayPath(path)}`,
      component,
      change,
      beforeBytes: sides?.before?.sizeBytes,
      afterBytes: sides?.after?.sizeBytes,
    });
  }
  return { files: files.toSorted((a, b) => rankOf(a.path) - rankOf(b.path)) };
}

/** What people wrote and read goes before what programs keep. */
function rankOf(path: string): number {
  const rank = ['.md', '.json', '', '.jsonl', '.sqlite'].findLastIndex((ending) => path.endsWith(ending));
  return rank < 0 ? 2 : rank;
}

/** Counts the files that a comparison found, by component. */
export function countComponents({ files }: Comparison): ComponentCounts {
  const counts: {
    -readonly [K in keyof ComponentCounts]: { added: number; modified: number; removed: number; renamed: number };
  } = {};
  for (const { component, change } of files) {
    const own = (counts[component] ??= { added: 0, modified: 0, removed: 0, renamed: 0 });
    own[change] += 1;
  }
  return counts;
}

/** Reads the inside of a file that differs; secrets come masked unless asked for. */
export async function readFileView(comparison: Comparison, path: string, options: CompareOptions): Promise<FileView> {
  const file = comparison.files.find((one) => one.path === path);
  if (file === undefined) return { lines: [] };
  const modes = file.modes === undefined ? [] : [line(`mode ${file.modes.before} → ${file.modes.after}`, 'faint')];
  return { lines: [...modes, ...rowsOfDiff(await comparison.compare(file, options))] };
}

const KINDS: Readonly<Record<string, string>> = {
  full: 'full',
  manual: 'manual',
  safety: 'safety',
  incremental: 'incremental',
};
/** After so many messages keys have their turn, and after so many what was found is shown. */
const TURN_MESSAGES = 16;
const SHOWN_MESSAGES = 4096;

/**
 * Lists the commits that pass a filter: a kind, a tag, a date, an id, a path, or words of messages.
 * @param onSome told of what was found so far, where it takes long
 * @throws {MoltError} what reading throws
 */
export async function filterTimeline(
  context: OpsContext,
  open: OpenAgent,
  timeline: Timeline,
  filter: string,
  { local, onSome }: { readonly local: LocalTime; readonly onSome: (hits: readonly number[]) => void },
): Promise<readonly number[]> {
  const word = filter.trim().toLowerCase().replace(/^#/, '');
  const known = listByName(timeline, word, local);
  if (known.length > 0) return known;
  if (/[/.]/.test(filter)) {
    const byPath = await listByPath(context, open, timeline, filter);
    if (byPath !== undefined) return byPath;
  }
  return listByMessage(context, { open, timeline, word, onSome });
}

function listByName(timeline: Timeline, word: string, local: LocalTime): number[] {
  const kind = KINDS[word];
  const isDate = /^\d{4}-\d{2}(-\d{2})?$/.test(word);
  const isId = /^[0-9a-f]{6,40}$/.test(word);
  const tagged = new Set(
    [...timeline.tags, ...timeline.branches]
      .filter(([, names]) => names.some((name) => name.toLowerCase().includes(word)))
      .map(([id]) => timeline.find(id)),
  );
  if (kind === undefined && !isDate && !isId) return [...tagged].filter((at) => at >= 0).toSorted((a, b) => a - b);
  const hits: number[] = [];
  for (let at = 0; at < timeline.count; at += 1) {
    const isHit =
      (kind !== undefined && timeline.kind(at) === kind) ||
      (isDate && new Date(local.wallMs(timeline.times[at] ?? 0)).toISOString().startsWith(word)) ||
      (isId && timeline.id(at).startsWith(word));
    if (isHit || tagged.has(at)) hits.push(at);
  }
  return hits;
}

/** Returns undefined where a text is no path of the agent. */
async function listByPath(
  context: OpsContext,
  open: OpenAgent,
  timeline: Timeline,
  filter: string,
): Promise<number[] | undefined> {
  const hits: number[] = [];
  try {
    for await (const at of listChangesOf(context, open, timeline, filter)) hits.push(at);
    return hits;
  } catch (error) {
    if (isMoltError(error, 'NOT_FOUND', 'USAGE')) return undefined;
    throw error;
  }
}

async function listByMessage(
  context: OpsContext,
  {
    open,
    timeline,
    word,
    onSome,
  }: {
    readonly open: OpenAgent;
    readonly timeline: Timeline;
    readonly word: string;
    readonly onSome: (hits: readonly number[]) => void;
  },
): Promise<number[]> {
  const hits: number[] = [];
  for (let at = 0; at < timeline.count; at += 1) {
    context.signal?.throwIfAborted();
    // oxlint-disable-next-line no-await-in-loop -- newest first, and given up when another filter is wanted
    const glance = await readGlance(open, timeline, at);
    if ('message' in glance && glance.message.toLowerCase().includes(word)) hits.push(at);
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (at % TURN_MESSAGES === 0) await eventLoopTurn();
    if (at % SHOWN_MESSAGES === SHOWN_MESSAGES - 1 && hits.length > 0) onSome([...hits]);
  }
  return hits;
}
