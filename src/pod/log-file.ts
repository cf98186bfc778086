// The log of a pod: what its agent wrote to stdout and stderr, in `log`, and before that in `log.1`.

import { closeSync, fstatSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as delay } from 'node:timers/promises';
import { printable } from '../model/printable.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { LogOptions, PodPlace } from './provider.ts';

const ROTATE_BYTES = 10 * 1024 * 1024;
const FOLLOW_MS = 100;
const TAIL_BYTES = 64 * 1024;
/** How much of a log an error quotes. */
const LAST_LINES = 5;
const MAX_LINE = 1024 * 1024;

/** Returns the path of a pod's log. */
export function logFile({ dir }: PodPlace): string {
  return join(dir, 'log');
}

/** Writes a log. What can't be written (a full disk) is lost: no reason to stop an agent. */
export class LogWriter {
  readonly #path: string;
  readonly #rotateBytes: number;
  #descriptor: number;
  #size: number;

  /** @throws {MoltError} IO when the log can't be opened */
  constructor(place: PodPlace, rotateBytes = ROTATE_BYTES) {
    this.#path = logFile(place);
    this.#rotateBytes = rotateBytes;
    try {
      this.#descriptor = openSync(this.#path, 'a', 0o600);
      this.#size = fstatSync(this.#descriptor).size;
    } catch (error) {
      throw systemFailure(error, 'cannot open the log of a pod', this.#path);
    }
  }

  write(bytes: Buffer): void {
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#rotateBytes) this.#rotate();
      this.#size += writeSync(this.#descriptor, bytes);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #rotate(): void {
    renameSync(this.#path, `${this.#path}.1`);
    const next = openSync(this.#path, 'a', 0o600);
    closeSync(this.#descriptor);
    this.#descriptor = next;
    this.#size = 0;
  }
}

/** Returns where a pod's log has come to, to be able to tell what is new. */
export function logSize(place: PodPlace): number {
  return statSync(logFile(place), { throwIfNoEntry: false })?.size ?? 0;
}

/** Returns the last lines of a log that were written after it had a size, made printable. */
function readLastLines(place: PodPlace, lines: number, sinceBytes = 0): string[] {
  let descriptor: number;
  try {
    descriptor = openSync(logFile(place), 'r');
  } catch {
    return [];
  }
  try {
    const { size } = fstatSync(descriptor);
    // A log that is shorter now has begun anew.
    const from = Math.max(size < sinceBytes ? 0 : sinceBytes, size - TAIL_BYTES);
    const bytes = Buffer.alloc(size - from);
    const length = readSync(descriptor, bytes, 0, bytes.length, from);
    const all = bytes.toString('utf8', 0, length).split(/\r?\n/);
    return all
      .filter((line) => line.trim() !== '')
      .slice(-lines)
      .map((line) => printable(line));
  } finally {
    closeSync(descriptor);
  }
}

/** Adds to an UNHEALTHY error where the log is, and how what was written after it had a size ends. */
export function withLog(error: unknown, place: PodPlace, sinceBytes: number): unknown {
  if (!isMoltError(error, 'UNHEALTHY')) return error;
  const lines = readLastLines(place, LAST_LINES, sinceBytes);
  const end =
    lines.length === 0
      ? 'nothing was written there'
      : `it ends with:\n${lines.map((line) => `    ${line}`).join('\n')}`;
  return new MoltError('UNHEALTHY', `${error.message}; its log is ${logFile(place)}, ${end}`, {
    hint: error.hint ?? `molt pod logs ${place.name} shows all of it`,
    details: { ...error.details, log: logFile(place) },
    cause: error,
  });
}

/** Lists lines of a log, oldest first; a line without an end is one at the end of the log only. */
export async function* readLog(place: PodPlace, { lines, follow = false, signal }: LogOptions): AsyncIterable<string> {
  const path = logFile(place);
  const reader = new LineReader();
  let kept: string[] = [];
  try {
    for (const file of [`${path}.1`, path]) {
      if (!reader.open(file)) continue;
      for (let some = reader.read(); some !== undefined; some = reader.read()) {
        if (lines === undefined) yield* some;
        else kept = [...kept, ...some].slice(lines === 0 ? Infinity : -lines);
      }
    }
    if (!follow) kept = [...kept, ...reader.end()].slice(lines === undefined ? 0 : lines === 0 ? Infinity : -lines);
    yield* kept;
    if (!follow) return;
    for (;;) {
      if (signal?.aborted === true) return;
      const some = reader.read();
      if (some !== undefined) yield* some;
      else if (!reader.isAt(path)) reader.open(path);
      // oxlint-disable-next-line no-await-in-loop -- looking again after a while
      else await delay(FOLLOW_MS, undefined, signal ? { signal } : {}).catch(() => undefined);
    }
  } finally {
    reader.close();
  }
}

/** Reads lines of files one after the other, which may grow meanwhile. */
class LineReader {
  #descriptor: number | undefined;
  readonly #decoder = new StringDecoder('utf8');
  readonly #buffer = Buffer.alloc(TAIL_BYTES);
  #rest = '';

  /** Goes on with another file; false if it is not there. */
  open(file: string): boolean {
    this.close();
    try {
      this.#descriptor = openSync(file, 'r');
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return false;
      throw systemFailure(error, 'cannot read the log of a pod', file);
    }
  }

  /** Returns the next lines, perhaps none yet, or undefined at the end of what there is. */
  read(): string[] | undefined {
    const length = this.#descriptor === undefined ? 0 : readSync(this.#descriptor, this.#buffer);
    if (length === 0) return undefined;
    const lines = `${this.#rest}${this.#decoder.write(this.#buffer.subarray(0, length))}`.split(/\r?\n/);
    this.#rest = lines.pop() ?? '';
    // An agent that never ends its line must not fill the memory.
    if (this.#rest.length < MAX_LINE) return lines;
    lines.push(this.#rest);
    this.#rest = '';
    return lines;
  }

  /** Returns a last line that has no end. */
  end(): string[] {
    return this.#rest === '' ? [] : [this.#rest];
  }

  /** Says whether the file that is read still has this name: a log that was rotated away has not. */
  isAt(file: string): boolean {
    const now = statSync(file, { throwIfNoEntry: false });
    if (now === undefined) return true;
    return this.#descriptor !== undefined && fstatSync(this.#descriptor).ino === now.ino;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
