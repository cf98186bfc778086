// Compares two commits, or a commit with the live agent, file by file.

import { detectKind } from '../diff/kind.ts';
import { diffText, type DiffOmission } from '../diff/text.ts';
import type { Component } from '../model/component.ts';
import type { EntryAttributes } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { displayPath } from '../model/name.ts';
import { resolvePaths } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { openForWords } from './open-words.ts';
import { joinSimilar } from './renames.ts';
import { getHead, resolveRevision } from './revision.ts';
import { commitSide, liveSide, type Side } from './side.ts';
import { listChanges, type ChangeKind, type FileChange, type FileSide } from './tree-diff.ts';

/** What to compare. */
export interface DiffOptions {
  readonly agent: string | undefined;
  /** An agent, and up to two revisions; where one is missing the live agent is meant, where both are, also the branch's head. */
  readonly words: readonly string[];
  readonly component?: Component | undefined;
  readonly paths: readonly string[];
}

/** How much of a file differs. */
export interface DiffStat {
  readonly addedLines: number;
  readonly removedLines: number;
  readonly beforeBytes: number;
  readonly afterBytes: number;
  /** Why there are no lines. */
  readonly omitted?: DiffOmission | 'sqlite';
}

/** One file that differs: CLI.md's JSON for `diff`, and its lines. */
export interface FileDiff {
  /** Escaped path in the commit tree. */
  readonly path: string;
  readonly component: Component;
  readonly change: ChangeKind;
  readonly from?: string;
  readonly stat: DiffStat;
  /** Unified diff with headers, safe for a terminal; empty for a file that only moved. */
  readonly lines: readonly string[];
}

/** Larger files are only counted. */
const MAX_FILE_BYTES = 8 << 20;

/** Lists the files that differ, by path. */
export async function* listDiff(context: OpsContext, options: DiffOptions): AsyncIterable<FileDiff> {
  await using opened = await openForWords(context, options.agent, options.words);
  const { open, words } = opened;
  if (words.length > 2)
    throw new MoltError('USAGE', `diff takes two revisions, not ${words.length}`, {
      hint: 'paths go behind --: molt diff -- PATH',
    });
  const [from, to] = words;
  const { repository } = open;
  const before = await commitSide(
    repository,
    from === undefined ? getHead(open) : await resolveRevision(context, open, from),
  );
  const paths = await resolvePaths(context, open, options.paths);
  const after =
    to === undefined
      ? await liveSide(context, open, { keepContent: true })
      : await commitSide(repository, await resolveRevision(context, open, to));
  const changes = await joinSimilar(await listChanges(before, after, paths), { before, after });
  if (changes.length === 0) return;
  const componentOf = await readComponents(before, after);
  for (const change of changes) {
    const component = componentOf(change.path);
    if (options.component !== undefined && component !== options.component) continue;
    // oxlint-disable-next-line no-await-in-loop -- one file after the other, so that memory stays flat
    yield await compareFile({ before, after }, change, component);
  }
}

/** Returns a lookup of the component that a changed path belongs to, as the newer side knows it. */
export async function readComponents(before: Side, after: Side): Promise<(path: string) => Component> {
  const newer = await after.attributes();
  let older: ReadonlyMap<string, EntryAttributes> | undefined;
  if (before !== after) older = await before.attributes();
  // pod.json stands beside the agent's files and has no attributes.
  return (path) => (newer.get(path) ?? older?.get(path))?.component ?? 'configuration';
}

async function compareFile(
  sides: { before: Side; after: Side },
  change: FileChange,
  component: Component,
): Promise<FileDiff> {
  const { path, from } = change;
  const entry = { path, component, change: change.change, ...(from !== undefined && { from }) };
  const before = await readSide(sides.before, change.before, from ?? path);
  const after = await readSide(sides.after, change.after, path);
  const [beforeBytes, afterBytes] = [before.sizeBytes, after.sizeBytes];
  const moved = from === undefined ? [] : [`rename from ${displayPath(from)}`, `rename to ${displayPath(path)}`];
  const modes = modeLines(change);
  if (change.before?.blob === change.after?.blob) {
    return { ...entry, stat: { addedLines: 0, removedLines: 0, beforeBytes, afterBytes }, lines: [...moved, ...modes] };
  }
  if (before.isSqlite || after.isSqlite) {
    const headers = diffText({ ...before, bytes: undefined }, { ...after, bytes: undefined }).lines.slice(0, 2);
    const line = `SQLite databases differ: ${beforeBytes} -> ${afterBytes} bytes`;
    return {
      ...entry,
      stat: { addedLines: 0, removedLines: 0, beforeBytes, afterBytes, omitted: 'sqlite' },
      lines: [...modes, ...headers, line],
    };
  }
  const { added, removed, omitted, lines } = diffText(before, after);
  const stat = {
    addedLines: added,
    removedLines: removed,
    beforeBytes,
    afterBytes,
    ...(omitted !== undefined && { omitted }),
  };
  return { ...entry, stat, lines: [...moved, ...modes, ...lines] };
}

async function readSide(side: Side, file: FileSide | undefined, path: string) {
  if (file === undefined) return { path: undefined, bytes: Buffer.alloc(0), sizeBytes: 0, isSqlite: false };
  const { bytes, sizeBytes } = await side.readBlob(file.blob, MAX_FILE_BYTES);
  const isSqlite = bytes === undefined ? /\.sqlite$|\.db$/.test(path) : detectKind(bytes, path) === 'sqlite';
  return { path: displayPath(path), bytes, sizeBytes, isSqlite };
}

function modeLines({ before, after }: FileChange): string[] {
  if (before === undefined || after === undefined || before.mode === after.mode) return [];
  return [`old mode ${before.mode}`, `new mode ${after.mode}`];
}
