// Merges two lines of history by tree entries and ids, three ways. What changed on one side only is taken; what changed on both is
// kept side by side and named: nothing is chosen silently, and no content is read, let alone as text.

import { encodeAttributes } from '../format/attributes.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { isMoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { findMergeBases, writeCommit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import type { Transaction } from '../repo/transaction.ts';
import { TREE_MODES, writeTrees, type TreeFile } from '../repo/trees.ts';
import { componentSizes, inTreeOrder, treeMode } from './captured-entries.ts';
import { notePaths } from './changed-paths.ts';
import {
  AGENT_FILE,
  ATTRIBUTES_FILE,
  POD_FILE,
  readCommitView,
  readRestoreEntries,
  type CommitView,
} from './commit-files.ts';
import { encodeCommitText } from './commit-message.ts';
import type { OpsContext } from './context.ts';
import { branchRef } from './home.ts';
import type { OpenAgent } from './open.ts';

/** A path that both sides changed. */
export interface MergeConflict {
  /** Escaped path in the commit tree, which holds what was here. */
  readonly path: string;
  /** Where what was there stands; undefined if it was removed there, and stays as it is here. */
  readonly theirs: string | undefined;
  readonly why: string;
}

/** What merging came to. */
export interface MergeResult {
  readonly commit: CommitId;
  readonly conflicts: readonly MergeConflict[];
}

/** How many conflicts a commit's message names. */
const NAMED_CONFLICTS = 50;
const MOST_TRIES = 100;
/** Systems take 255 for a name. */
const MOST_NAME_BYTES = 200;

/**
 * Merges a commit into an agent's branch and moves the branch. Live files stay as they are.
 * @param theirs a commit that is here
 * @param name what to call its line of history: `origin/main`
 */
export async function mergeInto(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  theirs: CommitId,
  name: string,
): Promise<MergeResult> {
  return repository.transact({ packs: false }, async (transaction) => {
    for (let tries = 1; ; tries += 1) {
      const ours = repository.refs.get(branchRef(agent)) as CommitId;
      // oxlint-disable-next-line no-await-in-loop -- again only when another process moved the branch
      const merged = await mergeCommits(context, repository, transaction, { agent: agent.label, ours, theirs, name });
      try {
        const move = { name: branchRef(agent), from: ours, to: merged.commit };
        // oxlint-disable-next-line no-await-in-loop -- the same
        await transaction.publish([move], [merged.note]);
        return { commit: merged.commit, conflicts: merged.conflicts };
      } catch (error) {
        if (!isMoltError(error, 'CONFLICT') || tries >= MOST_TRIES) throw error;
      }
    }
  });
}

async function mergeCommits(
  { clock }: OpsContext,
  repository: Repository,
  transaction: Transaction,
  merging: { readonly agent: string; readonly ours: CommitId; readonly theirs: CommitId; readonly name: string },
) {
  const { ours, theirs, name } = merging;
  const [base] = await findMergeBases(repository, ours, theirs);
  const views = [await readCommitView(repository, ours), await readCommitView(repository, theirs)] as const;
  // Without its content a common ancestor tells no more than that there was one.
  const isBaseKnown = base !== undefined && !(await repository.isExpired(base));
  const baseView = isBaseKnown ? await readCommitView(repository, base) : undefined;
  const { entries, conflicts } = mergeEntries({
    base: baseView === undefined ? new Map() : await readEntries(repository, baseView),
    ours: await readEntries(repository, views[0]),
    theirs: await readEntries(repository, views[1]),
    suffix: `theirs-${shortId(theirs)}`,
  });
  const ordered = inTreeOrder(entries) as RestoreEntry[];
  const written = await writeTree(transaction, ordered, views, baseView);
  const timeMs = clock.now();
  const sizes = new Map(ordered.flatMap((entry) => (entry.blob === undefined ? [] : [[entry.path, entry] as const])));
  const counts = { added: 0, modified: 0, removed: 0, kept: sizes.size };
  const message = encodeCommitText({
    message: [`merge ${name} ${shortId(theirs)}`, ...describeConflicts(conflicts)].join('\n'),
    kind: 'incremental',
    trigger: 'pull',
    timeMs,
    counts,
    components: componentSizes(ordered, sizes),
  });
  const signature = { name: merging.agent, email: 'agent@molt', timestampS: Math.floor(timeMs / 1000) };
  const parents = [ours, theirs];
  const commit = await writeCommit(transaction, { tree: written.root, parents, signature, message });
  const paths = await notePaths(repository, views[0].commit.tree, written);
  const note = { id: commit, timeMs, kind: 'incremental', parents, paths } as const;
  return { commit, conflicts, note };
}

async function readEntries(repository: Repository, view: CommitView): Promise<Map<string, RestoreEntry>> {
  return new Map((await readRestoreEntries(repository, view)).map((entry) => [entry.path, entry]));
}

async function writeTree(
  transaction: Transaction,
  entries: readonly RestoreEntry[],
  [ours, theirs]: readonly [CommitView, CommitView],
  base: CommitView | undefined,
) {
  const files = new Map<string, TreeFile>();
  for (const entry of entries) {
    if (entry.blob !== undefined) files.set(entry.path, { mode: treeMode(entry), blob: entry.blob });
  }
  const previous = ours.top.get(ATTRIBUTES_FILE)?.id;
  files.set(ATTRIBUTES_FILE, {
    mode: TREE_MODES.file,
    blob: await transaction.writeBlob(encodeAttributes(entries), previous),
  });
  for (const name of [AGENT_FILE, POD_FILE]) {
    const [is, was] = [ours.top.get(name), base?.top.get(name)];
    // How the agent is run follows whoever changed it; what describes the capture is this side's.
    const taken = name === POD_FILE && is?.id === was?.id ? (theirs.top.get(name) ?? is) : is;
    if (taken !== undefined) files.set(name, { mode: TREE_MODES.file, blob: taken.id });
  }
  const trees: { path: string; id: Awaited<ReturnType<typeof transaction.writeGit>>; content: Buffer }[] = [];
  const root = await writeTrees(files, async (content, path) => {
    const id = await transaction.writeGit('tree', content);
    trees.push({ path, id, content });
    return id;
  });
  return { root, trees };
}

/** The entries of three trees by path, and what a file of the other side is called beside one of this side. */
export interface MergeSides {
  readonly base: ReadonlyMap<string, RestoreEntry>;
  readonly ours: ReadonlyMap<string, RestoreEntry>;
  readonly theirs: ReadonlyMap<string, RestoreEntry>;
  readonly suffix: string;
}

/** Merges entries. Hard links that both sides have are this side's. */
export function mergeEntries({ base, ours, theirs, suffix }: MergeSides): {
  readonly entries: readonly RestoreEntry[];
  readonly conflicts: readonly MergeConflict[];
} {
  const merged = new Map<string, RestoreEntry>();
  const aside: { readonly entry: RestoreEntry; readonly why: string }[] = [];
  const conflicts: MergeConflict[] = [];
  const foreign = new Set<RestoreEntry>();
  for (const path of new Set([...ours.keys(), ...theirs.keys()])) {
    const [was, here, there] = [base.get(path), ours.get(path), theirs.get(path)];
    const taken = choose(was, here, there);
    if (taken === 'both') {
      if (here === undefined || there === undefined) {
        const kept = here ?? there;
        if (kept === undefined) continue;
        merged.set(path, kept);
        if (kept === there) foreign.add(kept);
        const why =
          here === undefined ? 'removed here and changed there: kept' : 'changed here and removed there: kept';
        conflicts.push({ path, theirs: undefined, why });
      } else {
        merged.set(path, here);
        aside.push({ entry: there, why: 'changed on both sides' });
      }
      continue;
    }
    if (taken === undefined) continue;
    merged.set(path, taken);
    if (taken === there && taken !== here) foreign.add(taken);
  }
  for (const entry of [...merged.values()].filter((entry) => foreign.has(entry))) {
    if (!standsBelowFile(entry.path, merged)) continue;
    merged.delete(entry.path);
    if (entry.type !== 'directory') aside.push({ entry, why: 'a folder there, a file here' });
  }
  for (const { entry, why } of aside) {
    if (entry.type === 'directory') continue;
    const path = freePath(entry.path, suffix, merged);
    const moved = { ...entry, path, linkGroup: 0 };
    addFolders(moved, merged, theirs);
    merged.set(path, moved);
    conflicts.push({ path: entry.path, theirs: path, why });
  }
  for (const entry of merged.values()) if (foreign.has(entry)) addFolders(entry, merged, theirs);
  return { entries: regroup([...merged.values()], foreign), conflicts };
}

function choose(
  was: RestoreEntry | undefined,
  here: RestoreEntry | undefined,
  there: RestoreEntry | undefined,
): RestoreEntry | undefined | 'both' {
  if (isSame(here, there)) return isSameWhole(here, was) ? there : here;
  if (isSame(here, was)) return there;
  if (isSame(there, was)) return here;
  // Of folders only times and permissions can differ.
  return here?.type === 'directory' && there?.type === 'directory' ? here : 'both';
}

/** Says whether two entries hold the same. */
function isSame(a: RestoreEntry | undefined, b: RestoreEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (a.type === 'directory' && b.type === 'directory') return true;
  return a.type === b.type && a.blob === b.blob && treeMode(a) === treeMode(b);
}

function isSameWhole(a: RestoreEntry | undefined, b: RestoreEntry | undefined): boolean {
  return isSame(a, b) && a?.mode === b?.mode && a?.mtimeNs === b?.mtimeNs;
}

/** Says whether a file or link stands where one of a path's folders should be. */
function standsBelowFile(path: string, merged: ReadonlyMap<string, RestoreEntry>): boolean {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    const above = merged.get(path.slice(0, at));
    if (above !== undefined && above.type !== 'directory') return true;
  }
  return false;
}

/** Returns a path that nothing has: beside the entry, or beside the file that stands where one of its folders was. */
function freePath(path: string, suffix: string, merged: ReadonlyMap<string, RestoreEntry>): string {
  const names = path.split('/');
  const blocked = names.findIndex((_, at) => {
    const above = merged.get(names.slice(0, at + 1).join('/'));
    return above !== undefined && above.type !== 'directory';
  });
  const at = blocked < 0 ? names.length - 1 : blocked;
  const name = shortened(names[at] ?? '');
  for (let count = 1; ; count += 1) {
    const renamed = names.with(at, `${name}.${suffix}${count === 1 ? '' : `-${count}`}`).join('/');
    if (!merged.has(renamed) && !standsBelowFile(renamed, merged)) return renamed;
  }
}

/** Cuts a name so that it is still one with a suffix; never through an escape. */
function shortened(name: string): string {
  return Buffer.byteLength(name) > MOST_NAME_BYTES
    ? name.slice(0, MOST_NAME_BYTES / 4).replace(/%[0-9A-F]?$/, '')
    : name;
}

/** Adds the folders that lead to an entry and are not there, as the other side has them. */
function addFolders(
  entry: RestoreEntry,
  merged: Map<string, RestoreEntry>,
  theirs: ReadonlyMap<string, RestoreEntry>,
): void {
  for (let at = entry.path.lastIndexOf('/'); at > 0; at = entry.path.lastIndexOf('/', at - 1)) {
    const path = entry.path.slice(0, at);
    if (merged.has(path)) continue;
    const known = theirs.get(path);
    const folder = { ...entry, path, type: 'directory', mode: 0o755, linkGroup: 0, secret: false } as const;
    merged.set(path, known?.type === 'directory' ? known : { ...folder, blob: undefined, sizeBytes: 0 });
  }
}

/** Gives the groups of hard links numbers of their own, by the side that they come from; a group of one is none. */
function regroup(entries: readonly RestoreEntry[], foreign: ReadonlySet<RestoreEntry>): RestoreEntry[] {
  const groupOf = (entry: RestoreEntry): string =>
    `${foreign.has(entry) ? 'theirs' : 'ours'} ${entry.linkGroup} ${entry.blob}`;
  const linked = entries.filter(({ linkGroup }) => linkGroup > 0);
  const members = Map.groupBy(linked, groupOf);
  const groups = [...members].filter(([, { length }]) => length > 1).map(([group]) => group);
  const numbers = new Map(groups.map((group, at) => [group, at + 1]));
  return entries.map((entry) =>
    entry.linkGroup === 0 ? entry : { ...entry, linkGroup: numbers.get(groupOf(entry)) ?? 0 },
  );
}

function describeConflicts(conflicts: readonly MergeConflict[]): string[] {
  if (conflicts.length === 0) return [];
  const lines = conflicts
    .slice(0, NAMED_CONFLICTS)
    .map(({ path, theirs, why }) => `- ${path}: ${why}${theirs === undefined ? '' : `; theirs is ${theirs}`}`);
  const more = conflicts.length - lines.length;
  return ['', ...lines, ...(more > 0 ? [`- and ${more} more`] : [])];
}
