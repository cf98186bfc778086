// Compares two commits, or a commit with the live agent, file by file.

import { detectKind, KIND_HEAD_BYTES } from '../diff/kind.ts';
import { diffText, type DiffOmission } from '../diff/text.ts';
import type { Component } from '../model/component.ts';
import type { EntryAttributes } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import type { ComparedFile, SemanticDiff } from '../model/semantic-diff.ts';
import { BlobReader } from '../repo/blob-reader.ts';
import { resolvePaths } from './commit-path.ts';
import type { FileContent } from './compare-file.ts';
import type { OpsContext } from './context.ts';
import { openForWords } from './open-words.ts';
import { getHead, resolveRevision } from './revision.ts';
import { openComparison, type FileContents } from './semantic-diff.ts';
import type { Side } from './side.ts';

/** What to compare. */
export interface DiffOptions {
  readonly agent: string | undefined;
  /** An agent, and up to two revisions; where one is missing the live agent is meant, where both are, also the branch's head. */
  readonly words: readonly string[];
  readonly component?: Component | undefined;
  readonly paths: readonly string[];
  /** Only how much differs. */
  readonly statOnly?: boolean;
  /** Secrets as they are. */
  readonly showSecrets?: boolean;
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

/** One file that differs: CLI.md's JSON for `diff`. */
export interface FileDiff extends ComparedFile {
  readonly stat: DiffStat;
  /** How it differs, by meaning; not there with `statOnly`. */
  readonly diff?: SemanticDiff;
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
  const [first, second] = words;
  const from = first === undefined ? getHead(open) : await resolveRevision(context, open, first);
  const paths = await resolvePaths(context, open, options.paths);
  const to = second === undefined ? 'live' : await resolveRevision(context, open, second);
  const comparison = await openComparison(context, open, { from, to, paths, component: options.component });
  for (const file of comparison.files) {
    // oxlint-disable-next-line no-await-in-loop -- one file after the other, so that memory stays flat
    const stat = await measure(file, await comparison.contents(file));
    if (options.statOnly === true) yield { ...file, stat };
    else {
      const { showSecrets = false } = options;
      // oxlint-disable-next-line no-await-in-loop -- the same
      yield { ...file, stat, diff: await comparison.compare(file, { showSecrets, signal: context.signal }) };
    }
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

async function measure({ path }: ComparedFile, { before, after, isSame }: FileContents): Promise<DiffStat> {
  const sizes = { beforeBytes: before?.sizeBytes ?? 0, afterBytes: after?.sizeBytes ?? 0 };
  if (isSame) return { addedLines: 0, removedLines: 0, ...sizes };
  if ((await isSqlite(before, path)) || (await isSqlite(after, path)))
    return { addedLines: 0, removedLines: 0, ...sizes, omitted: 'sqlite' };
  const { added, removed, omitted } = diffText(await readWhole(before), await readWhole(after));
  return { addedLines: added, removedLines: removed, ...sizes, ...(omitted !== undefined && { omitted }) };
}

async function isSqlite(content: FileContent, path: string): Promise<boolean> {
  if (content === undefined) return false;
  if (!(content instanceof BlobReader)) return /\.sqlite$|\.db$/.test(path);
  const head = await content.read(0, Math.min(content.sizeBytes, KIND_HEAD_BYTES));
  return detectKind(head, path) === 'sqlite';
}

/** Reads a file, none for one that isn't there; undefined if it is too large or was not kept. */
async function readWhole(content: FileContent): Promise<Buffer | undefined> {
  if (content === undefined) return Buffer.alloc(0);
  const isReadable = content instanceof BlobReader && content.sizeBytes <= MAX_FILE_BYTES;
  return isReadable ? content.read(0, content.sizeBytes) : undefined;
}
