// Pods in containers, by the command line of podman or docker. The engine keeps the agent running and owns its ports; molt starts,
// asks and removes the container, and keeps its log when it goes.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { containerName, envFileOf, imageOf, runWords } from './container-call.ts';
import { callEngine, complaintOf, type EngineAnswer } from './engine.ts';
import { checkHealth, waitHealthy } from './health.ts';
import { LogWriter, logSize, readLog, withLog } from './log-file.ts';
import type { PodPlace, PodStatus, Provider } from './provider.ts';
import type { FilledPod } from './spec.ts';

const ENDED = ['exited', 'dead', 'stopped', 'removing'];

/**
 * Returns the provider that runs pods by an engine's command line.
 * @param program the engine's program, where it is not found by its name
 */
export function makeContainerProvider(engine: 'podman' | 'docker', program: string = engine): Provider {
  const call = (words: readonly string[], signal?: AbortSignal): Promise<EngineAnswer> =>
    callEngine(program, words, { signal });

  const remove = async (place: PodPlace): Promise<void> => {
    await keepLog(program, place);
    const removed = await call(['rm', '--force', '--volumes', containerName(place)]);
    if (removed.status === 0 || isAbsence(removed)) return;
    throw new MoltError('RUNNING', `the container of pod "${place.name}" can’t be removed: ${complaintOf(removed)}`, {
      hint: `${engine} rm --force ${containerName(place)}`,
    });
  };

  const inspect = async (place: PodPlace): Promise<PodStatus> => {
    const answer = await call(['container', 'inspect', containerName(place)]);
    if (answer.status === 0) return statusOf(answer.stdout);
    if (isAbsence(answer)) return { state: 'stopped', restarts: 0 };
    return { state: 'failed', restarts: 0, problem: `${engine} says: ${complaintOf(answer)}` };
  };

  return {
    name: engine,

    async check(pod) {
      imageOf(pod);
      const format = engine === 'docker' ? '{{.Server.Version}}' : '{{.Client.Version}}';
      const answer = await call(['version', '--format', format]);
      if (answer.status === 0) return;
      throw new MoltError('UNHEALTHY', `${engine} does not work here: ${complaintOf(answer)}`, {
        hint: `${engine} info may say more; "provider": "process" in the pod.json needs no engine`,
      });
    },

    async start(place, pod, { signal, onTry } = {}) {
      const sinceBytes = logSize(place);
      const envFile = join(place.dir, 'env');
      let hasStarted = false;
      const words = runWords(engine, place, pod, { envFile, user: userOf() });
      try {
        rmSync(envFile, { force: true });
        writeFileSync(envFile, envFileOf(pod), { mode: 0o600, flag: 'wx' });
        const started = await call(words, signal).finally(() => rmSync(envFile, { force: true }));
        if (started.status !== 0) throw notStarted(engine, place, started);
        const ended = async (): Promise<string | undefined> => endOf(await inspect(place));
        hasStarted = true;
        await waitHealthy(inside(program, place, pod), { signal, onTry, ended });
      } catch (error) {
        // Somebody else's is left alone.
        if (error instanceof MoltError && error.code === 'RUNNING') throw error;
        await remove(place);
        throw hasStarted ? withLog(error, place, sinceBytes) : error;
      }
    },

    async stop(place, { graceMs }) {
      const seconds = String(Math.ceil(graceMs / 1000));
      const answer = await call(['stop', '-t', seconds, containerName(place)]);
      if (answer.status !== 0 && !isAbsence(answer) && (await inspect(place)).state !== 'failed') {
        throw new MoltError('RUNNING', `pod "${place.name}" can’t be stopped: ${complaintOf(answer)}`, {
          hint: `${engine} kill ${containerName(place)}`,
        });
      }
      await remove(place);
    },

    inspect,

    ask: (place, pod, timeoutMs, signal) => checkHealth(inside(program, place, pod), timeoutMs, signal),

    async *logs(place, { lines, follow = false, signal }) {
      const { state } = await inspect(place);
      if (state === 'stopped') {
        yield* readLog(place, { lines, follow, signal });
        return;
      }
      const queue: string[] = [];
      let rest = '';
      let wake = Promise.withResolvers<void>();
      const onText = (text: string): void => {
        const parts = `${rest}${text}`.split(/\r?\n/);
        rest = parts.pop() ?? '';
        queue.push(...parts);
        wake.resolve();
      };
      const words = [
        'logs',
        ...(follow ? ['--follow'] : []),
        ...(lines === undefined ? [] : ['--tail', String(lines)]),
      ];
      let isOver = false;
      const done = callEngine(program, [...words, containerName(place)], { signal, onText })
        .catch((error: unknown) => {
          if (signal?.aborted !== true) throw error;
        })
        .finally(() => {
          isOver = true;
          wake.resolve();
        });
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop -- until there is more
        await wake.promise;
        wake = Promise.withResolvers<void>();
        yield* queue.splice(0);
        if (isOver) break;
      }
      await done;
      if (rest !== '') yield rest;
    },
  };
}

/** A health check by command runs inside the container. */
function inside(program: string, place: PodPlace, pod: FilledPod): FilledPod {
  const { health } = pod;
  if (health.command === undefined) return pod;
  const command = [program, 'exec', containerName(place), ...health.command];
  return { ...pod, cwd: place.dir, env: {}, envAllow: Object.keys(process.env), health: { ...health, command } };
}

function userOf(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** Keeps what the agent wrote: with its container the engine's own log goes. */
async function keepLog(program: string, place: PodPlace): Promise<void> {
  const texts: string[] = [];
  const { status } = await callEngine(program, ['logs', containerName(place)], { onText: (text) => texts.push(text) });
  if (status !== 0 || texts.length === 0) return;
  const log = new LogWriter(place);
  log.write(Buffer.from(texts.join('')));
  log.close();
}

function isAbsence({ stderr, stdout }: EngineAnswer): boolean {
  return /no such (?:container|object)|no container with name/i.test(stderr + stdout);
}

function notStarted(engine: string, place: PodPlace, answer: EngineAnswer): MoltError {
  const complaint = complaintOf(answer);
  const isTaken = /name .*already in use/i.test(complaint);
  return new MoltError(
    isTaken ? 'RUNNING' : 'UNHEALTHY',
    `${engine} could not start pod "${place.name}": ${complaint}`,
    {
      hint: isTaken ? `molt pod stop ${place.name}` : `${engine} info may say more`,
    },
  );
}

interface Inspected {
  readonly State?: {
    readonly Status?: string;
    readonly Pid?: number;
    readonly ExitCode?: number;
    readonly StartedAt?: string;
  };
  readonly RestartCount?: number;
  readonly Config?: { readonly Labels?: Readonly<Record<string, string>> | null };
}

/** Returns what an engine's `container inspect` says; podman and docker write the same where it matters here. */
function statusOf(text: string): PodStatus {
  const [inspected = {}] = JSON.parse(text) as Inspected[];
  const { State: { Status = '', Pid = 0, ExitCode = 0, StartedAt = '' } = {}, RestartCount = 0, Config } = inspected;
  const generation = Number(Config?.Labels?.['molt.generation']);
  const sinceMs = Date.parse(StartedAt);
  const isUp = Status === 'running' || Status === 'paused';
  const hasEnded = ENDED.includes(Status);
  return {
    state: isUp ? 'running' : hasEnded ? 'failed' : 'starting',
    restarts: RestartCount,
    ...(isUp && Pid > 0 && { pid: Pid }),
    ...(Number.isSafeInteger(generation) && { generation }),
    ...(Number.isFinite(sinceMs) && sinceMs > 0 && { sinceMs }),
    ...(hasEnded && {
      lastExit: { status: ExitCode, signal: null },
      problem: `its container ended with status ${ExitCode}`,
    }),
  };
}

/** Says how a container that is just being started ended, if it has; one that was started again had. */
function endOf({ state, restarts, lastExit, problem }: PodStatus): string | undefined {
  if (lastExit !== undefined) return `ended with status ${lastExit.status}`;
  if (state === 'stopped') return 'is gone';
  if (state === 'failed') return problem ?? 'failed';
  return restarts > 0 ? 'ended, and was started again by its engine' : undefined;
}
