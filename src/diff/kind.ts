// What a blob is, by its first bytes and its path: decides how it is compared and shown, never how it is kept.

/** How a blob can be compared: by lines, by rows, or only as bytes. */
export type BlobKind = 'text' | 'sqlite' | 'binary';

/** How many of a blob's first bytes `detectKind` looks at; more are ignored. */
export const KIND_HEAD_BYTES = 8192;

// https://www.sqlite.org/fileformat.html section 1.3
const SQLITE_MAGIC = Buffer.from('SQLite format 3\0', 'latin1');
// Formats whose beginning may be plain ASCII although the rest is not, and SQLite's side files, which mean nothing alone.
const BINARY_NAME = /\.(?:pdf|ps|eps|tar|der|p12|pfx)$|-(?:wal|shm|journal)$/i;

/** Returns what a blob is. An empty one is text. */
export function detectKind(head: Uint8Array, path: string): BlobKind {
  const bytes = Buffer.from(head.buffer, head.byteOffset, Math.min(head.length, KIND_HEAD_BYTES));
  if (bytes.subarray(0, SQLITE_MAGIC.length).equals(SQLITE_MAGIC)) return 'sqlite';
  if (bytes.length === 0) return 'text';
  if (BINARY_NAME.test(path)) return 'binary';
  return decodeText(bytes, head.length >= KIND_HEAD_BYTES) === undefined ? 'binary' : 'text';
}

/**
 * Returns bytes as text if they are UTF-8 without NUL, else undefined.
 * @param cut the bytes may end inside a character
 */
export function decodeText(bytes: Uint8Array, cut = false): string | undefined {
  if (bytes.includes(0)) return undefined;
  try {
    // ignoreBOM keeps a byte order mark in the text, so that adding one shows as a change.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: cut });
  } catch {
    return undefined;
  }
}
