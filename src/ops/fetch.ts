// Gets what a remote has and this machine lacks: the objects of the segments of its log since the last time, and its tags. Branches
// stay where they are; what the remote's were is remembered.

import type { GitId } from '../model/ids.ts';
import { transfer } from '../repo/transfer.ts';
import type { OpsContext } from './context.ts';
import {
  exchangeOutcome,
  findPlace,
  openRemoteRepository,
  planFetch,
  type ExchangeResult,
  type LeftRef,
  type MovedRef,
} from './exchange.ts';
import { openAgent, openStorage, resolveAgent, type OpenAgent } from './open.ts';
import { readBase, readGenerations } from './keyring-generations.ts';
import { openKeys, openKeysElsewhere } from './open-keys.ts';
import { haveSameKeys, takeKeyrings } from './sync-keys.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { openRemote, resolveRemote, type OpenRemote } from './remotes.ts';

/** What fetching came to. */
export interface FetchResult extends ExchangeResult {
  /** The remote's branches and tags. */
  readonly remoteRefs: ReadonlyMap<string, GitId>;
}

/**
 * Fetches from a remote.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS remote, NO_REPOSITORY when it is empty, and what the remote fails with
 */
export async function fetchRemote(context: OpsContext, label: string | undefined, name?: string): Promise<FetchResult> {
  return recordRun(
    context,
    { verb: 'fetch', label, remote: name },
    (quiet, note) => fetchNoted(quiet, label, name, note),
    (result) => exchangeOutcome(result, 'received'),
  );
}

/** Fetches as part of a run. @throws {MoltError} what fetchRemote throws */
export async function fetchNoted(
  context: OpsContext,
  label: string | undefined,
  name: string | undefined,
  note: RunNote,
): Promise<FetchResult> {
  const startedMs = context.clock.now();
  const agent = await resolveAgent(context, label);
  const remote = await resolveRemote(context.home, agent.repository, name);
  note.speaksTo(remote.name);
  await using opened = await openRemote(context, agent.repository, remote);
  note.counts(opened.view.remote.traffic);
  await opened.view.refresh(agent.repository);
  await takeKeys(context, agent, opened);
  await using open = await openAgent(context, agent.label);
  note.opened(open);
  const done = await fetchInto(context, open, opened);
  return { ...done, durationMs: context.clock.now() - startedMs };
}

/** Takes over what was changed in the keys elsewhere, once it is sure that it is authentic. */
async function takeKeys(context: OpsContext, agent: OpenAgent['agent'], opened: OpenRemote): Promise<void> {
  const { view, remote, keys: base } = opened;
  const storage = await openStorage(context, agent.repository);
  try {
    if (await haveSameKeys(view, storage, agent.repository)) return;
    const here = await openKeys(context, storage, agent);
    const there = await openKeysElsewhere(context, view, agent, here.roots);
    const roots = there.roots.epoch > here.roots.epoch ? there.roots : here.roots;
    await opened.saveKeys(
      await takeKeyrings(context, { agent, here: storage, there: view, name: remote.name, roots, base }),
    );
  } finally {
    await storage.close();
  }
}

/** Fetches from a remote that was looked at just now. */
async function fetchInto(context: OpsContext, open: OpenAgent, opened: OpenRemote): Promise<FetchResult> {
  const { repository } = open;
  const { remote, state, view } = opened;
  const { roots } = repository.keys;
  await opened.saveKeys(await readBase(repository.storage, view, repository.id, { roots, known: opened.keys }));
  const theirs = await readGenerations(view, repository.id, roots);
  const generation = theirs.proven.at(-1)?.generation ?? repository.keyGeneration;
  const keys = { roots, generation };
  const there = await openRemoteRepository(context, opened, keys);
  for (const { problem } of there.problems) context.reporter.warn(`${remote.name}: ${problem}`);
  const fetched = await findPlace(there, state.fetched);
  const before = repository.log.tip;
  const wasSent = (await findPlace(repository, state.sent)) === before.seq;
  let left: readonly LeftRef[] = [];
  const done = await transfer(there, repository, {
    isKnown: (seq) => seq <= fetched,
    isSourceFar: true,
    async moves() {
      const planned = await planFetch(repository, there);
      left = planned.left;
      return planned.moves;
    },
    onBytes: (doneBytes, totalBytes) =>
      context.reporter.progress({ phase: `fetch from ${remote.name}`, doneBytes, totalBytes }),
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
  view.sawTip(there.log.tip);
  // What came from there need not be sent there.
  const isAllTheirs = wasSent && repository.log.tip.seq === before.seq + done.segments;
  const sent = isAllTheirs ? repository.log.tip : state.sent;
  await opened.save({ sent, fetched: there.log.tip, refs: there.refs });
  await view.trim();
  return {
    agent: open.agent.label,
    remote: remote.name,
    url: remote.url,
    segments: done.segments,
    packs: done.packs,
    bytes: done.bytes,
    requests: { ...view.remote.traffic.requests },
    refs: [
      ...listNewRefs(remote.name, state.refs, there.refs),
      ...done.moves.map(({ name, from, to }) => ({ name, from, to })),
    ],
    left,
    durationMs: 0,
    remoteRefs: there.refs,
  };
}

/** Returns how the remote's branches moved since they were last seen. */
function listNewRefs(
  remote: string,
  before: ReadonlyMap<string, GitId>,
  now: ReadonlyMap<string, GitId>,
): readonly MovedRef[] {
  const names = new Set([...before.keys(), ...now.keys()].filter((name) => name.startsWith('refs/heads/')));
  return [...names]
    .filter((name) => before.get(name) !== now.get(name))
    .map((name) => {
      const short = name.slice('refs/heads/'.length);
      return { name: `refs/remotes/${remote}/${short}`, from: before.get(name), to: now.get(name) };
    });
}
