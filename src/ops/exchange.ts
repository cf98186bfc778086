// What push and fetch have in common: the remote's repository opened through its view, which refs may move, and what is remembered.

import { hash } from 'node:crypto';
import type { RefMove } from '../format/segment.ts';
import { segmentName } from '../format/segment.ts';
import { MoltError } from '../model/error.ts';
import type { GitId } from '../model/ids.ts';
import { Repository } from '../repo/repository.ts';
import type { RequestKind } from '../storage/remote.ts';
import type { OpsContext } from './context.ts';
import { isAncestor } from './ancestry.ts';
import { branchRef, type Agent } from './home.ts';
import { planHolds } from './hold.ts';
import {
  checkRemoteFence,
  findFence,
  guardIncarnation,
  incarnationRef,
  planIncarnations,
  readIncarnation,
} from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import type { RunOutcome } from './record-run.ts';
import type { LogPlace, OpenRemote } from './remotes.ts';

/** A remote's log is read whole by whoever opens it first, up to its last checkpoint; each checkpoint costs two requests. */
const CHECKPOINT_EVERY = 64;

/** A ref that moved. */
export interface MovedRef {
  readonly name: string;
  readonly from: GitId | undefined;
  readonly to: GitId | undefined;
}

/** A ref that did not move although it differs, and why. */
export interface LeftRef {
  readonly name: string;
  readonly why: string;
}

/** What came over: CLI.md's JSON for push, fetch, pull and clone. */
export interface ExchangeResult {
  readonly agent: string;
  readonly remote: string;
  readonly url: string;
  readonly segments: number;
  readonly packs: number;
  readonly bytes: number;
  readonly requests: Readonly<Record<RequestKind, number>>;
  readonly refs: readonly MovedRef[];
  readonly left: readonly LeftRef[];
  readonly durationMs: number;
}

/** Returns what the backup log is told of an exchange. */
export function exchangeOutcome(
  { remote, bytes, requests, segments, refs }: ExchangeResult,
  way: 'sent' | 'received',
): RunOutcome {
  const isNothing = segments === 0 && bytes === 0 && refs.length === 0;
  return { remote, requests, bytes: { [way]: bytes }, result: isNothing ? 'unchanged' : 'ok' };
}

/** Opens the repository of a remote by the keys of the local one. */
export async function openRemoteRepository(
  context: OpsContext,
  { view }: OpenRemote,
  keys: { readonly roots: Repository['keys']['roots']; readonly generation: number },
): Promise<Repository> {
  const { clock, random } = context;
  const there = await Repository.open(view, keys, { clock, random, checkpointEvery: CHECKPOINT_EVERY });
  view.checkBegin(there.log.begin.seq);
  return there;
}

/** Returns the number up to which a log is as it was when a place was noted in it; 0 if it is another log by now. */
export async function findPlace(repository: Repository, place: LogPlace | undefined): Promise<number> {
  if (place === undefined || place.seq === 0) return 0;
  const { tip } = repository.log;
  if (place.seq > tip.seq) return 0;
  if (place.seq === tip.seq) return place.hash === tip.hash ? place.seq : 0;
  const bytes = await repository.storage.read(segmentName(place.seq));
  return bytes !== undefined && hash('sha256', bytes, 'hex') === place.hash ? place.seq : 0;
}

/** Which refs of one side move to where the other has them. */
export interface PlannedMoves {
  readonly moves: readonly RefMove[];
  readonly left: readonly LeftRef[];
}

/**
 * Plans to move a remote's branches and tags to where they are here: what is new there, and branches that only go forward and were not
 * restored elsewhere since.
 * @throws {MoltError} FENCED when the agent's own branch was, CONFLICT when it has commits there that are not here
 */
export async function planPush(
  context: Pick<OpsContext, 'home'>,
  { agent, repository }: OpenAgent,
  remote: Repository,
): Promise<PlannedMoves> {
  await checkRemoteFence(context, agent, remote);
  const moves = [...(await planIncarnations(repository, remote)), ...(await planHolds(repository, remote))];
  const left: LeftRef[] = [];
  for (const [name, to] of repository.refs) {
    const from = remote.refs.get(name);
    if (from === to || name.startsWith('refs/molt/')) continue;
    if (from === undefined) {
      const commit = repository.tagged.get(name);
      // oxlint-disable-next-line no-await-in-loop -- new tags are few
      if (commit !== undefined && (await remote.isExpired(commit))) continue;
      moves.push({ name, from, to, commit });
    } else if (name.startsWith('refs/tags/')) {
      left.push({ name, why: 'another tag has this name there' });
      // oxlint-disable-next-line no-await-in-loop -- few branches differ
    } else if (await isAncestor(repository, from, to)) {
      const branch = name.slice('refs/heads/'.length);
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (branch !== agent.branch && (await isFencedOff(context, agent, remote, branch))) {
        left.push({ name, why: 'it was restored elsewhere since' });
        continue;
      }
      moves.push({ name, from, to });
      const isRaised = moves.some((move) => move.name === incarnationRef(branch));
      if (!isRaised) moves.push(guardIncarnation(remote, branch));
      // oxlint-disable-next-line no-await-in-loop -- the same
    } else if (await isAncestor(repository, to, from)) {
      left.push({ name, why: 'it is further there' });
    } else if (name === branchRef(agent)) {
      throw new MoltError(
        'CONFLICT',
        `branch ${agent.branch} has commits on ${remote.storage.label} that are not here; nothing was moved there`,
        { hint: 'molt pull brings them here and merges; then push again' },
      );
    } else left.push({ name, why: 'it has commits there that are not here' });
  }
  return { moves, left };
}

/** Says whether no agent of this machine lives in the incarnation that a remote has of a branch. */
async function isFencedOff(
  { home }: Pick<OpsContext, 'home'>,
  { repository }: Agent,
  remote: Repository,
  branch: string,
): Promise<boolean> {
  const there = await readIncarnation(remote, branch);
  if (there === undefined) return false;
  const agents = (await home.listAgents()).filter((one) => one.repository === repository);
  return agents.every((one) => findFence({ ...one, branch }, there) !== undefined);
}

/** Plans to take over tags that are new here, and what is known of incarnations and holds. Branches stay apart: pull moves the agent's own. */
export async function planFetch(repository: Repository, remote: Repository): Promise<PlannedMoves> {
  const moves = [...(await planIncarnations(remote, repository)), ...(await planHolds(remote, repository))];
  const left: LeftRef[] = [];
  for (const [name, to] of remote.refs) {
    const from = repository.refs.get(name);
    if (!name.startsWith('refs/tags/') || from === to) continue;
    const commit = remote.tagged.get(name);
    // oxlint-disable-next-line no-await-in-loop -- new tags are few
    if (from === undefined && commit !== undefined && (await repository.isExpired(commit))) continue;
    if (from === undefined) moves.push({ name, from, to, commit });
    else left.push({ name, why: 'another tag has this name here' });
  }
  return { moves, left };
}
