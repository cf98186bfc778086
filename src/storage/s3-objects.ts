// What the answers about one object have in common: ranges asked for, bodies collected, times.

import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { type ByteRange, cutRange } from './range.ts';
import { checkIsS3, LostAnswer } from './s3-error.ts';
import type { ObjectStat } from './storage.ts';

/** Returns the parameter that asks for a range; an empty one asks for a byte, to learn whether the object is there. */
export function rangeParameter(range: ByteRange | undefined): { readonly Range?: string } {
  if (range === undefined) return {};
  const last = Math.max(range.end - 1, range.start);
  // Some servers count in 53 bits and overflow.
  return { Range: last >= 2 ** 48 ? `bytes=${range.start}-` : `bytes=${range.start}-${last}` };
}

/**
 * Collects a body, or the range of it that was asked for: servers may send the whole object instead.
 * @throws {LostAnswer} when it is not as long as the server said, or another range than was asked for
 */
export async function collectBody(output: GetObjectCommandOutput, range: ByteRange | undefined): Promise<Buffer> {
  const { Body, ContentLength, ContentRange, LastModified } = output;
  checkIsS3(LastModified);
  const body = Body as Readable | undefined;
  const chunks: Buffer[] = [];
  let received = 0;
  for await (const chunk of body ?? []) {
    chunks.push(chunk as Buffer);
    received += (chunk as Buffer).length;
    if (ContentLength !== undefined && received > ContentLength) break;
  }
  if (ContentLength === undefined || received !== ContentLength) {
    throw new LostAnswer(`the answer has ${received} bytes instead of ${ContentLength ?? 'an announced number'}`);
  }
  const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, received);
  if (range === undefined) {
    if (ContentRange !== undefined) throw new LostAnswer('the server sent a part of the object instead of all');
    return bytes;
  }
  if (ContentRange === undefined) {
    const cut = cutRange(range, bytes.length);
    return bytes.subarray(cut.start, cut.end);
  }
  const [, start, last, size] = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+)$/.exec(ContentRange) ?? [];
  const asked = cutRange({ start: range.start, end: Math.max(range.end, range.start + 1) }, Number(size));
  if (Number(start) !== asked.start || Number(last) + 1 !== asked.end || bytes.length !== asked.end - asked.start) {
    throw new LostAnswer('the server sent another range than was asked for');
  }
  return bytes.subarray(0, range.end - range.start);
}

/**
 * Returns an object's stat from what a server tells. Times are cut to seconds, which is all that a HEAD has.
 * @throws {LostAnswer} when it tells too little
 */
export function statOf(name: string, size: number | undefined, modified: Date | undefined): ObjectStat {
  const modifiedMs = modified?.getTime() ?? Number.NaN;
  if (size === undefined || !Number.isFinite(modifiedMs)) {
    throw new LostAnswer('the server tells no size or time of an object');
  }
  return { name, sizeBytes: size, modifiedMs: Math.floor(modifiedMs / 1_000) * 1_000 };
}
