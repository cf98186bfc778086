// The plaintext trailer of a container (FORMAT.md, "Trailer"): a CRC32 for each 1 MiB stripe of the body, so that damage is
// found and located without any key, and where the footer is. It proves nothing about authenticity: the seals do.

import { crc32 } from 'node:zlib';
import { MoltError } from '../model/error.ts';
import { CONTAINER_MAX_BYTES, END_MAGIC, HEADER_BYTES, STRIPE_BYTES, TAG_BYTES, TAIL_BYTES } from './layout.ts';

/** Where things are in a container, by its trailer. */
export interface Trailer {
  /** Length of header, blocks, footer and padding. */
  readonly bodyBytes: number;
  readonly footerOffset: number;
  /** Sealed length. */
  readonly footerBytes: number;
  /** The footer's block number; the padding's is one more. */
  readonly footerBlock: number;
  /** One CRC32 per stripe. */
  readonly stripes: readonly number[];
}

/** Returns the number of stripes of a body. */
export function stripeCount(bodyBytes: number): number {
  return Math.ceil(bodyBytes / STRIPE_BYTES);
}

/** Returns a trailer's length for a body. */
export function trailerBytes(bodyBytes: number): number {
  return stripeCount(bodyBytes) * 4 + TAIL_BYTES;
}

/** Computes CRC32s of 1 MiB stripes over a body that arrives in parts. */
export class StripeCrc {
  readonly #stripes: number[] = [];
  #crc = 0;
  #filled = 0;

  push(part: Uint8Array): void {
    let offset = 0;
    while (offset < part.length) {
      const take = Math.min(part.length - offset, STRIPE_BYTES - this.#filled);
      this.#crc = crc32(part.subarray(offset, offset + take), this.#crc);
      this.#filled += take;
      offset += take;
      if (this.#filled === STRIPE_BYTES) this.#next();
    }
  }

  finish(): number[] {
    if (this.#filled > 0) this.#next();
    return this.#stripes;
  }

  #next(): void {
    this.#stripes.push(this.#crc);
    this.#crc = 0;
    this.#filled = 0;
  }
}

/** Encodes a trailer. */
export function encodeTrailer(trailer: Trailer): Buffer {
  const table = trailer.stripes.length * 4;
  const bytes = Buffer.alloc(table + TAIL_BYTES);
  trailer.stripes.forEach((crc, index) => bytes.writeUInt32LE(crc, index * 4));
  bytes.writeBigUInt64LE(BigInt(trailer.bodyBytes), table);
  bytes.writeUInt32LE(trailer.footerOffset, table + 8);
  bytes.writeUInt32LE(trailer.footerBytes, table + 12);
  bytes.writeUInt32LE(trailer.footerBlock, table + 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, table + 20)), table + 20);
  END_MAGIC.copy(bytes, table + 24);
  return bytes;
}

/**
 * Parses a trailer from a container's last bytes.
 * @param tail the last bytes of the container, at least the trailer's; more do no harm
 * @throws {MoltError} TRUNCATED when the end is missing, DAMAGED when what is there is wrong
 */
export function parseTrailer(tail: Buffer, sizeBytes: number, name: string): Trailer {
  if (sizeBytes < HEADER_BYTES + TAIL_BYTES || tail.length < TAIL_BYTES || !tail.subarray(-8).equals(END_MAGIC)) {
    throw new MoltError('TRUNCATED', `${name} does not end as it should: it was cut off, or its end is damaged`);
  }
  const fixed = tail.subarray(-TAIL_BYTES);
  const bodyBytes = Number(fixed.readBigUInt64LE(0));
  if (bodyBytes > CONTAINER_MAX_BYTES || bodyBytes + trailerBytes(bodyBytes) !== sizeBytes) {
    throw new MoltError('DAMAGED', `${name} has ${sizeBytes} bytes, which is not what its trailer says`);
  }
  const whole = tail.subarray(-trailerBytes(bodyBytes));
  if (whole.length < trailerBytes(bodyBytes)) throw new Error('parseTrailer was given too few bytes');
  const table = whole.length - TAIL_BYTES;
  if (crc32(whole.subarray(0, table + 20)) !== whole.readUInt32LE(table + 20)) {
    throw new MoltError('DAMAGED', `${name} has a damaged trailer`);
  }
  const trailer: Trailer = {
    bodyBytes,
    footerOffset: fixed.readUInt32LE(8),
    footerBytes: fixed.readUInt32LE(12),
    footerBlock: fixed.readUInt32LE(16),
    stripes: Array.from({ length: stripeCount(bodyBytes) }, (_, index) => whole.readUInt32LE(index * 4)),
  };
  const footerEnd = trailer.footerOffset + trailer.footerBytes;
  if (trailer.footerOffset < HEADER_BYTES || trailer.footerBytes < TAG_BYTES || footerEnd + TAG_BYTES > bodyBytes) {
    throw new MoltError('DAMAGED', `${name} has a trailer that points outside of it`);
  }
  return trailer;
}

/** Returns the numbers of the stripes whose CRC32 does not match, given the whole container. */
export function damagedStripes(container: Buffer, trailer: Trailer): number[] {
  const crc = new StripeCrc();
  crc.push(container.subarray(0, trailer.bodyBytes));
  return crc.finish().flatMap((value, index) => (value === trailer.stripes[index] ? [] : [index]));
}
