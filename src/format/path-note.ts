// Which paths a commit changed, as its segment notes it (FORMAT.md, "Changed paths"): short hashes, so that the history of a path is
// a lookup. They only narrow the search: two paths may share a hash, and the commits that are found are read.

import { hash } from 'node:crypto';

/** Bytes of a path's hash. */
export const PATH_HASH_BYTES = 4;
/** A commit that changed more paths has no note, and is looked at for every path. */
export const PATH_NOTE_MOST = 2048;

/** Returns the hash of a commit path. */
export function hashPath(path: string): number {
  return hash('sha256', path, 'buffer').readUInt32BE(0);
}

/** Says whether notes hold a path: not the top of a commit's tree, most of which every commit changes. */
export function isNotedPath(path: string): boolean {
  return path.includes('/');
}

/** Encodes the note of some paths; undefined if there are too many. */
export function encodePathNote(paths: Iterable<string>): Buffer | undefined {
  const hashes = new Set<number>();
  for (const path of paths) {
    if (isNotedPath(path)) hashes.add(hashPath(path));
    if (hashes.size > PATH_NOTE_MOST) return undefined;
  }
  const note = Buffer.alloc(hashes.size * PATH_HASH_BYTES);
  for (const [at, value] of [...hashes].toSorted((a, b) => a - b).entries())
    note.writeUInt32BE(value, at * PATH_HASH_BYTES);
  return note;
}

/** Lists the hashes of a note. */
export function* listPathHashes(note: Buffer): Iterable<number> {
  for (let at = 0; at + PATH_HASH_BYTES <= note.length; at += PATH_HASH_BYTES) yield note.readUInt32BE(at);
}
