// Runs the command of an exec slot (docs/exec-slot.md): one JSON object in on stdin, one out on stdout. What it writes to stderr is shown
// on a terminal and goes nowhere else; what it writes to stdout may be a key, and so is never in an error.

import { spawn } from 'node:child_process';
import type { KeyWrapper, SlotPlace } from '../crypto/slot.ts';
import { MAX_EXEC_WRAPPED_BYTES, SECRET_KEY_BYTES } from '../crypto/slot.ts';
import { MoltError } from '../model/error.ts';
import { withoutSecrets } from '../model/secret-variables.ts';

/** Long enough to find a token and touch it. */
const TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 64 * 1024;

/** Returns the wrapper that a shell command is. */
export function makeCommandWrapper(command: string, timeoutMs: number = TIMEOUT_MS): KeyWrapper {
  return {
    async wrap(key, place) {
      const request = { ...head('wrap', place), key: key.toString('base64') };
      return readMember(await runCommand(command, request, timeoutMs), 'wrapped', 1, MAX_EXEC_WRAPPED_BYTES);
    },
    async unwrap(wrapped, place) {
      const request = { ...head('unwrap', place), wrapped: wrapped.toString('base64') };
      return readMember(await runCommand(command, request, timeoutMs), 'key', SECRET_KEY_BYTES, SECRET_KEY_BYTES);
    },
  };
}

function head(action: 'wrap' | 'unwrap', { repository, slot }: SlotPlace): object {
  return { molt: action, version: 1, repository, slot };
}

async function runCommand(command: string, request: object, timeoutMs: number): Promise<Buffer> {
  const child = spawn('/bin/sh', ['-c', command], {
    env: withoutSecrets(process.env),
    stdio: ['pipe', 'pipe', process.stderr.isTTY ? 'inherit' : 'ignore'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const stop = (problem: string, cause?: unknown): void => {
    child.kill('SIGKILL');
    // A process that the command left behind may hold the pipe open for ever.
    child.stdout.destroy();
    child.stdin.destroy();
    reject(failure(problem, cause));
  };
  const timer = setTimeout(() => stop(`did not answer within ${timeoutMs / 1000} s`), timeoutMs);
  child.once('error', (error) => stop('can’t be started', error));
  // A command that answers without reading is judged by its answer.
  child.stdin.on('error', () => {});
  child.stdout.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_OUTPUT_BYTES) stop(`wrote more than ${MAX_OUTPUT_BYTES} bytes`);
    else chunks.push(chunk);
  });
  child.once('close', (status, signal) => {
    if (status === 0) resolve(Buffer.concat(chunks));
    else reject(failure(signal === null ? `ended with status ${status}` : `was ended by ${signal}`));
  });
  child.stdin.end(`${JSON.stringify(request)}\n`);
  return promise.finally(() => clearTimeout(timer));
}

function readMember(output: Buffer, name: string, minBytes: number, maxBytes: number): Buffer {
  let value: unknown;
  try {
    value = (JSON.parse(output.toString('utf8')) as Record<string, unknown> | null)?.[name];
  } catch {
    // V8 quotes the text in its message, and the text may be a key.
    throw failure('did not answer with JSON');
  }
  const bytes = Buffer.from(typeof value === 'string' ? value : '', 'base64');
  if (bytes.toString('base64') === value && bytes.length >= minBytes && bytes.length <= maxBytes) return bytes;
  const size = minBytes === maxBytes ? `${minBytes}` : `${minBytes} to ${maxBytes}`;
  throw failure(`did not answer with "${name}", ${size} bytes in base64`);
}

function failure(problem: string, cause?: unknown): MoltError {
  return new MoltError('IO', `the command of an exec slot ${problem}`, {
    hint: 'run it by hand as docs/exec-slot.md shows, or open with a passphrase or recovery key',
    ...(cause !== undefined && { cause }),
  });
}
