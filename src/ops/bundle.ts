// Writes an agent's history into one file: all of it, or what follows a commit. A bundle is a storage of the repository like any other,
// sealed under its own id and opened by the same keys.

import type { CommitNote } from '../format/segment.ts';
import { ENCODING, OBJECT } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, StorageId } from '../model/ids.ts';
import { listEdges } from '../repo/edges.ts';
import { storeHistory } from '../repo/history-pack.ts';
import { gitKey, mapKey } from '../repo/keys.ts';
import { claimStorage, Repository } from '../repo/repository.ts';
import { sealSegment } from '../repo/seal-segment.ts';
import { transfer } from '../repo/transfer.ts';
import { BundleWriter } from '../storage/bundle.ts';
import { walkHistory } from './ancestry.ts';
import { readCommitView } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { copyKeyrings } from './sync-keys.ts';
import { HOLDS } from './hold.ts';
import { branchRef } from './home.ts';
import { incarnationRef } from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import { recordRun } from './record-run.ts';
import { resolveRevision } from './revision.ts';

/** What was written: CLI.md's JSON for `export`. */
export interface ExportResult {
  readonly sizeBytes: number;
  readonly commits: number;
  readonly refs: readonly { readonly name: string; readonly to: GitId }[];
  /** The commit that it follows. */
  readonly since: CommitId | undefined;
}

/** What to write, and to where. */
export interface ExportOptions {
  /** A revision: only what follows it. */
  readonly since?: string | undefined;
  /** Takes the bundle's next bytes. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** What to call the bundle in errors. */
  readonly label: string;
}

/**
 * Exports an agent's history.
 * @throws {MoltError} NOT_FOUND when nothing follows the commit, DAMAGED, and what writing fails with
 */
export async function exportBundle(
  context: OpsContext,
  open: OpenAgent,
  options: ExportOptions,
): Promise<ExportResult> {
  return recordRun(
    context,
    { verb: 'export', detail: options.since === undefined ? undefined : `since ${options.since}` },
    async (quiet, note) => {
      note.opened(open);
      return writeBundle(quiet, open, options);
    },
    ({ sizeBytes }) => ({ bytes: { sent: sizeBytes } }),
  );
}

async function writeBundle(context: OpsContext, open: OpenAgent, options: ExportOptions): Promise<ExportResult> {
  const { repository } = open;
  const { clock, random, reporter } = context;
  const since = options.since === undefined ? undefined : await resolveRevision(context, open, options.since);
  const plan = since === undefined ? undefined : await planSince(open, since);
  const bundle = new BundleWriter(options.label, async (bytes) => {
    context.signal?.throwIfAborted();
    await options.write(bytes);
    reporter.progress({ phase: 'export', doneBytes: bundle.sizeBytes });
  });
  await claimStorage(bundle, {
    repositoryId: repository.id,
    storageId: random.bytes(16).toString('hex') as StorageId,
  });
  const { roots } = repository.keys;
  await copyKeyrings(repository.storage, bundle, { repository: repository.id, roots });
  const keys = { roots, generation: repository.keyGeneration };
  const there = await Repository.open(bundle, keys, { clock, random, checkpointEvery: Infinity });
  const result =
    plan === undefined || since === undefined
      ? await exportAll(context, repository, there)
      : await exportSince(repository, there, since, plan);
  await bundle.finish();
  return { ...result, since, sizeBytes: bundle.sizeBytes };
}

async function exportAll(
  context: OpsContext,
  repository: Repository,
  there: Repository,
): Promise<Pick<ExportResult, 'commits' | 'refs'>> {
  const refs = [...repository.refs].map(([name, to]) => ({ name, to }));
  await transfer(repository, there, {
    isKnown: () => false,
    moves: async () =>
      refs
        .filter(({ name }) => !there.refs.has(name))
        .map(({ name, to }) => ({ name, from: undefined, to, commit: repository.tagged.get(name) })),
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
  return { commits: (await repository.index.readCommits()).count, refs };
}

/** What follows a commit: new commits, oldest first, and the refs that lead to them. */
interface SincePlan {
  readonly commits: readonly CommitNote[];
  readonly refs: readonly { readonly name: string; readonly to: GitId; readonly commit: CommitId | undefined }[];
}

async function planSince({ agent, repository }: OpenAgent, since: CommitId): Promise<SincePlan> {
  const ref = branchRef(agent);
  const tip = repository.refs.get(ref);
  if (tip === undefined) throw new MoltError('NOT_FOUND', `branch ${agent.branch} has no commits yet`);
  const known = new Set<CommitId>();
  for await (const { commit } of walkHistory(repository, since)) known.add(commit.id);
  const commits: CommitNote[] = [];
  for await (const { commit, text } of walkHistory(repository, tip)) {
    if (known.has(commit.id)) continue;
    commits.push({ id: commit.id, timeMs: text.timeMs, kind: text.kind, parents: commit.parents });
  }
  if (commits.length === 0) {
    throw new MoltError('NOT_FOUND', `nothing on branch ${agent.branch} follows ${since.slice(0, 10)}`, {
      hint: 'there is nothing to export',
    });
  }
  const ids = new Set(commits.map(({ id }) => id));
  const incarnation = incarnationRef(agent.branch);
  const tags = [...repository.refs].flatMap(([name, to]) => {
    const commit = repository.tagged.get(name);
    const isReached =
      commit !== undefined &&
      (ids.has(commit) || ((name === incarnation || name.startsWith(HOLDS)) && known.has(commit)));
    return isReached ? [{ name, to, commit }] : [];
  });
  return { commits: commits.toReversed(), refs: [{ name: ref, to: tip, commit: undefined }, ...tags] };
}

/** Writes whole objects, so that of the deltas' bases nothing need be known on the other side. */
async function exportSince(
  repository: Repository,
  there: Repository,
  since: CommitId,
  plan: SincePlan,
): Promise<Pick<ExportResult, 'commits' | 'refs'>> {
  const known = new Set<string>();
  const visit = async (key: Buffer, take: ((key: Buffer) => Promise<void>) | undefined): Promise<void> => {
    const id = mapKey(key);
    if (known.has(id)) return;
    known.add(id);
    const place = await repository.index.find(key);
    if (place === undefined) throw new MoltError('DAMAGED', 'an object is missing', { hint: 'run molt verify' });
    if (place.type !== OBJECT.chunk) {
      const bytes = await repository.objects.readPlace(key, place);
      for (const edge of listEdges({ key, type: place.type }, bytes))
        if (edge.isParent !== true) await visit(edge.key, take);
    }
    await take?.(key);
  };
  // Of one that has expired nobody knows what is there.
  const { commit: base } = await readCommitView(repository, since);
  await visit(gitKey(base.id), undefined);
  const expired = await repository.listExpired();
  const gone = plan.commits.filter(({ id }) => expired.has(id));
  const history = await storeHistory(repository, there, gone);
  const packs = history.map(({ note }) => note);
  await there.log.append((next) =>
    sealSegment(there, next, {
      moves: [],
      commits: [],
      packs,
      history: packs.map(({ id }) => id),
      blocks: [],
      requires: [since],
    }),
  );
  await there.indexNew({ packs, entries: history.flatMap(({ entries }) => entries), storedBytes: 0 });
  await there.transact({ packs: false }, async (transaction) => {
    const take = async (key: Buffer): Promise<void> => {
      const found = await repository.objects.find(key);
      if (found === undefined) throw new MoltError('DAMAGED', 'an object is missing', { hint: 'run molt verify' });
      const { bytes, type, place } = found;
      const isSecret = place.encoding === ENCODING.raw && type === OBJECT.chunk;
      const isGit = type === OBJECT.commit || type === OBJECT.tag;
      const group = isSecret ? 'secret' : isGit ? 'history' : type === OBJECT.chunk ? 'content' : 'metadata';
      await transaction.put({ key, type, bytes }, group, undefined);
    };
    for (const { id } of plan.commits) if (!expired.has(id)) await visit(gitKey(id), take);
    for (const { to, commit } of plan.refs) {
      // What a tag names is sent, or is there.
      if (commit !== undefined) known.add(mapKey(gitKey(commit)));
      // oxlint-disable-next-line no-await-in-loop -- few
      if (commit !== undefined) await visit(gitKey(to), take);
    }
    const moves = plan.refs.map(({ name, to, commit }) => ({ name, from: undefined, to, commit }));
    await transaction.publish(
      moves,
      plan.commits.filter(({ id }) => !expired.has(id)),
    );
  });
  return { commits: plan.commits.length, refs: plan.refs.map(({ name, to }) => ({ name, to })) };
}
