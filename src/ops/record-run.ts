// Notes in the backup log what was run and what came of it. Noting never makes a run fail, and costs it a millisecond; what runs within
// another run is part of that one.

import type { KeyObject } from 'node:crypto';
import { hostname } from 'node:os';
import { deriveMachineLineKey } from '../crypto/line.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, RepositoryId } from '../model/ids.ts';
import type { RunKey } from '../model/ports.ts';
import {
  NO_BYTES,
  NO_REQUESTS,
  runText,
  type RunBytes,
  type RunEntry,
  type RunRequests,
  type RunResult,
  type RunVerb,
} from '../model/run-entry.ts';
import type { OpsContext } from './context.ts';
import { resolveAgent } from './open.ts';

/** What is run. */
export interface Run {
  readonly verb: RunVerb;
  /** The agent as the user named it, where the run itself finds out which it is. */
  readonly label?: string | undefined;
  readonly trigger?: RunEntry['trigger'];
  readonly remote?: string | undefined;
  readonly detail?: string | undefined;
}

/** What came of a run; `ok` unless something else is said. */
export interface RunOutcome {
  readonly result?: RunResult;
  readonly bytes?: Partial<RunBytes>;
  readonly requests?: Partial<RunRequests>;
  readonly commit?: CommitId | undefined;
  readonly remote?: string;
  readonly detail?: string | undefined;
  /** Where it was not ok, although nothing was thrown. */
  readonly error?: MoltError | undefined;
}

/** Where a run tells what it learns on its way: an entry of one that fails has it too. */
export interface RunNote {
  /** Which agent it is about. */
  meant(agent: { readonly label: string; readonly repository: RepositoryId }): void;
  /** Its repository is open: the entry is sealed by its key. */
  opened(open: {
    readonly agent: { readonly label: string; readonly repository: RepositoryId };
    readonly repository: { readonly keys: { readonly cacheKey: KeyObject } };
  }): void;
  /** Which remote it speaks to. */
  speaksTo(remote: string): void;
  /** Requests are counted here, as they are made, and what comes from there. */
  counts(traffic: RunTraffic): void;
}

/** What a remote counts. */
type RunTraffic = { readonly requests: Readonly<RunRequests>; readonly bytesReceived: number };

interface Learned {
  agent?: { readonly label: string; readonly repository: RepositoryId };
  key?: KeyObject;
  traffic?: RunTraffic;
  remote?: string;
}

/**
 * Does something and notes it, whatever comes of it.
 * @param work gets a context in which nothing is noted
 * @param tell says what of the result the log is to have
 */
export async function recordRun<T>(
  context: OpsContext,
  run: Run,
  work: (context: OpsContext, note: RunNote) => Promise<T>,
  tell: (result: T) => RunOutcome,
): Promise<T> {
  const learned: Learned = {};
  const note: RunNote = {
    meant(agent) {
      learned.agent = agent;
    },
    opened({ agent, repository }) {
      learned.agent = agent;
      learned.key = repository.keys.cacheKey;
    },
    speaksTo(remote) {
      learned.remote = remote;
    },
    counts(traffic) {
      learned.traffic = traffic;
    },
  };
  if (context.runs === undefined) return await work(context, note);
  const startedMs = context.clock.now();
  const quiet = withoutRuns(context);
  let result: T;
  try {
    result = await work(quiet, note);
  } catch (error) {
    await append(context, run, learned, { startedMs, outcome: { result: 'failed' }, error });
    throw error;
  }
  const outcome = tell(result);
  await append(context, run, learned, { startedMs, outcome, error: outcome.error });
  return result;
}

/** Copies a context with its lazy members as they are: what they cost most commands need not spend. */
function withoutRuns(context: OpsContext): OpsContext {
  const { runs: _, ...members } = Object.getOwnPropertyDescriptors(context);
  return Object.defineProperties({}, members) as OpsContext;
}

async function append(
  context: OpsContext,
  run: Run,
  learned: Learned,
  { startedMs, outcome, error }: { startedMs: number; outcome: RunOutcome; error: unknown },
): Promise<void> {
  const agent = learned.agent ?? (await resolveAgent(context, run.label).catch(() => undefined));
  // Nothing was run for any agent: a typing error.
  if (agent === undefined) return;
  const { clock, random, reporter, runs } = context;
  const remote = outcome.remote ?? learned.remote ?? run.remote;
  const detail = outcome.detail ?? run.detail;
  const entry: RunEntry = {
    id: random.bytes(16).toString('hex'),
    agent: agent.label,
    repository: agent.repository,
    host: runText(hostname()),
    verb: run.verb,
    trigger: run.trigger ?? context.trigger ?? 'manual',
    startedMs,
    lastMs: startedMs,
    count: 1,
    // A clock that was set back meanwhile makes no negative time.
    durationMs: Math.max(0, Math.round(clock.now() - startedMs)),
    result: outcome.result ?? (error === undefined ? 'ok' : 'failed'),
    bytes: { ...NO_BYTES, received: learned.traffic?.bytesReceived ?? 0, ...outcome.bytes },
    requests: { ...NO_REQUESTS, ...outcome.requests, ...learned.traffic?.requests },
    error: error === undefined ? undefined : describe(error),
    commit: outcome.commit,
    remote: remote === undefined ? undefined : runText(remote),
    detail: detail === undefined ? undefined : runText(detail),
    isRebuilt: false,
  };
  try {
    await runs?.append(entry, await findKey(context, learned));
  } catch (failure) {
    if (!isMoltError(failure)) throw failure;
    reporter.warn(`the backup log lacks this run: ${failure.message}`);
  }
}

async function findKey({ home, random }: OpsContext, { key }: Learned): Promise<RunKey> {
  if (key !== undefined) return { of: 'repository', key };
  return { of: 'machine', key: deriveMachineLineKey(await home.makeDeviceKey(random)) };
}

function describe(error: unknown): RunEntry['error'] {
  if (isMoltError(error)) return { code: error.code, message: runText(error.message) };
  return { code: 'INTERNAL', message: runText(error instanceof Error ? error.message : String(error)) };
}
