// Sends what a remote lacks: the objects of the local log's segments since the last push, then branches and tags, in one segment of
// the remote's own log if they fit.

import { isMoltError, MoltError } from '../model/error.ts';
import type { StorageId } from '../model/ids.ts';
import { isEmptyRemote } from '../repo/remote-view.ts';
import { claimStorage, type Repository } from '../repo/repository.ts';
import { transfer, type Transferred } from '../repo/transfer.ts';
import type { OpsContext } from './context.ts';
import {
  exchangeOutcome,
  findPlace,
  openRemoteRepository,
  planPush,
  type ExchangeResult,
  type LeftRef,
} from './exchange.ts';
import { checkRemoteFence, fencedError, findKnownFence } from './incarnation.ts';
import { openAgent, resolveAgent, type OpenAgent } from './open.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { pull, type PullResult } from './pull.ts';
import { probeFirst } from './remote.ts';
import { hasSentKeys, sendKeyrings } from './sync-keys.ts';
import { listRemotes, openRemote, resolveRemote, type OpenRemote, type Remote } from './remotes.ts';

/** How to push. */
export interface PushOptions {
  readonly remote?: string | undefined;
  /** Look at the remote even if it was looked at within a day. */
  readonly forceCheck?: boolean;
}

/** What came of pushing to several remotes. */
export interface PushAllResult {
  readonly agent: string;
  readonly results: readonly (
    | ExchangeResult
    | { readonly remote: string; readonly url: string; readonly error: MoltError }
  )[];
  /** What was pulled from them before, where that moved the branch. */
  readonly merged: readonly PullResult[];
  /** How many remotes have everything. */
  readonly copies: number;
}

/**
 * Pushes an agent's repository to one remote.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS remote, FENCED when the branch was restored elsewhere since, CONFLICT when the remote has commits
 *   that are not here, and what the remote fails with
 */
export async function push(
  context: OpsContext,
  label: string | undefined,
  options: PushOptions = {},
): Promise<ExchangeResult> {
  const run = { verb: 'push', label, remote: options.remote } as const;
  return recordRun(
    context,
    run,
    async (quiet, note) => {
      await using open = await openAgent(quiet, label);
      note.opened(open);
      const remote = await resolveRemote(quiet.home, open.agent.repository, options.remote);
      return await pushTo(quiet, open, remote, options, note);
    },
    (result) => exchangeOutcome(result, 'sent'),
  );
}

/**
 * Brings an agent's repository and all of its remotes together: what any of them has that is not here is pulled first, so that all get
 * one and the same. One that fails does not keep the others from being sent to.
 */
export async function pushAll(
  context: OpsContext,
  label: string | undefined,
  options: Omit<PushOptions, 'remote'> = {},
): Promise<PushAllResult> {
  const agent = await resolveAgent(context, label);
  const remotes = await listRemotes(context.home, agent.repository);
  if (remotes.length === 0) await resolveRemote(context.home, agent.repository, undefined);
  const failures = new Map<string, MoltError>();
  const merged: PullResult[] = [];
  for (const { name } of remotes) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: each may have what the next lacks
    const pulled = await unlessRefused(pull(context, agent.label, name));
    if (isMoltError(pulled) && !isEmptyRemote(pulled)) failures.set(name, pulled);
    else if (!isMoltError(pulled) && pulled.outcome !== 'up-to-date') merged.push(pulled);
  }
  await using open = await openAgent(context, agent.label);
  const results: PushAllResult['results'][number][] = [];
  for (const remote of remotes) {
    const error = failures.get(remote.name);
    // oxlint-disable-next-line no-await-in-loop -- the same: the first copy is there soonest
    const result = error ?? (await unlessRefused(pushOpened(context, open, remote, options)));
    results.push(isMoltError(result) ? { remote: remote.name, url: remote.url, error: result } : result);
  }
  return { agent: agent.label, results, merged, copies: results.filter((result) => !('error' in result)).length };
}

/** Returns the error of one remote as a value: another one may work. */
async function unlessRefused<T>(working: Promise<T>): Promise<T | MoltError> {
  try {
    return await working;
  } catch (error) {
    if (!isMoltError(error) || isMoltError(error, 'INTERRUPTED')) throw error;
    return error;
  }
}

function pushOpened(
  context: OpsContext,
  open: OpenAgent,
  remote: Remote,
  options: PushOptions,
): Promise<ExchangeResult> {
  return recordRun(
    context,
    { verb: 'push', remote: remote.name },
    async (quiet, note) => {
      note.opened(open);
      return pushTo(quiet, open, remote, options, note);
    },
    (result) => exchangeOutcome(result, 'sent'),
  );
}

async function pushTo(
  context: OpsContext,
  open: OpenAgent,
  named: Remote,
  { forceCheck = false }: PushOptions,
  note: RunNote,
): Promise<ExchangeResult> {
  const startedMs = context.clock.now();
  note.speaksTo(named.name);
  const fence = forceCheck ? undefined : await findKnownFence(open);
  if (fence !== undefined) throw fencedError(open.agent, fence, 'nothing was sent');
  const remote = await probeFirst(context, open.agent.repository, named);
  await using opened = await openRemote(context, open.agent.repository, remote);
  note.counts(opened.view.remote.traffic);
  const { repository } = open;
  const sent = await findPlace(repository, opened.state.sent);
  const result = (done: Transferred | undefined, left: readonly LeftRef[]): ExchangeResult => ({
    agent: open.agent.label,
    remote: remote.name,
    url: remote.url,
    segments: done?.segments ?? 0,
    packs: done?.packs ?? 0,
    bytes: done?.bytes ?? 0,
    requests: { ...opened.view.remote.traffic.requests },
    refs: (done?.moves ?? []).map(({ name, from, to }) => ({ name, from, to })),
    left,
    durationMs: context.clock.now() - startedMs,
  });
  const { roots } = repository.keys;
  const sides = {
    agent: open.agent,
    here: repository.storage,
    there: opened.view,
    name: remote.name,
    roots,
    base: opened.keys,
  };
  const isLevel =
    sent === repository.log.tip.seq && hasSameRefs(repository, opened.state.refs) && (await hasSentKeys(sides));
  if (isLevel && opened.view.isFresh && !forceCheck) return result(undefined, []);
  if (!opened.view.isFresh || forceCheck) await look(context, open, opened);
  const { generation, isNew } = await sendKeyrings(context, sides, (base) => opened.saveKeys(base));
  const keys = { roots, generation };
  const there = await openRemoteRepository(context, opened, keys);
  await checkRemoteFence(context, open.agent, there);
  const before = there.log.tip;
  const own = await findPlace(there, opened.state.fetched);
  let left: readonly LeftRef[] = [];
  const done = await transfer(repository, there, {
    isKnown: (seq) => seq <= sent,
    // Whoever counts on the next number being free must come across new keys.
    writesAnyway: isNew,
    async moves() {
      const planned = await planPush(context, open, there);
      left = planned.left;
      return planned.moves;
    },
    onBytes: (doneBytes, totalBytes) =>
      context.reporter.progress({ phase: `push to ${remote.name}`, doneBytes, totalBytes }),
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
  opened.view.sawTip(there.log.tip);
  // What was written without another writer in between is known here; else the next fetch looks.
  const isOwn = own === before.seq && there.log.tip.seq === before.seq + done.segments;
  const fetched = isOwn ? there.log.tip : opened.state.fetched;
  await opened.save({ sent: repository.log.tip, fetched, refs: there.refs });
  await opened.view.trim();
  return result(done, left);
}

/** Looks at a remote before writing to it; one that is empty becomes a storage of this repository. */
async function look(context: OpsContext, open: OpenAgent, { view }: OpenRemote): Promise<void> {
  const expected = open.agent.repository;
  try {
    await view.refresh(expected);
  } catch (error) {
    if (!isEmptyRemote(error)) throw error;
    const storageId = context.random.bytes(16).toString('hex') as StorageId;
    await claimStorage(view, { repositoryId: expected, storageId }).catch((cause: unknown) => {
      // Somebody else was first: then it is looked at as it is.
      if (!isMoltError(cause, 'EXISTS')) throw cause;
    });
    await view.refresh(expected);
  }
}

function hasSameRefs(repository: Repository, refs: ReadonlyMap<string, string>): boolean {
  for (const [name, id] of repository.refs) if (refs.get(name) !== id) return false;
  return true;
}
