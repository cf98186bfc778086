// Paths as the system knows them: text where it is valid UTF-8, bytes where a name is not. Linux names are bytes, and an agent's
// workspace may hold a name that text would lose.

import { join } from 'node:path';

/** A path that can be handed to node:fs: text, or the bytes themselves where they aren't valid UTF-8. */
export type NativePath = string | Buffer;

/** Returns the path of a name inside a folder. */
export function joinNative(folder: NativePath, name: NativePath): NativePath {
  if (typeof folder === 'string' && typeof name === 'string') return folder === '/' ? `/${name}` : `${folder}/${name}`;
  return Buffer.concat([Buffer.from(folder), Buffer.from('/'), Buffer.from(name)]);
}

/** Returns a path with a suffix on its last name, as SQLite names its side files: `memory.sqlite-wal`. */
export function suffixNative(path: NativePath, suffix: string): NativePath {
  return typeof path === 'string' ? path + suffix : Buffer.concat([path, Buffer.from(suffix)]);
}

/** Returns a path as text for people; bytes that aren't valid UTF-8 show as replacement characters. */
export function describeNative(path: NativePath): string {
  return typeof path === 'string' ? path : path.toString('utf8');
}

/** Says whether a path is a folder or lies inside it. Both are absolute, real and without a trailing slash. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** Returns a path with a leading `~` replaced by the home folder. */
export function expandHome(path: string, home: string): string {
  if (path === '~') return home;
  return path.startsWith('~/') ? join(home, path.slice(2)) : path;
}
