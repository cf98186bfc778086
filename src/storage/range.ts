// Byte ranges of objects, cut the same way by every storage.

/** The bytes from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Returns the part of a range that an object of this size has; the whole object if no range is given.
 * @throws {RangeError} when the range is no range: a bug of the caller
 */
export function cutRange(range: ByteRange | undefined, sizeBytes: number): ByteRange {
  if (range === undefined) return { start: 0, end: sizeBytes };
  const { start, end } = range;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new RangeError(`not a byte range: ${start} to ${end}`);
  }
  return { start: Math.min(start, sizeBytes), end: Math.min(end, sizeBytes) };
}
