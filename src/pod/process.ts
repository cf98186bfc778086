// The embedded provider: a pod is a process of this machine, behind a supervisor in a process of its own. Nothing here is believed by
// a process number alone: the supervisor answers with its mark, and what a killed one left is known by the moment it began.

import { fork, type ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MoltError } from '../model/error.ts';
import { killProcess, stopLeftover } from './child.ts';
import { askSupervisor, moltError, plainError } from './control.ts';
import { podEnvironment } from './environment.ts';
import { checkHealth } from './health.ts';
import { tryLock } from './lock.ts';
import { logFile, readLog } from './log-file.ts';
import { dropNote, readNote, type SupervisorNote } from './note.ts';
import { isRunning } from './process-id.ts';
import type { PodPlace, PodStatus, Provider } from './provider.ts';
import type { FilledPod, StopSpec } from './spec.ts';
import type { StarterAnswer, StarterMessage } from './supervisor-main.ts';

const STATUS_MS = 2000;
/** Beside the grace of the agent. */
const STOP_MS = 10_000;
/** What a supervisor itself needs of the surroundings. */
const OWN_ENV = ['HOME', 'PATH', 'TMPDIR', 'NODE_COMPILE_CACHE'];

/** Runs pods as supervised processes of this machine. */
export const processProvider: Provider = {
  name: 'process',

  async check(pod) {
    const [program = ''] = pod.command;
    if (!statSync(pod.cwd, { throwIfNoEntry: false })?.isDirectory()) {
      throw new MoltError('NOT_FOUND', `there is no folder "${pod.cwd}" for pod "${pod.name}" to run in`, {
        hint: 'restore its state again, or correct "cwd" of its pod.json',
      });
    }
    if (findProgram(program, pod) === undefined) {
      throw new MoltError('NOT_FOUND', `there is no program "${program}" on the PATH of pod "${pod.name}"`, {
        hint: 'install it, or correct "command" or the PATH under "env" of its pod.json',
      });
    }
  },

  async start(place, pod, { signal } = {}) {
    signal?.throwIfAborted();
    const supervisor = forkSupervisor(place);
    const { promise, resolve, reject } = Promise.withResolvers<StarterAnswer>();
    supervisor.once('message', (message) => resolve(message as StarterAnswer));
    supervisor.once('error', reject);
    const ended = Promise.withResolvers<void>();
    supervisor.once('exit', () => ended.resolve());
    // Its end may be heard of before what it said last; the channel closes after that.
    supervisor.once('disconnect', () => resolve({ error: plainError(endedEarly(place)) }));
    const send = (message: StarterMessage): void => {
      supervisor.send(message, () => undefined);
    };
    const surroundings = podEnvironment({ env: {}, envAllow: pod.envAllow });
    send({ do: 'supervise', place, pod, surroundings });
    const interrupt = (): void => send({ do: 'stop' });
    signal?.addEventListener('abort', interrupt, { once: true });
    try {
      const { error } = await promise;
      if (error === undefined) return;
      // Then nothing of it runs any more.
      await Promise.race([ended.promise, delay(STOP_MS, undefined, { ref: false })]);
      throw signal?.aborted === true ? signal.reason : moltError(error);
    } finally {
      signal?.removeEventListener('abort', interrupt);
      if (supervisor.connected) supervisor.disconnect();
      supervisor.unref();
    }
  },

  async stop(place, stop) {
    const note = readNote(place);
    if (note === undefined) return;
    const answer = await askSupervisor(note, { do: 'stop' }, { timeoutMs: stop.graceMs + STOP_MS });
    if (answer !== undefined) return;
    // One that hangs would start the agent again.
    await killProcess(note.supervisor);
    await stopLeftovers(place, stop);
  },

  async inspect(place) {
    const note = readNote(place);
    if (note === undefined) return { state: 'stopped', restarts: 0 };
    const status = await askSupervisor(note, { do: 'status' }, { timeoutMs: STATUS_MS });
    // One that ended meanwhile has removed its note.
    return status ?? (readNote(place) === undefined ? { state: 'stopped', restarts: 0 } : describeLeftover(note));
  },

  ask: (_, pod, timeoutMs, signal) => checkHealth(pod, timeoutMs, signal),

  logs: readLog,

  async switchTo(place, pod, { signal } = {}) {
    const note = readNote(place);
    const status = note && (await askSupervisor(note, { do: 'switch', pod }, { signal }));
    if (status !== undefined) return;
    throw new MoltError('UNHEALTHY', `the supervisor of pod "${place.name}" does not answer`, {
      hint: `molt pod stop ${place.name}, then molt pod start ${place.name}`,
    });
  },
};

/** Ends what a killed supervisor left behind. */
async function stopLeftovers(place: PodPlace, stop: StopSpec): Promise<void> {
  using lock = tryLock(join(place.dir, 'supervisor.lock'));
  // Another one has begun meanwhile and does this itself.
  if (lock === undefined) return;
  for (const agent of readNote(place)?.agents ?? []) {
    // oxlint-disable-next-line no-await-in-loop -- hardly ever more than one
    await stopLeftover(agent, stop);
  }
  dropNote(place);
}

function forkSupervisor(place: PodPlace): ChildProcess {
  mkdirSync(place.dir, { recursive: true, mode: 0o700 });
  const log = openSync(logFile(place), 'a', 0o600);
  try {
    return fork(supervisorFile(), {
      cwd: place.dir,
      env: podEnvironment({ env: {}, envAllow: OWN_ENV }),
      execArgv: [],
      // What it says is a bug of molt's.
      stdio: ['ignore', 'ignore', log, 'ipc'],
      detached: true,
    });
  } finally {
    closeSync(log);
  }
}

/** Beside this file as source; beside the bundle once built. */
function supervisorFile(): string {
  const isSource = import.meta.url.endsWith('.ts');
  return fileURLToPath(new URL(isSource ? './supervisor-main.ts' : './pod-supervisor.js', import.meta.url));
}

function endedEarly(place: PodPlace): MoltError {
  return new MoltError('UNHEALTHY', `the supervisor of pod "${place.name}" ended before the pod was healthy`, {
    hint: `${logFile(place)} may say why`,
  });
}

/** Returns how a pod is whose supervisor does not answer. */
function describeLeftover({ supervisor, agents, status }: SupervisorNote): PodStatus {
  const { generation, restarts } = status;
  const left = agents.find(isRunning);
  const problem = isRunning(supervisor)
    ? `its supervisor, process ${supervisor.pid}, does not answer`
    : left === undefined
      ? 'its supervisor was killed, or the machine went down'
      : `its supervisor was killed, and process ${left.pid} of the agent goes on without one`;
  return {
    state: 'failed',
    restarts,
    problem,
    ...(generation !== undefined && { generation }),
    ...(left !== undefined && { pid: left.pid }),
  };
}

/** Returns the path of a program as the agent's PATH leads to it, or undefined. */
function findProgram(program: string, pod: FilledPod): string | undefined {
  if (program.includes('/')) return isProgram(resolve(pod.cwd, program)) ? program : undefined;
  const folders = (podEnvironment(pod)['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => resolve(pod.cwd, folder, program)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
