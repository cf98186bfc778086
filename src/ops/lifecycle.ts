// Stops and starts an agent that something else runs, by the commands of its pod's `lifecycle`. Only what this machine's user gave is
// run, from the agent's file in MOLT_HOME; the pod.json in a repository, which may come from elsewhere, never is.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findRunning } from '../agent/running.ts';
import { MoltError } from '../model/error.ts';
import { withoutSecrets } from '../model/secret-variables.ts';
import { runCommand } from '../pod/command.ts';
import { fillText } from '../pod/spec.ts';
import { makeRoot } from '../storage/folders.ts';
import { newMark } from '../storage/owner.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';

/** The commands of an agent, as words and not for a shell. */
export interface Lifecycle {
  readonly stop: readonly string[];
  readonly start: readonly string[];
  /** How long a command may take, and after the one that stops, the agent to end. */
  readonly timeoutMs: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/**
 * Returns the agent's lifecycle, or undefined if it has none.
 * @throws {MoltError} USAGE when it is not what it should be
 */
export function findLifecycle(agent: Agent): Lifecycle | undefined {
  const value = agent.pod?.['lifecycle'];
  if (value === undefined || value === null) return undefined;
  const { stop, start, timeoutMs = DEFAULT_TIMEOUT_MS } = value as Record<string, unknown>;
  const isTimeout = typeof timeoutMs === 'number' && timeoutMs > 0 && Number.isFinite(timeoutMs);
  if (isCommand(stop) && isCommand(start) && isTimeout) return { stop, start, timeoutMs };
  throw new MoltError('USAGE', `the lifecycle of ${agent.label} is none: stop and start are lists of words`, {
    hint: `correct it under "pod" in agents/${agent.label}.json of molt’s folder`,
  });
}

function isCommand(value: unknown): value is readonly string[] {
  return Array.isArray(value) && Boolean(value[0]) && value.every((word) => typeof word === 'string');
}

/**
 * Stops an agent, and waits until nothing of it is seen any more.
 * @param dirs its folders
 * @param onStopped called once the command has done its work, although the agent may take some time to end
 * @throws {MoltError} RUNNING when the command fails, or the agent runs on; INTERRUPTED
 */
export async function stopAgent(
  context: OpsContext,
  agent: Agent,
  dirs: readonly string[],
  { stop, timeoutMs }: Lifecycle,
  onStopped: () => void,
): Promise<void> {
  context.reporter.progress({ phase: 'stop the agent' });
  const problem = await run(context, agent, stop, { timeoutMs, signal: context.signal });
  context.signal?.throwIfAborted();
  if (problem !== undefined)
    throw new MoltError(
      'RUNNING',
      `${agent.label} could not be stopped: "${stop[0]}" ${problem}; nothing was changed`,
      {
        hint: 'stop it yourself and try again',
      },
    );
  onStopped();
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const running = findRunning(agent.stateDir, dirs);
    if (running === undefined) return;
    if (performance.now() > untilMs) {
      const message = `${agent.label} still runs ${timeoutMs / 1000} s after it was stopped: process ${running.pid}, ${running.evidence}`;
      throw new MoltError('RUNNING', message, {
        hint: 'stop it yourself and try again; "timeoutMs" of its lifecycle says how long it may take',
        details: { pid: running.pid },
      });
    }
    // oxlint-disable-next-line no-await-in-loop -- looking again after a while
    await delay(POLL_MS);
    context.signal?.throwIfAborted();
  }
}

/** Starts an agent; returns what went wrong, if anything did. */
export async function startAgent(
  context: OpsContext,
  agent: Agent,
  { start, timeoutMs }: Lifecycle,
): Promise<string | undefined> {
  context.reporter.progress({ phase: 'start the agent' });
  // Even when molt is asked to end: the agent ran before.
  const problem = await run(context, agent, start, { timeoutMs, signal: undefined });
  return problem && `"${start[0]}" ${problem}`;
}

/** Runs a command in the agent's folder and returns what went wrong, if anything did. */
async function run(
  context: OpsContext,
  agent: Agent,
  command: readonly string[],
  limits: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<string | undefined> {
  const { tempDir } = context.home;
  makeRoot(tempDir);
  const filling = { state: agent.stateDir, name: agent.label, ports: {} };
  const words = command.map((word) => fillText(word, filling));
  return runCommand(words, {
    ...limits,
    outputFile: join(tempDir, `${newMark()}.tmp`),
    cwd: agent.stateDir,
    env: withoutSecrets(process.env),
  });
}
