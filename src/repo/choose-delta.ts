// Whether an object is stored as what differs from an earlier one, and on which base.

import { encodeDelta, type Delta } from '../chunk/delta.ts';
import { ENCODING } from '../format/layout.ts';
import type { Repository } from './repository.ts';
import { isDamage } from './storage-failure.ts';

/** Smaller objects are not worth a delta's 36 bytes of base. */
const LEAST_BYTES = 512;
/** What a delta's base takes in the footer. */
const OVERHEAD_BYTES = 36;

/**
 * Encodes an object as a delta if that pays. A predecessor that is damaged must not keep what follows it from being saved.
 * @param previous the key of an object that it probably resembles
 */
export async function chooseDelta(
  repository: Repository,
  bytes: Buffer,
  previous: Buffer,
): Promise<{ readonly frame: Buffer; readonly base: Buffer } | undefined> {
  if (bytes.length < LEAST_BYTES) return undefined;
  try {
    return await encodeOn(repository, bytes, previous);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

async function encodeOn(
  { index, objects }: Repository,
  bytes: Buffer,
  previous: Buffer,
): Promise<{ frame: Buffer; base: Buffer } | undefined> {
  const place = await index.find(previous);
  if (place === undefined) return undefined;
  if (place.encoding !== ENCODING.deltas) {
    const delta = encodeDelta(bytes, await objects.readPlace(previous, place));
    return delta === undefined ? undefined : { frame: delta.frame, base: previous };
  }
  const base = await objects.findBase(previous, place);
  const found = await objects.find(base);
  const delta = found === undefined ? undefined : encodeDelta(bytes, found.bytes);
  if (delta === undefined) return undefined;
  const step = encodeDelta(bytes, await objects.readPlace(previous, place));
  return step !== undefined && isWorthDelta(delta, step) ? { frame: delta.frame, base } : undefined;
}

/**
 * Says whether another delta on the same base is cheaper in the long run than a new whole object. Deltas on one base grow by about
 * a step each time, so a whole of W bytes every n times costs W/n + step*n/2 a time, least where a delta reaches sqrt(2*W*step).
 * @param step the difference to the object's previous version
 */
function isWorthDelta(delta: Delta, step: Delta): boolean {
  const length = delta.frame.length + OVERHEAD_BYTES;
  return length * length <= 2 * delta.wholeBytes * (step.frame.length + OVERHEAD_BYTES);
}
