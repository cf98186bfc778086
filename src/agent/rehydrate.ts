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
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { promisify } from 'node:util';
import type { BlobSource, RestoreEntry } from '../model/entry.ts';
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
  /** It is stopped at the end, whatever comes of it. */
  readonly content: BlobSource;
  /** Returns a file that probably has much of what an entry will have, if there is one. What is taken from it is checked. */
  readonly findLikeness?: (entry: RestoreEntry) => NativePath | undefined;
  /** Returns a file on the same file system that may be taken and changed where the entry differs, if there is one. */
  readonly findCopy?: (entry: RestoreEntry) => KnownCopy | undefined;
  readonly onProgress?: (done: WriteResult) => void;
}

/** A file that nobody else needs, with content that is known for certain. */
export interface KnownCopy {
  readonly native: NativePath;
  readonly blob: BlobId;
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
 *   a file system that takes their names for one; IO when the system refuses; what `content` throws
 */
export async function writeEntries(options: WriteOptions): Promise<WriteResult> {
  const writing: Writing = {
    ...options,
    folders: new Map(),
    symlinks: [],
    open: new Set(),
    firstNames: new Map(),
    done: { files: 0, folders: 0, links: 0, bytes: 0 },
  };
  try {
    for (const [key, dir] of options.targets) {
      makeTarget(dir);
      writing.folders.set(key, { native: dir, entry: undefined });
    }
    for await (const entry of options.entries) {
      await writeEntry(writing, entry).catch((error: unknown) => explain(entry.path, error));
    }
    await options.content.drain();
  } finally {
    // Descriptors are numbers: what still wrote to one that is closed could hit another file.
    await options.content.stop();
    for (const fd of writing.open) closeSync(fd);
  }
  for (const { entry, target } of writing.symlinks) makeSymlink(writing, entry, target);
  finishFolders(writing);
  options.onProgress?.({ ...writing.done });
  return writing.done;
}

/**
 * Makes a tree durable, but for the name of its own folder: with one call to the file system where the system has `sync -f` (Linux),
 * else file by file.
 * @throws what the system says when it can't
 */
export async function flushTree(dir: string): Promise<void> {
  try {
    await promisify(execFile)('sync', ['-f', '--', dir]);
  } catch {
    flushFolder(Buffer.from(dir));
  }
}

function flushFolder(dir: Buffer): void {
  for (const entry of readdirSync(dir, { withFileTypes: true, encoding: 'buffer' })) {
    const path = Buffer.concat([dir, Buffer.from('/'), entry.name]);
    if (entry.isDirectory()) flushFolder(path);
    else if (entry.isFile()) flush(path);
  }
  flush(dir);
}

// What its own mode keeps from being opened belongs to a state that has such files; it is as durable as the system cares to make it.
function flush(path: Buffer): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY);
  } catch (error) {
    if (isSystemError(error, 'EACCES')) return;
    throw error;
  }
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!isSystemError(error, 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
  } finally {
    closeSync(descriptor);
  }
}

interface Writing extends WriteOptions {
  /** The folders that were made here, by path in the commit tree. */
  readonly folders: Map<string, { readonly native: NativePath; entry: RestoreEntry | undefined }>;
  readonly symlinks: { readonly entry: RestoreEntry; readonly target: Buffer }[];
  /** Descriptors of the files that are being filled. */
  readonly open: Set<number>;
  /** The file that the later names of a link group are linked to. */
  readonly firstNames: Map<number, NativePath>;
  readonly done: { files: number; folders: number; links: number; bytes: number };
}

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
  else await makeHardLink(writing, first, native, entry);
  if (entry.linkGroup !== 0 && first === undefined) writing.firstNames.set(entry.linkGroup, native);
}

async function writeFile(writing: Writing, native: NativePath, entry: RestoreEntry, blob: BlobId): Promise<void> {
  const { done, open, content } = writing;
  const copy = writing.findCopy?.(entry);
  const present = copy !== undefined && moveCopy(copy.native, native) ? copy.blob : undefined;
  const isNew = present === undefined;
  const create = isNew ? constants.O_CREAT | constants.O_EXCL : 0;
  const fd = openSync(native, constants.O_WRONLY | create | constants.O_NOFOLLOW, 0o600);
  open.add(fd);
  const alike = isNew ? writing.findLikeness?.(entry) : undefined;
  const likeness = alike === undefined ? undefined : openToRead(alike);
  if (likeness !== undefined) open.add(likeness);
  await content.fillFile({
    descriptor: fd,
    blob,
    sizeBytes: entry.sizeBytes,
    likeness,
    present,
    wrote(bytes) {
      done.bytes += bytes;
      writing.onProgress?.(done);
    },
    finish() {
      ftruncateSync(fd, entry.sizeBytes);
      futimesSync(fd, ...toTimes(entry.mtimeNs));
      fchmodSync(fd, entry.mode);
      for (const descriptor of likeness === undefined ? [fd] : [fd, likeness]) {
        open.delete(descriptor);
        closeSync(descriptor);
      }
      done.files += 1;
      writing.onProgress?.(done);
    },
    explain: (error) => explainFailure(entry.path, error),
  });
}

/** Gives a copy another name, unless something has that name; says whether it could. */
function moveCopy(copy: NativePath, native: NativePath): boolean {
  try {
    linkSync(copy, native);
  } catch {
    // The file is made anew then, which says what is wrong if anything is.
    return false;
  }
  unlinkSync(copy);
  return true;
}

/** Opens a file that is only a shortcut: what can't be opened is as if it were not there. */
export function openToRead(native: NativePath): number | undefined {
  try {
    return openSync(native, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

async function makeHardLink(
  writing: Writing,
  first: NativePath,
  native: NativePath,
  entry: RestoreEntry,
): Promise<void> {
  try {
    linkSync(first, native);
  } catch (error) {
    if (!isSystemError(error, 'EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK', 'ENOSYS')) throw error;
    // The roots may go to different file systems, and not every one has hard links: a copy has the same content.
    await writing.content.drain();
    copyFileSync(first, native, constants.COPYFILE_EXCL);
    utimesSync(native, ...toTimes(entry.mtimeNs));
    chmodSync(native, entry.mode);
  }
  writing.done.files += 1;
}

async function readTarget(writing: Writing, entry: RestoreEntry, blob: BlobId): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const bytes of writing.content.read(blob)) {
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
  throw explainFailure(path, error);
}

function explainFailure(path: string, error: unknown): unknown {
  if (isSystemError(error, 'EEXIST', 'ELOOP', 'ENOTDIR')) return describeClash(path, error);
  return systemFailure(error, `cannot write "${displayPath(path)}"`, 'the target folder');
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
export function toTimes(mtimeNs: bigint): [string, string] {
  const seconds = String(Number(mtimeNs / SECOND_NS) + Number(mtimeNs % SECOND_NS) / 1e9);
  return [seconds, seconds];
}
