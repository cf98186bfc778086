// Runs an agent under care: prepares its state, starts it, commits and pushes while it runs, and when asked to end stops it, saves it
// once more, and tells how it ended.

import { join } from 'node:path';
import { findRunning } from '../agent/running.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { killGroup } from '../pod/command.ts';
import { tryLock } from '../pod/lock.ts';
import { readNote } from '../pod/note.ts';
import { isRunning } from '../pod/process-id.ts';
import type { PodExit, PodPlace, PodStatus } from '../pod/provider.ts';
import { supervise, type Supervised } from '../pod/supervisor.ts';
import { DAILY_AT, DAILY_ZONE, parseDaily } from '../policy/daily.ts';
import { lockAgent } from './agent-lock.ts';
import { Alerter } from './alert.ts';
import type { OpsContext } from './context.ts';
import { checkLabel, type Agent } from './home.ts';
import { podDir } from './pod-record.ts';
import { findRunPod, type FindPodOptions } from './run-pod.ts';
import { Saver, type SaveEvent, type Saved } from './run-save.ts';
import { warnOnce } from './warn-once.ts';
import { prepareAgent, type PrepareEvent, type PrepareOptions } from './run-start.ts';
import { dropStopped } from './stopped-note.ts';

/** What is run, and how it is saved. */
export interface RunOptions extends Omit<PrepareOptions, 'tell'>, FindPodOptions {
  /** From one commit to the next; milliseconds. */
  readonly everyMs: number;
  /** Time of day of the full backup, and its zone. */
  readonly dailyAt?: string | undefined;
  readonly zone?: string | undefined;
  readonly tell: (event: RunEvent) => void;
}

/** What a run tells of. */
export type RunEvent =
  | PrepareEvent
  | SaveEvent
  | { readonly event: 'started'; readonly command: readonly string[] }
  | { readonly event: 'healthy'; readonly pid: number | undefined }
  | { readonly event: 'ended'; readonly problem: string }
  | { readonly event: 'restarted'; readonly restarts: number; readonly pid: number | undefined }
  | { readonly event: 'warned'; readonly message: string }
  | { readonly event: 'stopping' }
  | { readonly event: 'stopped'; readonly exit: PodExit | undefined };

/** What of the outside a run needs beside an operation's. */
export interface RunPorts {
  /** Resolves after a time, or as soon as the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** Aborted when the run is to end: the agent is stopped, saved once more and pushed. */
  readonly stop: AbortSignal;
  /** Aborted when it is to end at once. */
  readonly urgent: AbortSignal;
  /** What the agent may get to see. */
  readonly surroundings: Readonly<Record<string, string | undefined>>;
}

/** How a run ended. */
export interface RunResult {
  readonly agent: string;
  readonly exit: PodExit | undefined;
}

/** How long the look at the remotes may keep an agent from being started. */
const FIRST_LOOK_MS = 15_000;
/** How long the last push may take: whoever asked to end mostly kills in the end. */
const LAST_PUSH_MS = 60_000;

/**
 * Runs an agent until it is asked to end.
 * @param given its signal may end what is done before the start
 * @throws {MoltError} what preparing throws; RUNNING when the agent runs already; FENCED when it was restored elsewhere since: then it was
 *   saved here and not started. UNHEALTHY when it does not come up. What the last commit or push fails with, once the agent has ended.
 */
export async function runAgent(given: OpsContext, options: RunOptions, ports: RunPorts): Promise<RunResult> {
  const context: OpsContext = { ...given, trigger: 'run' };
  const { label, tell, dailyAt = DAILY_AT, zone = DAILY_ZONE } = options;
  checkLabel(label);
  const daily = parseDaily(dailyAt, zone);
  const place: PodPlace = { name: label, dir: podDir(context.home, label) };
  using running = tryLock(join(context.home.dir, 'locks', `run-${label}`));
  if (running === undefined) throw runsAlready(label, undefined, 'another molt run is at it');
  const known = await context.home.findAgent(label);
  if (known !== undefined) refuseRunning(known, place);
  const agent = await prepareAgent(context, options);
  refuseRunning(agent, place);
  const pod = await findRunPod(context, agent, options);
  // No restore in place comes between: this shares with commits what a restore has alone.
  using _ = lockAgent(context.home, agent, 'commit');
  const quiet = {
    ...context,
    signal: ports.urgent,
    reporter: warnOnce((message) => tell({ event: 'warned', message })),
  };
  await using alerter = new Alerter(quiet, label);
  const tellAll = (event: SaveEvent): void => {
    tell(event);
    alerter.take(event);
  };
  const saver = new Saver(quiet, { ...options, full: daily, tell: tellAll });
  const { stop: ended, urgent } = ports;
  refuseFenced(
    await within(ports, FIRST_LOOK_MS, [ended, urgent], (pushSignal) => saver.save({ pushSignal, forceCheck: true })),
  );
  ports.stop.throwIfAborted();
  tell({ event: 'started', command: pod.command });
  const supervised = await supervise({
    place,
    pod,
    surroundings: ports.surroundings,
    output: 'inherit',
    onStatus: tellEnds(tell),
  });
  await dropStopped(context.home, label);
  const stop = (): void => {
    tell({ event: 'stopping' });
    void supervised.stop();
  };
  const kill = (): void => {
    const { pid } = supervised.status;
    if (pid !== undefined) killGroup(pid, 'SIGKILL');
  };
  ports.stop.addEventListener('abort', stop, { once: true });
  ports.urgent.addEventListener('abort', kill, { once: true });
  if (ports.stop.aborted) stop();
  let exit: PodExit | undefined;
  let failure: Error | undefined;
  try {
    failure = await keepSaved(context, { saver, alerter }, supervised, options, ports);
    exit = await supervised.ended;
    tell({ event: 'stopped', exit });
  } finally {
    ports.stop.removeEventListener('abort', stop);
    ports.urgent.removeEventListener('abort', kill);
  }
  const saved = await within(ports, LAST_PUSH_MS, [urgent], (pushSignal) => saver.save({ pushSignal }));
  ports.urgent.throwIfAborted();
  if (failure !== undefined) throw failure;
  refuseUnsaved(saved, exit);
  return { agent: agent.label, exit };
}

/** Saves the agent again and again until it has ended; returns what it could not be started for. */
async function keepSaved(
  context: OpsContext,
  { saver, alerter }: { readonly saver: Saver; readonly alerter: Alerter },
  supervised: Supervised,
  { everyMs, tell }: RunOptions,
  { wait, stop, urgent }: RunPorts,
): Promise<Error | undefined> {
  const over = new AbortController();
  void supervised.ended.then(() => over.abort());
  const end = AbortSignal.any([over.signal, stop, urgent]);
  const failure = supervised.healthy.then(
    () => {
      tell({ event: 'healthy', pid: supervised.status.pid });
      return undefined;
    },
    (error: Error) => (isMoltError(error, 'INTERRUPTED') ? undefined : error),
  );
  let nextMs = context.clock.now() + everyMs;
  for (;;) {
    const nowMs = context.clock.now();
    // oxlint-disable-next-line no-await-in-loop -- one save after the other
    const fullMs = await saver.fullDueMs().catch(() => nextMs);
    // One that is overdue, because it failed, is tried again no sooner than anything else.
    const dueMs = fullMs > nowMs ? Math.min(nextMs, fullMs) : nextMs;
    // oxlint-disable-next-line no-await-in-loop -- the same
    await wait(Math.max(0, dueMs - nowMs), end);
    if (end.aborted) break;
    nextMs = context.clock.now() + everyMs;
    // oxlint-disable-next-line no-await-in-loop -- the same
    await saver.save({ pushSignal: AbortSignal.any([stop, urgent]) });
    alerter.tick();
  }
  await supervised.ended;
  return failure;
}

/** Tells of each end of the agent that nobody asked for, and of its being back. */
function tellEnds(tell: RunOptions['tell']): (status: PodStatus) => void {
  let told = 0;
  let ended: number | undefined;
  return ({ state, problem, restarts, pid }) => {
    if (state === 'running' && restarts > told) {
      told = restarts;
      tell({ event: 'restarted', restarts, pid });
    }
    if (state !== 'failed' || problem === undefined || ended === restarts) return;
    ended = restarts;
    tell({ event: 'ended', problem });
  };
}

/** Does something that is asked to end when the run is, or after a time. */
async function within<T>(
  { wait }: RunPorts,
  ms: number,
  signals: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timer = new AbortController();
  const done = new AbortController();
  const waited = wait(ms, done.signal).then(() => {
    if (!done.signal.aborted) timer.abort(new MoltError('REMOTE_UNREACHABLE', `no answer within ${ms / 1000} s`));
  });
  try {
    return await work(AbortSignal.any([timer.signal, ...signals]));
  } finally {
    done.abort();
    await waited;
  }
}

/** @throws {MoltError} RUNNING when the agent, or what runs it, is there already */
function refuseRunning(agent: Agent, place: PodPlace): void {
  const note = readNote(place);
  const left = note?.agents.find(isRunning);
  if (note !== undefined && isRunning(note.supervisor))
    throw runsAlready(agent.label, note.supervisor.pid, 'it is supervised');
  if (left !== undefined)
    throw runsAlready(agent.label, left.pid, 'what supervised it was killed, and it goes on without');
  const found = findRunning(agent.stateDir, [agent.stateDir]);
  if (found !== undefined) throw runsAlready(agent.label, found.pid, found.evidence);
}

function runsAlready(label: string, pid: number | undefined, evidence: string): MoltError {
  const process = pid === undefined ? '' : `process ${pid}, `;
  return new MoltError('RUNNING', `agent "${label}" runs already: ${process}${evidence}; nothing was started`, {
    hint:
      pid === undefined ? 'stop it first' : `stop it first: kill ${pid}; nothing of it is lost, the next run saves it`,
    details: { pid },
  });
}

/** Two of one agent must not run at once: who was replaced is saved, and not started. */
function refuseFenced({ pushes }: Saved): void {
  const fenced = pushes.find((error) => isMoltError(error, 'FENCED'));
  if (!isMoltError(fenced)) return;
  throw new MoltError('FENCED', `${fenced.message}; the agent was not started, and its state is saved here`, {
    ...(fenced.hint !== undefined && { hint: fenced.hint }),
    details: fenced.details,
    cause: fenced,
  });
}

/** An agent that ended well ends the run well only if what it left is saved. */
function refuseUnsaved({ commit, pushes }: Saved, exit: PodExit | undefined): void {
  if (commit !== undefined) throw commit;
  const [push] = pushes;
  if (push === undefined || (exit?.status ?? 1) !== 0) return;
  const said = isMoltError(push) ? push : undefined;
  throw new MoltError(
    said?.code ?? 'PARTIAL',
    `the agent has ended and is saved on this machine, but not on every remote: ${push.message}`,
    { hint: said?.hint ?? 'molt push sends what is lacking there', cause: push },
  );
}
