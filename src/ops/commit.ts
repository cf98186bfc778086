// Commits a live agent: captures what changed, writes trees and a commit, and publishes both in one step.

import { encodeAttributes } from '../format/attributes.ts';
import type { CommitKind, RefMove } from '../format/segment.ts';
import type { ComponentSize } from '../model/component.ts';
import type { SkippedPath } from '../model/entry.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { writeCommit, writeTag } from '../repo/git.ts';
import { gitIdOf } from '../repo/objects.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import type { Transaction } from '../repo/transaction.ts';
import { TREE_MODES, writeTrees, type TreeFile } from '../repo/trees.ts';
import { notePaths } from './changed-paths.ts';
import { captureAgent, type CapturedAgent, type CaptureWitness } from './capture-agent.ts';
import {
  AGENT_FILE,
  ATTRIBUTES_FILE,
  HeadCommit,
  POD_FILE,
  readDescription,
  TreeFinder,
  type CommitView,
} from './commit-files.ts';
import { encodeCommitText, type FileCounts } from './commit-message.ts';
import type { OpsContext } from './context.ts';
import { branchRef, type Agent } from './home.ts';
import { checkCommitFence, guardIncarnation } from './incarnation.ts';
import { podSpecOf } from './pod-spec.ts';
import { promoteTree } from './promote.ts';
import { saveCommitCache } from './stat-cache-file.ts';

/** What to commit. */
export interface CommitOptions {
  readonly kind: CommitKind;
  readonly message?: string | undefined;
  /** What set it off: `cli`, `init`, `schedule`, `run`. */
  readonly trigger: string;
  /** The user's name for a backup; becomes its tag. */
  readonly name?: string | undefined;
  /** Make the commit self-contained in packs. */
  readonly full?: boolean;
  /** Is given what is captured. */
  readonly witness?: CaptureWitness | undefined;
}

/** What came of it: CLI.md's JSON for `commit` and `backup create`. */
export interface CommitResult {
  readonly id: CommitId;
  readonly kind: CommitKind;
  readonly parent: CommitId | undefined;
  readonly time: string;
  /** Nothing differs from the head, and nothing of it was lost: no commit was made, `id` is the head. */
  readonly unchanged: boolean;
  readonly tag: string | undefined;
  readonly files: FileCounts;
  readonly bytes: { readonly read: number; readonly stored: number };
  readonly skipped: readonly SkippedPath[];
  readonly components: readonly ComponentSize[];
  readonly roots: readonly { readonly key: string; readonly dir: string; readonly reason: string }[];
  readonly durationMs: number;
}

/** How often a commit that lost its branch to another process is put on top of the winner's. */
const MOST_TRIES = 100;

/** A commit, and what was captured for it. */
export interface CapturedCommit {
  readonly result: CommitResult;
  readonly captured: CapturedAgent;
}

/**
 * Commits an agent. Nothing changed makes no commit, unless a tag is wanted (a backup always is one) or something of the head was
 * lost, which the commit stores anew.
 * @throws {MoltError} what capture and publishing throw; then the branch stands where it stood
 */
export async function commitAgent(
  context: OpsContext,
  agent: Agent,
  repository: Repository,
  options: CommitOptions,
): Promise<CommitResult> {
  return (await commitCaptured(context, agent, repository, options)).result;
}

/** Commits an agent as commitAgent does, and returns what was captured as well. */
export async function commitCaptured(
  context: OpsContext,
  agent: Agent,
  repository: Repository,
  options: CommitOptions,
): Promise<CapturedCommit> {
  const startedMs = context.clock.now();
  const tag = tagNameOf(options, startedMs, repository.refs);
  if (tag !== undefined && repository.refs.has(`refs/tags/${tag}`)) throw tagExists(tag);
  await checkCommitFence(context, agent, repository);
  const full = options.full ?? false;
  return repository.transact({ packs: full }, async (transaction) => {
    const writing = { repository, transaction };
    const head = new HeadCommit(repository, repository.refs.get(branchRef(agent)));
    const captured = await captureAgent(context, agent, repository, transaction, {
      head,
      full,
      witness: options.witness,
    });
    const plan = await planTree(agent, captured);
    const top = captured.previousTop ?? topIds(await head.view());
    const took = (): number => context.clock.now() - startedMs;
    const isSame = isSameTree(top, plan.compared);
    if (head.id !== undefined && tag === undefined && isSame && (await isStored(writing, captured, plan, head))) {
      await remember(context, agent, repository, head.id, captured, plan);
      const made = {
        id: head.id,
        parent: (await head.view())?.commit.parents[0],
        storedBytes: 0,
        tag,
        unchanged: true,
      };
      return { result: resultOf(options, captured, made, took()), captured };
    }
    await writePlanned(writing, plan, head, plan.trees);
    await transaction.writeBlob(plan.descriptions.agent, (await head.view())?.top.get(AGENT_FILE)?.id);
    if (full) await promoteTree(repository, transaction, plan.root);
    const view = await head.view();
    const isKnown = head.id === undefined || view !== undefined;
    const paths = isKnown ? await notePaths(repository, view?.commit.tree, plan) : undefined;
    const changed = { head: head.id, paths };
    const made = await publishCommit(context, {
      repository,
      transaction,
      agent,
      options,
      captured,
      tree: plan.root,
      tag,
      changed,
    });
    await remember(context, agent, repository, made.id, captured, plan);
    return { result: resultOf(options, captured, { ...made, tag, unchanged: false }, took()), captured };
  });
}

function topIds(view: CommitView | undefined): ReadonlyMap<string, GitId> {
  const entries = [...(view?.top.values() ?? [])].filter(({ name }) => name !== AGENT_FILE);
  return new Map(entries.map(({ name, id }) => [name, id]));
}

/** Returns the tag that a backup gets: the user's name for it, or its kind and time; none for an incremental. */
function tagNameOf(options: CommitOptions, timeMs: number, refs: ReadonlyMap<string, GitId>): string | undefined {
  if (options.name !== undefined) return options.name;
  const stamp = new Date(timeMs).toISOString().replaceAll(/[-:]/g, '').replace(/\.\d+/, '');
  if (options.kind === 'incremental') return undefined;
  const tag = `${options.kind}/${stamp}`;
  let name = tag;
  for (let count = 2; refs.has(`refs/tags/${name}`); count += 1) name = `${tag}-${count}`;
  return name;
}

/** Returns the error for a tag that is taken. */
export function tagExists(tag: string): MoltError {
  return new MoltError('EXISTS', `there is a tag "${tag}" already`, { hint: 'choose another name, or see molt tag' });
}

interface Writing {
  readonly agent: Agent;
  readonly repository: Repository;
  readonly transaction: Transaction;
  readonly options: CommitOptions;
  readonly captured: CapturedAgent;
  readonly tree: GitId;
  readonly tag: string | undefined;
  /** The note of the paths that differ from those of a commit. */
  readonly changed: { readonly head: CommitId | undefined; readonly paths: Buffer | undefined };
}

/** Publishes commit and tag; when another process moved the branch meanwhile, the commit goes on top of the winner's. */
async function publishCommit(
  context: OpsContext,
  writing: Writing,
): Promise<{ id: CommitId; parent: CommitId | undefined; storedBytes: number }> {
  const { repository, transaction, agent, options, captured, changed } = writing;
  for (let attempt = 1; ; attempt += 1) {
    const parent = repository.refs.get(branchRef(agent));
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    const { id, moves } = await writeObjects(writing, parent);
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    await checkCommitFence(context, agent, repository);
    const parents = parent === undefined ? [] : [parent];
    // On top of another commit it may have changed other paths.
    const paths = parent === changed.head ? changed.paths : undefined;
    try {
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      const { storedBytes } = await transaction.publish(
        [...moves, guardIncarnation(repository, agent.branch)],
        [{ id, timeMs: captured.capturedMs, kind: options.kind, parents, paths }],
      );
      return { id, parent, storedBytes };
    } catch (error) {
      if (!isMoltError(error, 'CONFLICT') || attempt === MOST_TRIES) throw error;
      if (writing.tag !== undefined && repository.refs.has(`refs/tags/${writing.tag}`)) throw tagExists(writing.tag);
    }
  }
}

async function writeObjects(writing: Writing, parent: GitId | undefined): Promise<{ id: CommitId; moves: RefMove[] }> {
  const { transaction, agent, options, captured, tree, tag } = writing;
  const timestampS = Math.floor(captured.capturedMs / 1000);
  const signature = { name: agent.label, email: 'agent@molt', timestampS };
  const { counts, components } = captured;
  const text = { kind: options.kind, trigger: options.trigger, timeMs: captured.capturedMs, counts, components };
  const subject =
    options.kind === 'incremental' ? subjectOf(captured) : `${options.kind} backup, ${subjectOf(captured)}`;
  const message = encodeCommitText({ ...text, message: options.message ?? subject });
  const parents = parent === undefined ? [] : [parent];
  const id = await writeCommit(transaction, { tree, parents, signature, message });
  const moves: RefMove[] = [{ name: branchRef(agent), from: parent, to: id }];
  if (tag !== undefined) {
    const tagId = await writeTag(transaction, {
      name: tag,
      commit: id,
      signature,
      message: `${options.message ?? `${options.kind} backup`}\n`,
    });
    moves.push({ name: `refs/tags/${tag}`, from: undefined, to: tagId, commit: id });
  }
  return { id, moves };
}

/** What a commit is called when the user said nothing: how many files of which component changed. */
function subjectOf(captured: CapturedAgent): string {
  const { added, modified, removed } = captured.counts;
  const parts = [
    added > 0 ? `${added} added` : '',
    modified > 0 ? `${modified} changed` : '',
    removed > 0 ? `${removed} removed` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'no file changed' : parts.join(', ');
}

/** The files of a commit tree that describe the agent, as bytes. */
interface Descriptions {
  readonly attributes: Buffer;
  readonly pod: Buffer;
  readonly agent: Buffer;
}

/** A commit tree that is worked out but not written. */
export interface PlannedTree {
  readonly root: GitId;
  readonly trees: readonly { readonly path: string; readonly id: GitId; readonly content: Buffer }[];
  readonly descriptions: Descriptions;
  /** What decides whether anything changed: the top of the tree but agent.json, which tells the time. */
  readonly compared: ReadonlyMap<string, GitId>;
}

/** Works out the commit tree of what was captured. */
export async function planTree(agent: Agent, captured: CapturedAgent): Promise<PlannedTree> {
  const descriptions: Descriptions = {
    attributes: encodeAttributes(captured.attributes),
    pod: jsonFile(podSpecOf(agent)),
    agent: jsonFile(describeCapture(agent, captured)),
  };
  const files = new Map<string, TreeFile>(captured.files);
  const compared = new Map<string, GitId>();
  for (const [name, bytes] of [
    [ATTRIBUTES_FILE, descriptions.attributes],
    [POD_FILE, descriptions.pod],
    [AGENT_FILE, descriptions.agent],
  ] as const) {
    const blob = gitIdOf('blob', bytes);
    files.set(name, { mode: TREE_MODES.file, blob });
    if (name !== AGENT_FILE) compared.set(name, blob);
  }
  const trees: { path: string; id: GitId; content: Buffer }[] = [];
  const root = await writeTrees(files, async (content, path) => {
    const id = gitIdOf('tree', content);
    trees.push({ path, id, content });
    if (path === 'state' || path === 'roots') compared.set(path, id);
    return id;
  });
  return { root, trees, descriptions, compared };
}

/**
 * Says whether a head that the agent equals is stored whole. The stat cache vouches for it. A repair that found something lost took
 * that away: then whatever of the state is missing was put into the transaction, and is again when it comes to a commit.
 */
async function isStored(
  writing: Pick<Writing, 'repository' | 'transaction'>,
  captured: CapturedAgent,
  plan: PlannedTree,
  head: HeadCommit,
): Promise<boolean> {
  if (captured.previousTop !== undefined) return true;
  const { repository, transaction } = writing;
  const isState = ({ path }: { readonly path: string }): boolean => path !== '';
  await writePlanned(writing, plan, head, plan.trees.filter(isState));
  if (!transaction.isEmpty) return false;
  const view = await head.view();
  const description = view && (await unlessDamaged(readDescription(repository, view, AGENT_FILE)));
  return description !== undefined;
}

/** Writes trees, and what describes the agent but for the time. */
async function writePlanned(
  writing: Pick<Writing, 'repository' | 'transaction'>,
  plan: PlannedTree,
  head: HeadCommit,
  trees: PlannedTree['trees'],
): Promise<void> {
  const { repository, transaction } = writing;
  const view = await head.view();
  await transaction.writeBlob(plan.descriptions.attributes, view?.top.get(ATTRIBUTES_FILE)?.id);
  await transaction.writeBlob(plan.descriptions.pod, view?.top.get(POD_FILE)?.id);
  const earlier = new TreeFinder(repository, view);
  for (const { path, content } of trees) {
    // oxlint-disable-next-line no-await-in-loop -- one object after the other
    await transaction.writeGit('tree', content, () => unlessDamaged(earlier.find(path)));
  }
}

function isSameTree(top: ReadonlyMap<string, GitId>, compared: ReadonlyMap<string, GitId>): boolean {
  return top.size === compared.size && [...compared].every(([name, id]) => top.get(name) === id);
}

/** Returns agent.json: what the commit holds, and what a restore will want to know about it. */
function describeCapture(agent: Agent, captured: CapturedAgent): Record<string, unknown> {
  const { description, roots, components, capturedMs, databases, skipped } = captured;
  return {
    molt: 'agent',
    version: 1,
    agent: agent.label,
    profile: description.profile,
    ...(description.programVersion !== undefined && { programVersion: description.programVersion }),
    schemaVersions: description.schemaVersions,
    roots: roots.map(({ key, dir, reason }) => ({ key, dir, reason })),
    components,
    captured: new Date(capturedMs).toISOString(),
    databasesCaptured: Object.fromEntries(
      Object.entries(databases).map(([path, ms]) => [path, new Date(ms).toISOString()]),
    ),
    skipped,
  };
}

function jsonFile(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8');
}

/** Saves the stat cache; a commit that is published stands, whether or not the next one will be quick. */
async function remember(
  context: OpsContext,
  agent: Agent,
  repository: Repository,
  head: CommitId,
  captured: CapturedAgent,
  plan: PlannedTree,
): Promise<void> {
  const roots = captured.roots.map(({ key, dir }) => ({ key, dir }));
  try {
    await saveCommitCache(context.home, agent, repository, { head, top: plan.compared, roots, stat: captured.cache });
  } catch (error) {
    if (!isSystemError(error, 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EIO')) throw error;
    context.reporter.warn(
      `the stat cache could not be saved (${error.code ?? ''}): the next commit reads everything again`,
    );
  }
}

function resultOf(
  options: CommitOptions,
  captured: CapturedAgent,
  made: {
    id: CommitId;
    parent: CommitId | undefined;
    storedBytes: number;
    tag: string | undefined;
    unchanged: boolean;
  },
  durationMs: number,
): CommitResult {
  return {
    id: made.id,
    kind: options.kind,
    parent: made.parent,
    time: new Date(captured.capturedMs).toISOString(),
    unchanged: made.unchanged,
    tag: made.tag,
    files: captured.counts,
    bytes: { read: captured.readBytes, stored: made.storedBytes },
    skipped: captured.skipped,
    components: captured.components,
    roots: captured.roots.map(({ key, dir, reason }) => ({ key, dir, reason })),
    durationMs,
  };
}
