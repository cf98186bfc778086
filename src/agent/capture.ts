// Captures one entry of a live agent as a blob. What can't be read at one consistent moment is reported, so that the commit keeps
// its last good version.

import { readlinkSync } from 'node:fs';
import type { BlobWriter, Chunking } from '../model/entry.ts';
import { isSystemError } from '../model/error.ts';
import type { BlobId } from '../model/ids.ts';
import type { Clock } from '../model/ports.ts';
import type { ScannedEntry } from './scan.ts';
import { captureDatabase } from './sqlite.ts';
import type { DatabaseMethod } from './sqlite-copy.ts';
import { ReadFailure, readStable } from './stable-read.ts';
import type { FileKind } from './stat-cache.ts';
import type { FileStamp } from './stamp.ts';

/** What capturing may use. */
export interface CaptureContext {
  /** A folder for temporary plaintext copies of databases; made with mode 0700 when it is needed. */
  readonly tempDir: string;
  readonly clock: Clock;
  /** When to give up copying a database, on the clock, in milliseconds. */
  readonly deadlineMs: number;
  /** How long SQLite may block for another process's lock, in milliseconds; 1,000 unless given. */
  readonly busyTimeoutMs?: number;
  /** A log with more than this in it is not read in place, in bytes; 256 MiB unless given. */
  readonly maxLogBytes?: number;
  /** How often a changing file is read before it is given up; 4 unless given. */
  readonly tries?: number;
  /** Run SQLite's quick_check on copies of databases, for fulls. */
  readonly quickCheck?: boolean;
}

/** An entry whose content was taken. */
export interface CapturedEntry {
  readonly status: 'captured';
  readonly id: BlobId;
  readonly sizeBytes: number;
  readonly kind: FileKind;
  /** How a database was read. */
  readonly method?: DatabaseMethod;
  /** What is wrong with a database that was checked. It is taken as it is: history keeps the good version before it. */
  readonly damage?: string;
  /** The stat cache may remember it under `stamp`, `wal` and `journal`. */
  readonly cacheable: boolean;
  /** When the content was as captured, in milliseconds since the Unix epoch: files and databases differ within a commit. */
  readonly capturedMs: number;
  /** The file as it was when it was opened, which may be later than the scan saw it. */
  readonly stamp: FileStamp;
  readonly wal?: FileStamp;
  readonly journal?: FileStamp;
}

/** What became of one entry. */
export type CaptureOutcome =
  | CapturedEntry
  /** It went away since the scan. */
  | { readonly status: 'vanished' }
  | { readonly status: 'unreadable'; readonly reason: string };

/**
 * Makes the writer of a blob whose bytes are cut in the given way. Git's id begins with the size, so `sizesBytes` tells it
 * beforehand: one size, or for JSONL two (without and with a last line that may turn out to be torn).
 */
export type OpenBlob = (chunking: Chunking, sizesBytes: readonly number[]) => BlobWriter;

const DEFAULT_TRIES = 4;

/**
 * Captures the content of a file or the target of a symlink. Calls for different files may overlap. A call for a database must not
 * overlap with another for it or with a scan, which looks at its header: POSIX locks belong to the process, and are dropped when
 * any descriptor of the file is closed.
 * @throws what `open` and its writer throw; trouble with the file itself is an outcome
 */
export async function captureFile(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
): Promise<CaptureOutcome> {
  const capturedMs = context.clock.now();
  const tries = context.tries ?? DEFAULT_TRIES;
  try {
    if (entry.type === 'symlink') return await captureLink(entry, open, capturedMs);
    if (entry.wal !== undefined || entry.journal !== undefined)
      return await captureDatabase(entry, open, context, tries);
    const isLines = entry.path.endsWith('.jsonl');
    const read = await readStable(entry.native, open, { chunking: 'content', mode: isLines ? 'lines' : 'file', tries });
    if (read.status === 'database') return await captureDatabase(entry, open, context, tries);
    if (read.status === 'changing') return { status: 'unreadable', reason: 'it keeps changing while it is read' };
    const { id, sizeBytes, stamp } = read;
    return {
      status: 'captured',
      id,
      sizeBytes,
      kind: isLines ? 'jsonl' : 'plain',
      cacheable: read.whole,
      capturedMs,
      stamp,
    };
  } catch (error) {
    if (error instanceof ReadFailure) return describeReadFailure(error.cause);
    throw error;
  }
}

async function captureLink(entry: ScannedEntry, open: OpenBlob, capturedMs: number): Promise<CaptureOutcome> {
  let target: Buffer;
  try {
    target = readlinkSync(entry.native, { encoding: 'buffer' });
  } catch (error) {
    throw new ReadFailure(error);
  }
  const writer = open('content', [target.length]);
  let finished = false;
  try {
    await writer.write(target);
    const { id, sizeBytes } = await writer.finish();
    finished = true;
    return { status: 'captured', id, sizeBytes, kind: 'plain', cacheable: true, capturedMs, stamp: entry };
  } finally {
    if (!finished) writer.abort();
  }
}

function describeReadFailure(cause: unknown): CaptureOutcome {
  if (isSystemError(cause, 'ENOENT', 'ENOTDIR')) return { status: 'vanished' };
  if (isSystemError(cause, 'EACCES', 'EPERM')) return { status: 'unreadable', reason: 'it may not be read' };
  if (isSystemError(cause, 'ELOOP', 'EINVAL', 'ENXIO', 'EISDIR'))
    return { status: 'unreadable', reason: 'it became something else' };
  if (cause instanceof Error && 'code' in cause)
    return { status: 'unreadable', reason: `the system refused (${String(cause.code)})` };
  return { status: 'unreadable', reason: cause instanceof Error ? cause.message : 'it cannot be read' };
}
