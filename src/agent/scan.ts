// Walks the roots of an agent and returns what is there, without reading any content: the cost of a tick in which nothing has
// changed. Symlinks are never followed, and what vanishes during the walk was never there.
//
// Paths are opened by name, so what lies deeper than the system's longest path (4,096 bytes on Linux) is reported as skipped.

import { type BigIntStats, type Dirent, lstatSync, readdirSync } from 'node:fs';
import type { Component } from '../model/component.ts';
import type { EntryType, SkippedPath } from '../model/entry.ts';
import { isSystemError } from '../model/error.ts';
import { escapeName } from '../model/name.ts';
import { linkEntries } from './hard-links.ts';
import { type NativePath, describeNative, joinNative } from './native-path.ts';
import type { Profile, Root } from './profile.ts';
import type { Rules } from './rules.ts';
import { SQLITE_SIDE_SUFFIXES, isSqliteFile } from './sqlite-header.ts';
import { type FileStamp, stampOf } from './stamp.ts';

/** One file, folder or symlink that is to be captured. */
export interface ScannedEntry extends FileStamp {
  /** Path in the commit tree, each name escaped (model/name.ts): `state/workspace/MEMORY.md`. */
  readonly path: string;
  /** Where to read it: absolute. For a hard-linked database, the name that has the write-ahead log. */
  readonly native: NativePath;
  readonly type: EntryType;
  /** Permission bits; always 0o777 for a symlink. */
  readonly mode: number;
  readonly device: bigint;
  /** How many names the file has, here and elsewhere. */
  readonly linkCount: number;
  /** Entries with the same number, from 1, are names of one file; 0 is none. */
  readonly linkGroup: number;
  readonly component: Component;
  readonly secret: boolean;
  /** The write-ahead log beside an SQLite database. */
  readonly wal?: FileStamp;
  /** The rollback journal beside an SQLite database. */
  readonly journal?: FileStamp;
}

/** What scan needs. */
export interface ScanOptions {
  readonly roots: readonly Root[];
  readonly profile: Profile;
  readonly rules: Rules;
  /** Folders that are never entered (MOLT_HOME), unless a root itself lies inside one. */
  readonly forbidden: readonly string[];
  /** Says what is known of a file with this path and stamp, so that its header need not be read again. */
  readonly isKnownSqlite?: (path: string, stamp: FileStamp) => boolean | undefined;
}

/** What scan has found. */
export interface ScanResult {
  /** In the order of Git's trees, depth first: in each folder by the bytes of the names, a folder's as if it ended with `/`. */
  readonly entries: readonly ScannedEntry[];
  /** What can't be captured; `kept` is always false, since scan knows no earlier commit. */
  readonly skipped: readonly SkippedPath[];
}

/** Walks all roots. Never throws for what the file system does; that is in `skipped`. */
export function scan(options: ScanOptions): ScanResult {
  const entries: ScannedEntry[] = [];
  const skipped: SkippedPath[] = [];
  const closed = new Set<string>();
  for (const dir of [
    ...options.forbidden,
    ...options.roots.filter((root) => root.only === undefined).map((root) => root.dir),
  ]) {
    const stats = statOrUndefined(dir);
    if (stats !== undefined) closed.add(folderId(stats));
  }
  const roots = [...options.roots].sort((a, b) => compareNames(rootSortKey(a), rootSortKey(b)));
  for (const root of roots) scanRoot({ ...options, root, entries, skipped, closed });
  const linked = linkEntries(entries);
  return { entries: linked.entries, skipped: [...skipped, ...linked.skipped] };
}

interface Walk extends ScanOptions {
  readonly root: Root;
  readonly entries: ScannedEntry[];
  readonly skipped: SkippedPath[];
  /** Ids of the folders that are not entered: forbidden ones and other roots. */
  readonly closed: ReadonlySet<string>;
}

interface Folder {
  readonly native: NativePath;
  /** In the commit tree. */
  readonly path: string;
  /** Relative to the root and unescaped; empty, or ending with `/`. */
  readonly prefix: string;
  /** It was only entered to look for what is included. */
  readonly through: boolean;
  /** The profile leaves it out, and the user's patterns took it back with all that is in it. */
  readonly taken: boolean;
}

interface Child {
  readonly name: NativePath;
  readonly escaped: string;
  readonly isFolder: boolean;
}

function scanRoot(walk: Walk): void {
  const { root, profile } = walk;
  const top: Folder = { native: root.dir, path: root.key, prefix: '', through: false, taken: false };
  if (root.only !== undefined) {
    const names = root.only.map((name): Child => ({ name, escaped: escapeName(name), isFolder: false }));
    for (const child of names.sort((a, b) => compareNames(a.escaped, b.escaped))) visit(walk, top, child, new Map());
    return;
  }
  const stats = statOrUndefined(root.dir);
  if (stats === undefined || !stats.isDirectory()) {
    skip(walk, root.key, `${root.reason}, "${root.dir}", is not there`);
    return;
  }
  const { component, secret } = profile.classify(root, '');
  walk.entries.push(makeEntry(root.key, root.dir, 'directory', stats, component, secret));
  walkFolder(walk, top);
}

function walkFolder(walk: Walk, folder: Folder): void {
  let children: Child[];
  try {
    children = listChildren(folder.native);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) skip(walk, folder.path, describeTrouble('folder', error));
    return;
  }
  const sides = findSides(walk, folder, children);
  for (const child of children) visit(walk, folder, child, sides);
}

/** Looks at one child; what a file system refuses is skipped with its reason. */
function visit(walk: Walk, folder: Folder, child: Child, sides: Sides): void {
  const name = describeNative(child.name);
  if (sides.has(name) && sides.get(name) === undefined) return;
  const relative = folder.prefix + name;
  const { component, secret, excluded } = walk.profile.classify(walk.root, relative);
  const isExcluded = folder.through || (excluded && !folder.taken);
  const verdict = walk.rules.decide(walk.root, relative, child.isFolder, isExcluded);
  if (verdict === 'out') return;
  const native = joinNative(folder.native, child.name);
  const path = `${folder.path}/${child.escaped}`;
  let stats: BigIntStats | undefined;
  try {
    stats = lstatSync(native, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (!isSystemError(error, 'ENOTDIR')) skip(walk, path, describeTrouble(child.isFolder ? 'folder' : 'file', error));
    return;
  }
  if (stats === undefined) return;
  if (stats.isDirectory()) {
    if (walk.closed.has(folderId(stats))) return;
    const count = walk.entries.push(makeEntry(path, native, 'directory', stats, component, secret));
    const through = verdict === 'through';
    const taken = !through && (folder.taken || isExcluded);
    walkFolder(walk, { native, path, prefix: `${relative}/`, through, taken });
    if (through && walk.entries.length === count) walk.entries.pop();
  } else if (verdict !== 'through') {
    const type = stats.isFile() ? 'file' : stats.isSymbolicLink() ? 'symlink' : undefined;
    if (type === undefined) {
      skip(walk, path, describeSpecial(stats));
      return;
    }
    const entry = makeEntry(path, native, type, stats, component, secret);
    const logs = sides.get(name);
    walk.entries.push(type === 'file' && logs !== undefined ? { ...entry, ...logs } : entry);
  }
}

/** Returns a folder's children in the order of a Git tree. */
function listChildren(native: NativePath): Child[] {
  let found: readonly Dirent<NativePath>[] = readdirSync(native, { withFileTypes: true });
  // U+FFFD may be a name's own, or stand for bytes that are not UTF-8; only the bytes tell.
  if (found.some((dirent) => dirent.name.includes('\ufffd'))) {
    found = readdirSync(native, { withFileTypes: true, encoding: 'buffer' });
  }
  const children = found.map((dirent): Child & { key: string } => {
    const name = toTextIfValid(dirent.name);
    const escaped = escapeName(name);
    const isFolder = dirent.isDirectory();
    return { name, escaped, isFolder, key: isFolder ? `${escaped}/` : escaped };
  });
  return children.sort((a, b) => compareNames(a.key, b.key));
}

function toTextIfValid(name: NativePath): NativePath {
  if (typeof name === 'string') return name;
  const text = name.toString('utf8');
  return Buffer.from(text, 'utf8').equals(name) ? text : name;
}

/** For each database with side files, their stamps; for each side file, undefined: it is no file of its own. */
type Sides = ReadonlyMap<string, Pick<ScannedEntry, 'wal' | 'journal'> | undefined>;

function findSides(walk: Walk, folder: Folder, children: readonly Child[]): Sides {
  const sides = new Map<string, Pick<ScannedEntry, 'wal' | 'journal'> | undefined>();
  let names: Map<string, Child> | undefined;
  for (const { name, isFolder } of children) {
    if (typeof name !== 'string' || isFolder) continue;
    const suffix = SQLITE_SIDE_SUFFIXES.find((end) => name.endsWith(end));
    if (suffix === undefined) continue;
    names ??= new Map(children.map((child) => [describeNative(child.name), child]));
    const base = name.slice(0, -suffix.length);
    const main = names.get(base);
    if (main === undefined || main.isFolder || !isDatabase(walk, folder, main)) continue;
    const stats = statOrUndefined(joinNative(folder.native, name));
    sides.set(name, undefined);
    if (stats === undefined || suffix === '-shm') continue;
    sides.set(base, { ...sides.get(base), [suffix === '-wal' ? 'wal' : 'journal']: stampOf(stats) });
  }
  return sides;
}

function isDatabase(walk: Walk, folder: Folder, main: Child): boolean {
  const native = joinNative(folder.native, main.name);
  const stats = statOrUndefined(native);
  if (stats === undefined || !stats.isFile() || stats.size === 0n) return false;
  return walk.isKnownSqlite?.(`${folder.path}/${main.escaped}`, stampOf(stats)) ?? isSqliteFile(native);
}

function makeEntry(
  path: string,
  native: NativePath,
  type: EntryType,
  stats: BigIntStats,
  component: Component,
  secret: boolean,
): ScannedEntry {
  return {
    path,
    native,
    type,
    mode: type === 'symlink' ? 0o777 : Number(stats.mode) & 0o7777,
    sizeBytes: type === 'directory' ? 0 : Number(stats.size),
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    inode: stats.ino,
    device: stats.dev,
    linkCount: Number(stats.nlink),
    linkGroup: 0,
    component,
    secret,
  };
}

function skip(walk: Walk, path: string, reason: string): void {
  walk.skipped.push({ path, reason, kept: false });
}

/** Says whether a skipped path is content that the agent has and the commit lacks; a socket or an absent folder has none. */
export function isLoss({ reason }: SkippedPath): boolean {
  return !['a socket', 'a pipe', 'a device'].includes(reason) && !reason.endsWith(' is not there');
}

function statOrUndefined(path: NativePath): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function folderId(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}

function describeSpecial(stats: BigIntStats): string {
  if (stats.isSocket()) return 'a socket';
  return stats.isFIFO() ? 'a pipe' : 'a device';
}

function describeTrouble(what: string, error: unknown): string {
  if (isSystemError(error, 'EACCES', 'EPERM')) return `a ${what} that may not be read`;
  if (isSystemError(error, 'ENAMETOOLONG')) return `a ${what} whose path is longer than the system can open`;
  return `a ${what} that cannot be read (${error instanceof Error && 'code' in error ? String(error.code) : String(error)})`;
}

// Text compares by UTF-16 units, Git by bytes: they differ only where a surrogate meets U+E000 or above.
const HIGH_UNITS = /[\ud800-\uffff]/;

function compareNames(a: string, b: string): number {
  if (HIGH_UNITS.test(a) && HIGH_UNITS.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `roots/…` stands before `state` in the tree; `roots/10` before `roots/2`. */
function rootSortKey(root: Root): string {
  return `${root.key}/`;
}
