// Two moments of an agent, compared by meaning: opening a comparison lists the files that differ; each is compared when it is asked for,
// within bounds of time and memory, and may be given up.

import { getProfile } from '../agent/profile.ts';
import type { Component } from '../model/component.ts';
import type { EntryAttributes } from '../model/entry.ts';
import type { BlobId, CommitId } from '../model/ids.ts';
import type { ComparedFile, SemanticDiff } from '../model/semantic-diff.ts';
import { compareFile, type FileContent } from './compare-file.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { joinSimilar } from './renames.ts';
import { commitSide, liveSide, type Side } from './side.ts';
import { listChanges, type FileChange } from './tree-diff.ts';

/** What to compare. */
export interface ComparisonOptions {
  /** The older moment; undefined for nothing, so that everything of the other is new. */
  readonly from: CommitId | undefined;
  /** The newer moment; `live` captures the live agent, with nothing stored. */
  readonly to: CommitId | 'live';
  /** Paths of the commit tree to stay below; all unless given. */
  readonly paths?: readonly string[];
  /** Only this component. */
  readonly component?: Component | undefined;
}

/** How to compare a file. */
export interface CompareOptions {
  /** Secrets as they are, not masked. */
  readonly showSecrets?: boolean;
  /** Gives the work up: `compare` rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Two moments, opened to be compared. It holds nothing open beyond the agent's repository, and needs no closing. */
export interface Comparison {
  /** What differs, by path. */
  readonly files: readonly ComparedFile[];
  /**
   * Compares one of the files. Calls may overlap.
   * @throws the signal's reason; {MoltError} DAMAGED and its kin when content can't be read
   */
  compare(file: ComparedFile, options?: CompareOptions): Promise<SemanticDiff>;
  /** Returns the two sides of one of the files: what `compare` compares. */
  contents(file: ComparedFile): Promise<FileContents>;
}

/** A file on both sides. */
export interface FileContents {
  readonly before: FileContent;
  readonly after: FileContent;
  /** Both sides have the same content. */
  readonly isSame: boolean;
}

/**
 * Opens a comparison of two moments of an agent.
 * @throws {MoltError} EXPIRED when the content of a commit was pruned, DAMAGED and its kin
 */
export async function openComparison(
  context: OpsContext,
  open: OpenAgent,
  { from, to, paths = [], component }: ComparisonOptions,
): Promise<Comparison> {
  const { repository } = open;
  const before = from === undefined ? undefined : await commitSide(repository, from);
  const after = to === 'live' ? await liveSide(context, open, { keepContent: true }) : await commitSide(repository, to);
  const listed = await listChanges(before, after, paths);
  // What came anew can't have moved.
  const changes = before === undefined ? listed : await joinSimilar(listed, { before, after });
  const attributes = changes.length === 0 ? undefined : await readBoth(before, after);
  const known = new Map<ComparedFile, FileChange>();
  for (const change of changes) {
    const file = describeFile(change, attributes);
    if (component === undefined || file.component === component) known.set(file, change);
  }
  const profile = getProfile(open.agent.profile);
  const contents = async (file: ComparedFile): Promise<FileContents> => {
    const change = known.get(file);
    if (change === undefined) throw new Error(`${file.path} is of another comparison`);
    return {
      before: await openContent(before, change.before?.blob),
      after: await openContent(after, change.after?.blob),
      isSame: change.before?.blob === change.after?.blob,
    };
  };
  return {
    files: [...known.keys()],
    contents,
    compare: async (file, { showSecrets = false, signal } = {}) => {
      const pair = await contents(file);
      if (pair.isSame) return { kind: 'same' };
      const isSecret = attributes?.find(file.path)?.secret === true || attributes?.find(file.from)?.secret === true;
      const { path } = file;
      return compareFile({ path, ...pair, isSecret, hints: profile.diffHints(path) }, { showSecrets, signal });
    },
  };
}

interface BothAttributes {
  find(path: string | undefined): EntryAttributes | undefined;
}

/** Returns a lookup of what is known of a path, as the newer side knows it. */
async function readBoth(before: Side | undefined, after: Side): Promise<BothAttributes> {
  const newer = await after.attributes();
  const older = await before?.attributes();
  return { find: (path) => (path === undefined ? undefined : (newer.get(path) ?? older?.get(path))) };
}

function describeFile(change: FileChange, attributes: BothAttributes | undefined): ComparedFile {
  const { path, from, before, after } = change;
  const isModeChanged = before !== undefined && after !== undefined && before.mode !== after.mode;
  return {
    path,
    // pod.json stands beside the agent's files and has no attributes.
    component: attributes?.find(path)?.component ?? 'configuration',
    change: change.change,
    ...(from !== undefined && { from }),
    ...(isModeChanged && { modes: { before: before.mode, after: after.mode } }),
  };
}

async function openContent(side: Side | undefined, blob: BlobId | undefined): Promise<FileContent> {
  return blob === undefined ? undefined : side?.openBlob(blob);
}
