// Lets backups go that retention does not keep: their content, not their line in the history. Everything that stays is written where it
// can stay, and the event recorded, before anything is deleted.

import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import {
  parseRetention,
  parseScheduleRetention,
  type RetentionRules,
  type RetentionWords,
} from '../policy/retention-rules.ts';
import { tryLock } from '../pod/lock.ts';
import type { KeptEnds } from '../repo/kept-ends.ts';
import { OldestStorage } from '../repo/oldest.ts';
import { Repository } from '../repo/repository.ts';
import { lookSweep, sweep, type SweepOrder } from '../repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS, READER_GRACE_MS } from '../repo/sweep-delete.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { TrafficMeter, type RemoteStorage, type RequestKind, type Traffic } from '../storage/remote.ts';
import { refuseWhileAsked } from './alert-question.ts';
import { findPlace } from './exchange.ts';
import type { OpsContext } from './context.ts';
import { readHolds, type Hold } from './hold.ts';
import { openRepositoryOf, readersLock, resolveAgent, type OpenAgent } from './open.ts';
import { openKeysElsewhere } from './open-keys.ts';
import { decideSweep, type Protected, type PrunedBackup } from './prune-decide.ts';
import { findLockEnds } from './remote-locks.ts';
import { probeFirst } from './remote.ts';
import { findKeptByLock, toStorage, type KeptByLock, type PrunedStorage } from './prune-report.ts';
import { recordRun, type RunOutcome } from './record-run.ts';
import { forgetPruned } from './search-index.ts';
import { loadSchedule } from './schedule.ts';
import type { Agent } from './home.ts';
import { listRemotes, loadState, openKeptEnds, remoteOptionsOf, type Remote } from './remotes.ts';
import { readRestoreNote } from './restore-journal.ts';

const DAY_MS = 86_400_000;

/** How to prune. */
export interface PruneOptions {
  /** What to keep, in the user's words: rules, or a span or plan as schedules have it. Else the agent's schedule says it. */
  readonly keep?: RetentionWords | undefined;
  readonly retention?: string | undefined;
  /** Only finds out what would go. */
  readonly isDryRun: boolean;
  /** Only here, not on the remotes. */
  readonly isLocal: boolean;
  readonly trigger?: 'scheduled';
}

/** What came of one remote. */
export interface PrunedRemote {
  readonly name: string;
  readonly url: string;
  /** Undefined where it could not be pruned. */
  readonly storage: PrunedStorage | undefined;
  /** How many of its backups are kept, and how many go. */
  readonly kept: number;
  readonly expired: number;
  readonly keptByLock?: KeptByLock;
  /** What it was asked, and what of bodies went there and came from there. */
  readonly requests: Readonly<Record<RequestKind, number>>;
  readonly bytes: { readonly sent: number; readonly received: number };
  readonly error: MoltError | undefined;
}

/** What came of it: CLI.md's JSON for `prune`. */
export interface PruneResult {
  readonly agent: string;
  readonly dryRun: boolean;
  /** Newest first. */
  readonly backups: readonly PrunedBackup[];
  readonly here: PrunedStorage;
  readonly remotes: readonly PrunedRemote[];
}

/**
 * Prunes the repository of an agent here, and then on its remotes, each by what it holds itself. One that fails keeps no other from it.
 * @throws {MoltError} DAMAGED when something that stays is not whole, CONFLICT while a suspicious change waits for an answer: then nothing goes
 */
export async function prune(
  context: OpsContext,
  label: string | undefined,
  options: PruneOptions,
): Promise<PruneResult> {
  if (options.isDryRun) return pruneAll(context, label, options, () => {});
  return recordRun(
    context,
    { verb: 'prune', label, ...(options.trigger !== undefined && { trigger: options.trigger }) },
    (quiet, note) => pruneAll(quiet, label, options, (open) => note.opened(open)),
    outcomeOf,
  );
}

function outcomeOf({ here, remotes, backups }: PruneResult): RunOutcome {
  const error = remotes.find((remote) => remote.error !== undefined)?.error;
  const isIdle = backups.every(({ kept }) => kept) && here.deletedObjects === 0;
  const requests = { put: 0, get: 0, list: 0, head: 0, delete: 0 };
  const bytes = { sent: 0, received: 0 };
  for (const remote of remotes) {
    for (const kind of Object.keys(requests) as RequestKind[]) requests[kind] += remote.requests[kind];
    bytes.sent += remote.bytes.sent;
    bytes.received += remote.bytes.received;
  }
  const gone = backups.filter(({ kept }) => !kept).length;
  return {
    bytes: { stored: here.writtenBytes, ...bytes },
    requests,
    result: error !== undefined ? 'partial' : isIdle ? 'unchanged' : 'ok',
    detail: `${gone} expired, ${backups.length - gone} kept`,
    error,
  };
}

async function pruneAll(
  context: OpsContext,
  label: string | undefined,
  options: PruneOptions,
  opened: (open: OpenAgent) => void,
): Promise<PruneResult> {
  const named = await resolveAgent(context, label);
  const rules = parseRetention(options.keep ?? {}) ?? (await readSpan(context, named, options.retention));
  await using open = await openRepositoryOf(context, named, { isPruning: true });
  opened(open);
  const { repository, agent } = open;
  const known = await findProtected(context, open);
  const holds = await readHolds(repository);
  if (!options.isDryRun) refuseWhileAsked(agent.label, holds);
  using alone = options.isDryRun ? undefined : tryLock(readersLock(context, agent));
  const { isDryRun } = options;
  const { backups, storage } = await pruneStorage(
    context,
    repository,
    { rules, isDryRun },
    { ...known, holds, packGraceMs: alone === undefined ? Infinity : 0, nowMs: context.clock.now() },
  );
  // What search keeps of a commit goes with it.
  if (!isDryRun) await forgetPruned(context.home, repository);
  const remotes: PrunedRemote[] = [];
  for (const remote of options.isLocal ? [] : await listRemotes(context.home, agent.repository)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: each is long
    remotes.push(await pruneRemote(context, open, remote, { rules, isDryRun, holds }));
  }
  return { agent: agent.label, dryRun: isDryRun, backups, here: storage, remotes };
}

/** Returns the rules of a span or plan, or of the one in the agent's schedule. @throws {MoltError} USAGE when there is none */
async function readSpan({ home }: OpsContext, { label }: Agent, given: string | undefined): Promise<RetentionRules> {
  const retention = given ?? (await loadSchedule(home, label))?.retention;
  if (retention !== undefined) return parseScheduleRetention(retention);
  throw new MoltError('USAGE', `nothing says what to keep of agent "${label}"`, {
    hint: 'give a plan or a rule: molt prune --plan pro --dry-run shows what it would do',
  });
}

/** What pruning one storage goes by. */
interface StorageOptions {
  readonly rules: RetentionRules;
  readonly isDryRun: boolean;
}

/** Prunes one storage of a repository. */
async function pruneStorage(
  context: OpsContext,
  repository: Repository,
  { rules, isDryRun }: StorageOptions,
  known: Protected & { readonly packGraceMs: number; readonly nowMs: number; readonly near?: Repository },
): Promise<{ backups: readonly PrunedBackup[]; storage: PrunedStorage }> {
  const { packGraceMs, nowMs, near, lock } = known;
  let backups: PrunedBackup[] = [];
  const decide = async (): Promise<SweepOrder> => {
    const decided = await decideSweep(context, repository, rules, known);
    backups = decided.backups;
    return decided.order;
  };
  const { signal } = context;
  const sweepOptions = {
    near,
    orphanedBeforeMs: nowMs - LOG_GRACE_MS,
    lockedAfterMs: lock?.days && lock.nowMs - lock.days * DAY_MS,
    signal,
    onPhase: (phase: string) => context.reporter.progress({ phase }),
  };
  if (isDryRun) {
    const outcome = await lookSweep(repository, await decide(), sweepOptions);
    return { backups, storage: toStorage(outcome, []) };
  }
  // What an earlier sweep left, first: the next one would take it for its own, and its time begins anew.
  const earlier = await deleteSwept(repository, { nowMs, packGraceMs, signal });
  const outcome = await sweep(repository, decide, sweepOptions);
  context.reporter.progress({ phase: 'delete' });
  const later = outcome === undefined ? undefined : await deleteSwept(repository, { nowMs, packGraceMs, signal });
  return { backups, storage: toStorage(outcome, later === undefined ? [earlier] : [earlier, later]) };
}

async function pruneRemote(
  context: OpsContext,
  open: OpenAgent,
  known: Remote,
  options: StorageOptions & { readonly holds: ReadonlyMap<CommitId, Hold> },
): Promise<PrunedRemote> {
  const { name, url, lock } = known;
  context.reporter.progress({ phase: `open ${name}` });
  let far: RemoteStorage | undefined;
  try {
    // What it is written by must be known first.
    const remote = options.isDryRun ? known : await probeFirst(context, open.agent.repository, known);
    far = await openRemoteStorage(url, remoteOptionsOf(context, remote));
    const storage = new OldestStorage(far);
    const { roots, keyring } = await openKeysElsewhere(context, storage, open.agent, open.repository.keys.roots);
    const keys = { roots, generation: keyring.generation };
    const { clock, random } = context;
    const ends = await openKeptEnds(context.home, open.agent.repository, name);
    const there = await Repository.open(storage, keys, { clock, random, ends });
    await using _ = { [Symbol.asyncDispose]: () => closeEnds(ends, there) };
    const holds = new Map([...options.holds, ...(await readHolds(there))]);
    if (!options.isDryRun) refuseWhileAsked(open.agent.label, holds);
    const nowMs = far.nowMs() ?? clock.now();
    const { versions } = far;
    const { backups, storage: done } = await pruneStorage(context, there, options, {
      needed: new Map(),
      pushedSeq: Infinity,
      holds,
      lock: versions && { days: lock?.days, nowMs, findEnds: (names) => findLockEnds(versions, names) },
      packGraceMs: READER_GRACE_MS,
      nowMs,
      near: open.repository,
    });
    const kept = backups.filter((backup) => backup.kept).length;
    const expired = backups.length - kept;
    const locked = findKeptByLock(backups);
    return { name, url, storage: done, kept, expired, ...locked, ...askedOf(far), error: undefined };
  } catch (error) {
    if (!isMoltError(error) || isMoltError(error, 'INTERRUPTED')) throw error;
    return { name, url, storage: undefined, kept: 0, expired: 0, ...askedOf(far), error };
  } finally {
    await far?.close();
  }
}

/** What was read is kept also when nothing came of it: then the next prune is cheaper. */
async function closeEnds(ends: KeptEnds, { log }: Repository): Promise<void> {
  await ends.save(log.begin.seq).catch((error: unknown) => {
    if (!isMoltError(error)) throw error;
  });
  await ends.close();
}

function askedOf(remote: RemoteStorage | undefined): Pick<PrunedRemote, 'requests' | 'bytes'> {
  const { requests, bytesSent, bytesReceived }: Traffic = remote?.traffic ?? new TrafficMeter();
  return { requests: { ...requests }, bytes: { sent: bytesSent, received: bytesReceived } };
}

async function findProtected(
  context: OpsContext,
  { agent, repository }: OpenAgent,
): Promise<Pick<Protected, 'needed' | 'pushedSeq'>> {
  const { home } = context;
  const needed = new Map<CommitId, string>();
  for (const other of await home.listAgents()) {
    if (other.repository !== agent.repository) continue;
    // oxlint-disable-next-line no-await-in-loop -- few agents share a repository
    const note = await readRestoreNote(home, other);
    if (note?.phase !== 'under-way') continue;
    for (const id of [note.commit, note.safety]) needed.set(id, 'a restore in place of it broke off');
  }
  let pushedSeq = Infinity;
  for (const { name } of await listRemotes(home, agent.repository)) {
    // oxlint-disable-next-line no-await-in-loop -- few remotes
    const { sent } = await loadState(home, agent.repository, name);
    const isSwept = sent !== undefined && sent.seq <= repository.log.begin.seq;
    // What is swept was sent long ago.
    // oxlint-disable-next-line no-await-in-loop -- the same
    const seq = isSwept ? sent.seq : await findPlace(repository, sent);
    pushedSeq = Math.min(pushedSeq, seq);
  }
  return { needed, pushedSeq };
}
