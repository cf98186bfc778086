// Bytes that are kept for long, in memory of their own.

/** Returns the bytes, copied if they are a small part of a larger buffer: all of Node's 64 KiB pool would be kept alive with them. */
export function detached(bytes: Buffer): Buffer {
  if (bytes.buffer.byteLength <= bytes.length * 2) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}
