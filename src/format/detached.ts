// The memory of bytes: some are kept for long, and some had better go at once.

/** Returns the bytes, copied if they are a small part of a larger buffer: all of Node's 64 KiB pool would be kept alive with them. */
export function detached(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= bytes.length * 2) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/**
 * Gives the memory of bytes back at once, if it is theirs alone: half a megabyte in a small object is nothing that the garbage
 * collector hurries for, and a backup or restore would pile up a hundred megabytes of them. Nobody may use them any more.
 */
export function release(bytes: Buffer): void {
  if (bytes.buffer instanceof ArrayBuffer && bytes.length === bytes.buffer.byteLength) bytes.buffer.transfer(0);
}
