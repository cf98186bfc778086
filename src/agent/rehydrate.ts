// Writes a whole tree into new folders: what a restore and a checkout do with a commit's entries. Nothing that a commit says can
// lead out of those folders: every name is checked, every folder is made here, every file is made anew, links come last.
//
// Nothing is flushed to the disk file by file: on ext4 that costs more than the writing itself, and the commit that the files come
// from is durable, so after a power cut the restore is simply done again. flushTree makes a tree durable in one go, before whoever
// switches to it records that it is whole.

import { execFile } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { RestoreEntry } from '../model/entry.ts';
import { MoltError, isSystemError } from '../model/error.ts';
import type { BlobId } from '../model/ids.ts';
import { displayPath, unescapeName } from '../model/name.ts';
import { systemFailure } from '../model/system-error.ts';
import { type NativePath, joinNative } from './native-path.ts';

/** What writeEntries needs. */
export interface WriteOptions {
  /** Where each root goes: an absolute folder that doesn't exist yet or is empty. */
  readonly targets: ReadonlyMap<string, string>;
  /** Parents before what is in them, as scan and Git's trees have it. A parent that has no entry is made with mode 0700. */
  readonly entries: AsyncIterable<RestoreEntry> | Iterable<RestoreEntry>;
  /** Reads a blob in pieces of any size. */
  readonly read: (blob: BlobId) => AsyncIterable<Buffer> | Iterable<Buffer>;
  readonly onProgress?: (done: WriteResult) => void;
}

/** What was written so far, or in all. */
export interface WriteResult {
  readonly files: number;
  readonly folders: number;
  readonly links: number;
  readonly bytes: number;
}

/**
 * Writes the entries. On an error what was written so far stays; the caller removes the targets.
 * @throws {MoltError} EXISTS when a target isn't empty; HOSTILE when a path would lead elsewhere, comes twice, or meets another on
 *   a file system that takes their names for one; IO when the system refuses, or a blob isn't as long as its entry says
 */
export async function writeEntries(options: WriteOptions): Promise<WriteResult> {
  const writing: Writing = {
    ...options,
    folders: new Map(),
    symlinks: [],
    firstNames: new Map(),
    done: { files: 0, folders: 0, links: 0, bytes: 0 },
  };
  for (const [key, dir] of options.targets) {
    makeTarget(dir);
    writing.folders.set(key, { native: dir, entry: undefined });
  }
  for await (const entry of options.entries) {
    await writeEntry(writing, entry).catch((error: unknown) => explain(entry.path, error));
  }
  for (const { entry, target } of writing.symlinks) makeSymlink(writing, entry, target);
  finishFolders(writing);
  options.onProgress?.({ ...writing.done });
  return writing.done;
}

/** Makes a tree durable with one call to the file system where the system has `sync -f` (Linux); elsewhere it does nothing. */
export async function flushTree(dir: string): Promise<boolean> {
  try {
    await promisify(execFile)('sync', ['-f', '--', dir]);
    return true;
  } catch {
    return false;
  }
}

interface Writing extends WriteOptions {
  /** The folders that were made here, by path in the commit tree. */
  readonly folders: Map<string, { readonly native: NativePath; entry: RestoreEntry | undefined }>;
  readonly symlinks: { readonly entry: RestoreEntry; readonly target: Buffer }[];
  /** The file that the later names of a link group are linked to. */
  readonly firstNames: Map<number, NativePath>;
  readonly done: { files: number; folders: number; links: number; bytes: number };
}

// A hole is worth its bookkeeping only in runs of this size.
const ZEROES = Buffer.alloc(64 * 1024);
// The longest target of a symlink, PATH_MAX on Linux.
const MAX_TARGET_BYTES = 4096;
const SECOND_NS = 1_000_000_000n;

async function writeEntry(writing: Writing, entry: RestoreEntry): Promise<void> {
  if (entry.type === 'directory') {
    getFolder(writing, entry.path).entry = entry;
    return;
  }
  if (entry.blob === undefined) throw new Error(`${entry.path} has no content`);
  if (entry.type === 'symlink') {
    writing.symlinks.push({ entry, target: await readTarget(writing, entry, entry.blob) });
    return;
  }
  const native = nativePathOf(writing, entry.path);
  const first = writing.firstNames.get(entry.linkGroup);
  if (first === undefined) await writeFile(writing, native, entry, entry.blob);
  else makeHardLink(first, native, entry);
  if (entry.linkGroup !== 0 && first === undefined) writing.firstNames.set(entry.linkGroup, native);
  writing.done.files += 1;
  writing.onProgress?.(writing.done);
}

async function writeFile(writing: Writing, native: NativePath, entry: RestoreEntry, blob: BlobId): Promise<void> {
  const fd = openSync(native, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    let offset = 0;
    for await (const bytes of writing.read(blob)) {
      writeSparsely(fd, bytes, offset);
      offset += bytes.length;
    }
    if (offset !== entry.sizeBytes) {
      throw new MoltError('IO', `"${displayPath(entry.path)}" came with ${offset} bytes instead of ${entry.sizeBytes}`);
    }
    ftruncateSync(fd, offset);
    writing.done.bytes += offset;
    futimesSync(fd, ...toTimes(entry.mtimeNs));
    fchmodSync(fd, entry.mode);
  } finally {
    closeSync(fd);
  }
}

/** Writes bytes at an offset, leaving runs of zeroes out; the file's length is set at the end. */
function writeSparsely(fd: number, bytes: Buffer, offset: number): void {
  let start = 0;
  for (let at = 0; at + ZEROES.length <= bytes.length; at += ZEROES.length) {
    if (bytes[at] !== 0 || bytes.compare(ZEROES, 0, ZEROES.length, at, at + ZEROES.length) !== 0) continue;
    writeAll(fd, bytes.subarray(start, at), offset + start);
    start = at + ZEROES.length;
  }
  writeAll(fd, bytes.subarray(start), offset + start);
}

function writeAll(fd: number, bytes: Buffer, offset: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
}

function makeHardLink(first: NativePath, native: NativePath, entry: RestoreEntry): void {
  try {
    linkSync(first, native);
  } catch (error) {
    if (!isSystemError(error, 'EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'ENOSYS')) throw error;
    // The roots may go to different file systems, and not every one has hard links: a copy has the same content.
    copyFileSync(first, native, constants.COPYFILE_EXCL);
    utimesSync(native, ...toTimes(entry.mtimeNs));
    chmodSync(native, entry.mode);
  }
}

async function readTarget(writing: Writing, entry: RestoreEntry, blob: BlobId): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const bytes of writing.read(blob)) {
    length += bytes.length;
    if (length > MAX_TARGET_BYTES) throw hostile(entry.path, 'is a symlink with too long a target');
    parts.push(Buffer.from(bytes));
  }
  const target = Buffer.concat(parts);
  if (target.length === 0 || target.includes(0)) throw hostile(entry.path, 'is a symlink without a usable target');
  return target;
}

function makeSymlink(writing: Writing, entry: RestoreEntry, target: Buffer): void {
  try {
    const native = nativePathOf(writing, entry.path);
    symlinkSync(target, native);
    lutimesSync(native, ...toTimes(entry.mtimeNs));
  } catch (error) {
    explain(entry.path, error);
  }
  writing.done.links += 1;
}

/** Sets the folders' modes and times, the deepest first: making what is in a folder changes its time, and its mode may forbid it. */
function finishFolders(writing: Writing): void {
  for (const { native, entry } of [...writing.folders.values()].reverse()) {
    if (entry === undefined) continue;
    try {
      utimesSync(native, ...toTimes(entry.mtimeNs));
      chmodSync(native, entry.mode);
    } catch (error) {
      explain(entry.path, error);
    }
  }
}

/** Returns where an entry goes; its folder is made if it isn't there yet. */
function nativePathOf(writing: Writing, path: string): NativePath {
  const slash = path.lastIndexOf('/');
  if (slash < 0 || writing.targets.has(path)) throw hostile(path, 'lies in none of the roots that are being written');
  const name = checkName(path, path.slice(slash + 1));
  return joinNative(getFolder(writing, path.slice(0, slash)).native, name);
}

/** Returns a folder that was made here, making it and its parents if need be. */
function getFolder(writing: Writing, path: string): { readonly native: NativePath; entry: RestoreEntry | undefined } {
  const known = writing.folders.get(path);
  if (known !== undefined) return known;
  const native = nativePathOf(writing, path);
  mkdirSync(native, { mode: 0o700 });
  const folder = { native, entry: undefined };
  writing.folders.set(path, folder);
  writing.done.folders += 1;
  return folder;
}

/** Returns the real name behind an escaped one, if it is one name and nothing else. */
function checkName(path: string, escaped: string): NativePath {
  const name = unescapeName(escaped);
  const isBad = name.length === 0 || name === '.' || name === '..' || name.includes('/') || name.includes('\0');
  if (isBad) throw hostile(path, 'has a name that is none');
  return name;
}

function makeTarget(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    chmodSync(dir, 0o700);
    if (readdirSync(dir).length === 0) return;
  } catch (error) {
    throw systemFailure(error, `cannot make the folder "${dir}"`, dir);
  }
  throw new MoltError('EXISTS', `the folder "${dir}" is not empty`, { hint: 'name a folder that does not exist yet' });
}

/** Throws what the system's error means for the path. */
function explain(path: string, error: unknown): never {
  if (isSystemError(error, 'EEXIST', 'ELOOP', 'ENOTDIR')) throw describeClash(path, error);
  throw systemFailure(error, `cannot write "${displayPath(path)}"`, 'the target folder');
}

/** Names what is there already: the same path, or one whose name the file system takes for the same. */
function describeClash(path: string, error: NodeJS.ErrnoException): MoltError {
  // A failed link names its target as `path`, and what was to be made as `dest`.
  const made = 'dest' in error && typeof error.dest === 'string' ? error.dest : error.path;
  const there = findTwin(made);
  const reason =
    there === undefined ? 'is there already' : `meets "${there}", which this file system takes for the same name`;
  return hostile(path, reason, error);
}

function findTwin(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  const fold = (text: string) => text.normalize('NFC').toLowerCase();
  try {
    return readdirSync(path.slice(0, slash)).find((other) => other !== name && fold(other) === fold(name));
  } catch {
    return undefined;
  }
}

function hostile(path: string, reason: string, cause?: unknown): MoltError {
  return new MoltError('HOSTILE', `"${displayPath(path)}" ${reason}`, { details: { path }, cause });
}

/**
 * Returns access and modification time for node:fs, in seconds, good to a quarter of a microsecond. As text, since Node takes a
 * negative number for "now".
 */
function toTimes(mtimeNs: bigint): [string, string] {
  const seconds = String(Number(mtimeNs / SECOND_NS) + Number(mtimeNs % SECOND_NS) / 1e9);
  return [seconds, seconds];
}
