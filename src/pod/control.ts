// The control socket of a supervisor: one line of JSON asks, one line of JSON answers. It lies in a folder that only this user may
// enter; what it answers carries the supervisor's mark, so that nobody takes another's socket for it.

import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MoltError, type ErrorCode } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { SupervisorNote } from './note.ts';
import type { PodPlace, PodStatus } from './provider.ts';
import type { FilledPod } from './spec.ts';

/** What a supervisor can be asked to do. */
export type ControlRequest =
  | { readonly do: 'status' }
  | { readonly do: 'stop' }
  | { readonly do: 'switch'; readonly pod: FilledPod };

/** An answer: how the pod is then, or what went wrong. */
export interface ControlAnswer {
  readonly mark: string;
  readonly status?: PodStatus;
  readonly error?: PlainError;
}

/** An error on its way to another process. */
export interface PlainError {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

// sun_path has 104 bytes on some systems, 108 on Linux.
const MAX_SOCKET_BYTES = 100;
const MAX_LINE_BYTES = 4 * 1024 * 1024;

/**
 * Returns where a pod's control socket goes: into its folder, or where that path is too long, into a private one of the system's
 * temporary folder.
 * @throws {MoltError} IO when that can't be made, or belongs to somebody else
 */
export function socketPath(place: PodPlace): string {
  const near = join(place.dir, 'control.sock');
  if (Buffer.byteLength(near) <= MAX_SOCKET_BYTES) return near;
  const user = process.getuid?.() ?? 0;
  const folder = join(tmpdir(), `molt-pods-${user}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { uid, mode } = lstatSync(folder);
    if ((uid !== user && process.getuid !== undefined) || (mode & 0o170_077) !== 0o040_000)
      throw new MoltError('IO', `"${folder}" is no private folder of this user`, { hint: 'remove it' });
  } catch (error) {
    throw systemFailure(error, 'cannot make the folder of control sockets', folder);
  }
  return join(folder, `${createHash('sha256').update(near).digest('hex').slice(0, 32)}.sock`);
}

/**
 * Listens on a control socket. Whoever holds the pod's lock may replace what a killed supervisor left there.
 * @param answer does what is asked; what it throws is answered. `gone` is aborted when nobody waits for the answer any more
 */
export async function listenForControl(
  path: string,
  mark: string,
  answer: (request: ControlRequest, gone: AbortSignal) => Promise<PodStatus>,
): Promise<Server> {
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    const gone = new AbortController();
    socket.on('error', () => socket.destroy());
    socket.once('close', () => gone.abort(new MoltError('INTERRUPTED', 'interrupted')));
    readLine(socket)
      .then(async (line) => {
        const reply: ControlAnswer = await answer(JSON.parse(line) as ControlRequest, gone.signal).then(
          (status) => ({ mark, status }),
          (error: unknown) => ({ mark, error: plainError(error) }),
        );
        socket.end(`${JSON.stringify(reply)}\n`);
      })
      .catch(() => socket.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(path, resolve);
  await promise.catch((error: unknown) => {
    throw systemFailure(error, 'cannot listen on the control socket of a pod', path);
  });
  return server;
}

/**
 * Asks a supervisor.
 * @returns undefined when it does not answer: it is gone, or hangs
 * @throws {MoltError} what it answers
 */
export async function askSupervisor(
  note: SupervisorNote,
  request: ControlRequest,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<PodStatus | undefined> {
  const { timeoutMs = 0, signal } = options;
  signal?.throwIfAborted();
  const socket = connect({ path: note.socket, ...(signal && { signal }) });
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.once('connect', () => socket.write(`${JSON.stringify(request)}\n`));
  const line = await readLine(socket).catch(() => undefined);
  socket.destroy();
  signal?.throwIfAborted();
  const answer = line === undefined ? undefined : (JSON.parse(line) as ControlAnswer);
  if (answer?.mark !== note.mark) return undefined;
  if (answer.error !== undefined) throw moltError(answer.error);
  return answer.status;
}

/** Returns an error as plain data. */
export function plainError(error: unknown): PlainError {
  if (error instanceof MoltError) {
    const { code, message, hint, details } = error;
    return { code, message, hint, details };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: undefined, message, hint: undefined, details: {} };
}

/** Returns the error that was made plain; one without a code was a bug over there. */
export function moltError({ code, message, hint, details }: PlainError): Error {
  if (code === undefined) return new Error(message);
  return new MoltError(code, message, { ...(hint !== undefined && { hint }), details });
}

function readLine(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  socket.on('data', (part: Buffer) => {
    const end = part.indexOf(0x0a);
    parts.push(end === -1 ? part : part.subarray(0, end));
    sizeBytes += part.length;
    if (end !== -1) resolve(Buffer.concat(parts).toString('utf8'));
    else if (sizeBytes > MAX_LINE_BYTES) socket.destroy();
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('closed')));
  return promise;
}
