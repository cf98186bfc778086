// One process of an agent: starts it as a group of its own, hears how it ends, and ends it. What its first process leaves behind when
// it ends is killed with it, so that nothing holds the state open unseen.

import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { describeEnd, killGroup } from './command.ts';
import { identify, isRunning, type ProcessId } from './process-id.ts';
import type { PodExit } from './provider.ts';
import type { FilledPod, StopSpec } from './spec.ts';

/** Where what an agent writes goes. */
export type ChildOutput = { write(bytes: Buffer): void } | 'inherit';

/** A process that was started. */
export interface Child {
  readonly id: ProcessId;
  /** How it ended, once it has. */
  readonly exit: PodExit | undefined;
  readonly ended: Promise<PodExit>;
  /** Asks it to end, and kills it after the grace. */
  stop(stop: StopSpec): Promise<PodExit>;
}

const POLL_MS = 20;
/** The system needs a moment to end a process that was killed. */
const KILL_MS = 5000;

/**
 * Starts the agent of a pod.
 * @param env all that it gets to see
 * @throws {MoltError} UNHEALTHY when it can't be started
 */
export async function startChild(
  pod: FilledPod,
  env: Readonly<Record<string, string>>,
  output: ChildOutput,
): Promise<Child> {
  const [program = '', ...words] = pod.command;
  const to = output === 'inherit' ? 'inherit' : 'pipe';
  const child = spawn(program, words, { cwd: pod.cwd, env, stdio: ['ignore', to, to], detached: true });
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<PodExit>();
  let exit: PodExit | undefined;
  child.once('spawn', started.resolve);
  child.once('error', (error: NodeJS.ErrnoException) => {
    started.reject(
      new MoltError('UNHEALTHY', `${pod.name} can’t be started: "${program}" in "${pod.cwd}" (${error.code})`, {
        hint: 'check "command" and "cwd" of its pod.json, and that the program is on the PATH',
        cause: error,
      }),
    );
  });
  child.once('exit', (status, signal) => {
    if (child.pid !== undefined) killGroup(child.pid, 'SIGKILL');
    exit = { status, signal };
    ended.resolve(exit);
  });
  if (output !== 'inherit') {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (bytes: Buffer) => output.write(bytes));
      stream?.on('error', () => undefined);
    }
  }
  await started.promise;
  const pid = child.pid ?? 0;
  let isAsked = false;
  return {
    id: identify(pid) ?? { pid, began: 'ended at once' },
    get exit() {
      return exit;
    },
    ended: ended.promise,
    async stop({ signal, graceMs }) {
      // Many programs take a second signal for an order to end at once.
      if (exit === undefined && !isAsked) killGroup(pid, signal);
      isAsked = true;
      const timer = setTimeout(() => exit === undefined && killGroup(pid, 'SIGKILL'), graceMs);
      return ended.promise.finally(() => clearTimeout(timer));
    },
  };
}

/**
 * Ends an agent that a killed supervisor left behind, if that very process still runs.
 * @throws {MoltError} RUNNING when it can't be ended
 */
export async function stopLeftover(id: ProcessId, { signal, graceMs }: StopSpec): Promise<void> {
  if (!isRunning(id)) return;
  killGroup(id.pid, signal);
  await isGone(id, graceMs);
  // With what it left of its group.
  killGroup(id.pid, 'SIGKILL');
  if (!(await isGone(id, KILL_MS))) throw unkillable(id);
}

/**
 * Kills this very process, if it still runs.
 * @throws {MoltError} RUNNING when it can't be ended
 */
export async function killProcess(id: ProcessId): Promise<void> {
  if (!isRunning(id)) return;
  try {
    process.kill(id.pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
  if (!(await isGone(id, KILL_MS))) throw unkillable(id);
}

function unkillable({ pid }: ProcessId): MoltError {
  return new MoltError('RUNNING', `process ${pid} can’t be ended`, {
    hint: `see what holds it: ps -o stat,wchan,cmd -p ${pid}`,
    details: { pid },
  });
}

async function isGone(id: ProcessId, withinMs: number): Promise<boolean> {
  const untilMs = performance.now() + withinMs;
  while (isRunning(id)) {
    if (performance.now() >= untilMs) return false;
    // oxlint-disable-next-line no-await-in-loop -- looking again after a while
    await delay(POLL_MS);
  }
  return true;
}

/** Returns how a child ended in words, or undefined while it runs. */
export function endOf(child: Child): string | undefined {
  return child.exit && describeEnd(child.exit);
}
