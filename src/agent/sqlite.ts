// Captures an SQLite database that its owner may be writing, as one committed moment of it, and leaves no trace beside it.
//
// Which way depends on the journal mode and on what lies beside the database, since opening one in WAL mode makes `-wal` and
// `-shm` where they are not:
//   resting   WAL, nothing beside it: its bytes, under a stable stamp; all that was committed is in the main file
//   in place  WAL, -wal and -shm: main file and log read as they lie, under a read transaction (sqlite-snapshot.ts)
//   backup    rollback journal, and where the former does not fit: SQLite's backup(), in a read transaction that other writers
//             can't restart
//   pair      WAL with only one of them, or a journal left by a crash: database and log copied under stable stamps, and SQLite
//             recovers the copy
// All but backup() give the same bytes: those of the main file after a checkpoint. backup() differs in the first page alone, where it
// sets the change counter, the schema cookie and SQLite's version to values of its own; so deltas stay small when the ways alternate.
// A file that only begins like a database is captured as the plain file that it is.

import { join } from 'node:path';
import type { BlobWriter } from '../model/entry.ts';
import type { CaptureContext, CapturedEntry, CaptureOutcome, OpenBlob } from './capture.ts';
import type { ScannedEntry } from './scan.ts';
import { type DatabaseMethod, copyDatabase, findDamage, findDamageAtRest, readInPlace } from './sqlite-copy.ts';
import { type Stamps, hasLog, isFresh, readStamps } from './sqlite-files.ts';
import { hasWholePage, isWalMode } from './sqlite-header.ts';
import { DAMAGED_DATABASE } from './sqlite-trouble.ts';
import { readStable } from './stable-read.ts';
import { type FileStamp, isSameStamp } from './stamp.ts';
import { makeTempFolder, removeTempFolder } from './temp.ts';

/**
 * Captures a database. The same state gives the same bytes each time it is captured in the same way. Nothing else in this process
 * may open or close the database, or another name of it, until it is done.
 * @param tries how often a file that changes while it is copied is tried again
 * @throws {ReadFailure} when the database itself can't be read; what `open` and its writer throw passes through
 */
export async function captureDatabase(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
  tries: number,
): Promise<CaptureOutcome> {
  const capturedMs = context.clock.now();
  const stamps = readStamps(entry.native);
  if (!hasLog(stamps) && !hasWholePage(entry.native, stamps.main.sizeBytes))
    return capturePlain(entry, open, capturedMs, tries);
  let isSuspect = false;
  if (isWalMode(entry.native)) {
    const outcome = hasLog(stamps)
      ? await captureInPlace(entry, open, context, { stamps, capturedMs, tries })
      : await captureResting(entry, open, context);
    if (typeof outcome === 'object') return outcome;
    isSuspect = outcome === 'short';
  }
  const folder = makeTempFolder(context.tempDir);
  try {
    const copy = join(folder, 'database');
    const { result, method } = await copyDatabase(entry.native, copy, context, tries);
    if (result === 'not a database') return await capturePlain(entry, open, capturedMs, tries);
    if (typeof result === 'object')
      return await captureTrouble(entry, open, result.reason, { stamps, capturedMs, tries });
    if (result === 'needs recovery') return { status: 'unreadable', reason: 'a database whose log keeps changing' };
    const damage = isSuspect || context.quickCheck === true ? await findDamage(copy) : undefined;
    const read = await readStable(copy, open, { chunking: 'fixed', mode: 'bytes', tries: 1 });
    if (read.status !== 'read') throw new Error('a temporary copy changed while it was read');
    return describeCapture(read, method, stamps, capturedMs, damage);
  } finally {
    removeTempFolder(folder);
  }
}

/** A damaged database with nothing beside it is taken as it is: history keeps the good version before it, and some of it may be saved. */
async function captureTrouble(
  entry: ScannedEntry,
  open: OpenBlob,
  reason: string,
  known: { readonly stamps: Stamps; readonly capturedMs: number; readonly tries: number },
): Promise<CaptureOutcome> {
  if (reason !== DAMAGED_DATABASE || hasLog(known.stamps)) return { status: 'unreadable', reason };
  const outcome = await capturePlain(entry, open, known.capturedMs, known.tries);
  return outcome.status === 'captured' ? { ...outcome, damage: reason } : outcome;
}

/** Streams a database that is shared through its log; if it has to be copied, undefined, or `short` if pages are missing. */
async function captureInPlace(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
  known: { readonly stamps: Stamps; readonly capturedMs: number; readonly tries: number },
): Promise<CaptureOutcome | 'short' | undefined> {
  const unfinished: BlobWriter[] = [];
  const abandon = () => unfinished.splice(0).forEach((writer) => writer.abort());
  try {
    const result = await readInPlace(entry.native, context, known.tries, (sizeBytes) => {
      abandon();
      const writer = open('fixed', [sizeBytes]);
      unfinished.push(writer);
      return (bytes) => writer.write(bytes);
    });
    if (result === 'short') return result;
    if (result === undefined || typeof result === 'string') return undefined;
    if ('reason' in result) return { status: 'unreadable', reason: result.reason };
    const writer = unfinished[0];
    if (writer === undefined) return undefined;
    const blob = await writer.finish();
    unfinished.pop();
    return describeCapture(blob, 'in place', known.stamps, known.capturedMs, result.damage);
  } finally {
    abandon();
  }
}

function describeCapture(
  { id, sizeBytes }: Awaited<ReturnType<BlobWriter['finish']>>,
  method: DatabaseMethod,
  { main, wal, journal }: Stamps,
  capturedMs: number,
  damage: string | undefined,
): CapturedEntry {
  return {
    status: 'captured',
    id,
    sizeBytes,
    kind: 'sqlite',
    method,
    cacheable: true,
    capturedMs,
    stamp: main,
    ...(wal && { wal }),
    ...(journal && { journal }),
    ...(damage !== undefined && { damage }),
  };
}

/** Takes the bytes of a database that nobody has open; undefined if somebody has, after all. */
async function captureResting(
  entry: ScannedEntry,
  open: OpenBlob,
  context: CaptureContext,
): Promise<CaptureOutcome | undefined> {
  const capturedMs = context.clock.now();
  const stamps = readStamps(entry.native);
  const damage = context.quickCheck === true ? await findDamageAtRest(entry.native) : undefined;
  const confirm = (stamp: FileStamp) =>
    isSameStamp(stamps.main, stamp) && !hasLog(readStamps(entry.native)) && !isFresh(stamp, capturedMs);
  const read = await readStable(entry.native, open, { chunking: 'fixed', mode: 'unchanging', tries: 1, confirm });
  return read.status === 'read' ? describeCapture(read, 'resting', stamps, capturedMs, damage) : undefined;
}

async function capturePlain(
  entry: ScannedEntry,
  open: OpenBlob,
  capturedMs: number,
  tries: number,
): Promise<CaptureOutcome> {
  const read = await readStable(entry.native, open, { chunking: 'content', mode: 'bytes', tries });
  if (read.status !== 'read') return { status: 'unreadable', reason: 'it keeps changing while it is read' };
  const { id, sizeBytes, stamp, whole } = read;
  return { status: 'captured', id, sizeBytes, kind: 'plain', cacheable: whole, capturedMs, stamp };
}
