// Calls the command line of a container engine: words, never a shell; what it says is read, not shown.

import { spawn } from 'node:child_process';
import { MoltError } from '../model/error.ts';
import { printable } from '../model/printable.ts';
import { withoutSecrets } from '../model/secret-variables.ts';

/** How a call ended. */
export interface EngineAnswer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const MAX_TEXT = 4 * 1024 * 1024;

/**
 * Calls an engine and waits for its end.
 * @param onText gets what it writes as it comes, instead of it being kept
 * @throws {MoltError} NOT_FOUND when it is not installed
 */
export async function callEngine(
  program: string,
  words: readonly string[],
  { signal, onText }: { readonly signal?: AbortSignal | undefined; readonly onText?: (text: string) => void } = {},
): Promise<EngineAnswer> {
  const env = withoutSecrets(process.env);
  const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'], ...(signal && { signal }) });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  const kept = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      if (onText !== undefined) onText(text);
      else if (kept[name].length < MAX_TEXT) kept[name] += text;
    });
  }
  child.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') reject(notInstalled(program, error));
    else reject(signal?.aborted === true ? (signal.reason as Error) : error);
  });
  child.once('close', resolve);
  return { status: await promise, ...kept };
}

/** Returns what an engine said went wrong, on one line. */
export function complaintOf({ stderr, stdout, status }: EngineAnswer): string {
  const said = (stderr.trim() || stdout.trim()).split('\n').at(-1)?.trim() ?? '';
  return said === '' ? `it ended with status ${status}` : printable(said).slice(0, 500);
}

function notInstalled(program: string, cause: unknown): MoltError {
  return new MoltError('NOT_FOUND', `"${program}" is not installed, and the pod’s pod.json asks for it`, {
    hint: `install it, or give "provider": "process" in the pod.json`,
    cause,
  });
}
