// Files of a restored copy, on whose content and links nobody vouches: each is found by its real path and must lie in the copy's own
// folders. What is changed is written beside and renamed over, so that it is whole before and after.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { MoltError, isSystemError } from '../model/error.ts';
import { printable } from '../model/printable.ts';
import { systemFailure } from '../model/system-error.ts';
import { isInside } from './native-path.ts';
import type { RootDirs } from './revival.ts';

/** No configuration is larger; what is would fill the memory. */
const MAX_TEXT_BYTES = 16 * 1024 * 1024;

/** Returns a path for people: in quotes, with nothing in it that a terminal would obey. */
export function quote(path: string): string {
  return `"${printable(path)}"`;
}

/**
 * Returns the real path of a file of the copy; undefined if it isn't there.
 * @param path of the commit: `state/openclaw.json`
 * @throws {MoltError} HOSTILE when a link leads out of the copy
 */
export function findInside(dirs: RootDirs, path: string): string | undefined {
  const native = nativeInside(dirs, path);
  if (native === undefined) return undefined;
  let real: string;
  try {
    real = realpathSync(native);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (isSystemError(error, 'ELOOP'))
      throw new MoltError('HOSTILE', `${quote(path)} is a link to itself`, { cause: error });
    throw systemFailure(error, `cannot look at ${quote(path)}`, native);
  }
  if ([...dirs.values()].some((dir) => isInside(real, dir))) return real;
  throw new MoltError('HOSTILE', `${quote(path)} is a link that leads out of the restored folders`, {
    details: { path },
  });
}

/** Returns where a path of a commit lies; undefined if its root is none of these. */
export function nativeInside(dirs: RootDirs, path: string): string | undefined {
  for (const [key, dir] of dirs) {
    if (path === key) return dir;
    if (path.startsWith(`${key}/`)) return join(dir, path.slice(key.length + 1));
  }
  return undefined;
}

/** Returns the path of a commit for an absolute one, as in `state/openclaw.json`. */
export function commitPathOf(dirs: RootDirs, native: string): string | undefined {
  for (const [key, dir] of dirs) if (isInside(native, dir)) return `${key}${native.slice(dir.length)}`;
  return undefined;
}

/**
 * Reads a text of the copy by its real path.
 * @param path names it in errors
 * @throws {MoltError} HOSTILE when it is no file or too large, IO
 */
export function readInside(real: string, path: string, maxBytes = MAX_TEXT_BYTES): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) throw new MoltError('HOSTILE', `${quote(path)} is not a file`, { details: { path } });
    if (stats.size > maxBytes) {
      throw new MoltError('HOSTILE', `${quote(path)} has ${stats.size} bytes; nothing of its kind is that large`, {
        details: { path, sizeBytes: stats.size },
      });
    }
    return readFileSync(descriptor, 'utf8');
  } catch (error) {
    throw systemFailure(error, `cannot read ${quote(path)}`, real);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * Puts a new text in a file's place; its mode stays.
 * @throws {MoltError} IO; the file is then as it was
 */
export function replaceInside(real: string, path: string, text: string): void {
  const temp = `${real}.${randomBytes(6).toString('hex')}.molt-rebind`;
  try {
    const descriptor = openSync(temp, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      writeFileSync(descriptor, text);
      fchmodSync(descriptor, modeOf(real));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temp, real);
  } catch (error) {
    rmSync(temp, { force: true });
    throw systemFailure(error, `cannot write ${quote(path)}`, real);
  }
}

function modeOf(real: string): number {
  const descriptor = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return fstatSync(descriptor).mode & 0o777;
  } finally {
    closeSync(descriptor);
  }
}
