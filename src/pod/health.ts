// Health checks: a GET that answers 2xx, a command that ends with status 0, or a port that is listened on.

import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { printable } from '../model/printable.ts';
import { runCommand } from './command.ts';
import { podEnvironment } from './environment.ts';
import { POD_HOST } from './ports.ts';
import type { Health } from './provider.ts';
import type { FilledPod } from './spec.ts';

/** One try may take this long; a busy agent's answer is waited for. */
export const TRY_MS = 5000;
/** How long an agent without port and check has to live to count as healthy. */
const SETTLED_MS = 1000;
/** How much of a bad answer is told. */
const ANSWER_CHARACTERS = 200;

/** Asks a pod how it is, once. Never throws for a bad answer. */
export async function checkHealth(pod: FilledPod, timeoutMs: number, signal?: AbortSignal): Promise<Health> {
  const { http, command, tcp } = pod.health;
  const options = { timeoutMs, signal };
  if (http !== undefined) return get(http, options);
  if (tcp !== undefined) return knock(tcp, options);
  if (command === undefined) return { isHealthy: true, hasAnswered: true, answer: 'it runs' };
  const problem = await runCommand(command, { ...options, cwd: pod.cwd, env: podEnvironment(pod) });
  const name = `"${command[0]}"`;
  const isHealthy = problem === undefined;
  // What a command finds out by itself is not known.
  return { isHealthy, hasAnswered: isHealthy, answer: `${name} ${problem ?? 'ended with status 0'}` };
}

/** What waiting for health goes by. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Says how the agent ended, or undefined while it runs. */
  readonly ended: () => string | undefined | Promise<string | undefined>;
  readonly onTry?: ((answer: string) => void) | undefined;
}

/**
 * Waits until a pod that was just started is healthy.
 * @throws {MoltError} UNHEALTHY when it ends or takes too long, with what the last try answered
 */
export async function waitHealthy(pod: FilledPod, { signal, ended, onTry }: WaitOptions): Promise<void> {
  const { intervalMs, timeoutMs, http, tcp, command } = pod.health;
  const startedMs = performance.now();
  const isUnchecked = http === undefined && tcp === undefined && command === undefined;
  let answer: string | undefined;
  for (;;) {
    const leftMs = timeoutMs - (performance.now() - startedMs);
    if (leftMs <= 0) {
      const last = answer ?? 'it was not asked yet';
      throw new MoltError('UNHEALTHY', `${pod.name} did not become healthy within ${timeoutMs / 1000} s: ${last}`);
    }
    signal?.throwIfAborted();
    const tryMs = Math.min(leftMs, TRY_MS);
    const triedMs = performance.now();
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    const health = await checkHealth(pod, tryMs, signal);
    // The last try, for which little time was left, tells less than the one before it.
    const isCutShort = tryMs < TRY_MS && performance.now() - triedMs >= tryMs;
    signal?.throwIfAborted();
    // Somebody else might answer on the port of an agent that has ended.
    // oxlint-disable-next-line no-await-in-loop -- the same
    const end = await ended();
    if (end !== undefined) {
      throw new MoltError('UNHEALTHY', `${pod.name} ended before it was healthy: it ${end}`);
    }
    const isSettled = !isUnchecked || performance.now() - startedMs >= SETTLED_MS;
    if (health.isHealthy && isSettled) return;
    answer = isCutShort ? (answer ?? health.answer) : health.answer;
    onTry?.(health.answer);
    // oxlint-disable-next-line no-await-in-loop -- the pause between two tries
    await delay(Math.max(0, Math.min(intervalMs, leftMs)), undefined, signal ? { signal } : {}).catch(() => undefined);
  }
}

interface TryOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

function get({ path, port }: { path: string; port: number }, { timeoutMs, signal }: TryOptions): Promise<Health> {
  const { promise, resolve } = Promise.withResolvers<Health>();
  const name = `GET ${path}`;
  const deadline = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  const call = request({
    host: POD_HOST,
    port,
    path,
    agent: false,
    headers: { accept: '*/*' },
    signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
  });
  call.once('response', (response) => {
    const { statusCode: status = 0 } = response;
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      text += part.slice(0, ANSWER_CHARACTERS - text.length);
    });
    response.once('error', () => resolve({ isHealthy: false, hasAnswered: true, answer: `${name} broke off` }));
    response.once('end', () => {
      const isHealthy = status >= 200 && status < 300;
      const said = isHealthy ? '' : text.trim().replaceAll(/\s+/g, ' ');
      resolve({ isHealthy, hasAnswered: true, answer: `${name} answered ${status}${said && `: ${printable(said)}`}` });
    });
  });
  call.once('error', (error: NodeJS.ErrnoException) => {
    const why = deadline.aborted
      ? `did not answer within ${Math.ceil(timeoutMs)} ms`
      : `was not answered (${error.code})`;
    resolve({ isHealthy: false, hasAnswered: false, answer: `${name} ${why}` });
  });
  call.end();
  return promise;
}

function knock(port: number, { timeoutMs, signal }: TryOptions): Promise<Health> {
  const { promise, resolve } = Promise.withResolvers<Health>();
  const socket = connect({ host: POD_HOST, port, ...(signal && { signal }) });
  socket.setTimeout(Math.max(1, Math.ceil(timeoutMs)), () => socket.destroy(new Error('timeout')));
  socket.once('connect', () => {
    socket.destroy();
    resolve({ isHealthy: true, hasAnswered: true, answer: `port ${port} is listened on` });
  });
  socket.once('error', () =>
    resolve({ isHealthy: false, hasAnswered: false, answer: `nothing listens on port ${port}` }),
  );
  return promise;
}
