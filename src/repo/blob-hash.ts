// Git's id of a blob whose bytes arrive in pieces. It begins with the blob's size, so that has to be known beforehand.

import { createHash, type Hash } from 'node:crypto';
import type { BlobId } from '../model/ids.ts';
import type { Sha1Thread } from './sha1-thread.ts';

/** Hashes one blob, here or on a thread of its own. */
export class BlobHash {
  readonly #sizesBytes: readonly number[];
  readonly #here: readonly Hash[];
  readonly #thread: Sha1Thread | undefined;
  #written = 0;

  /**
   * @param sizesBytes the numbers of bytes that may come, mostly one
   * @param thread where to hash a blob of one size; it takes bytes that lie in shared memory as they are, and copies others
   */
  constructor(sizesBytes: readonly number[], thread?: Sha1Thread) {
    this.#sizesBytes = sizesBytes;
    const headers = sizesBytes.map((size) => Buffer.from(`blob ${size}\0`, 'latin1'));
    const [first] = headers;
    this.#thread = headers.length === 1 ? thread : undefined;
    this.#here = this.#thread === undefined ? headers.map((header) => createHash('sha1').update(header)) : [];
    if (first !== undefined) this.#thread?.start(first);
  }

  /** How many bytes came. */
  get written(): number {
    return this.#written;
  }

  /** Takes the next bytes, which must be left alone until `settle()` has returned for them. */
  update(bytes: Buffer): void {
    this.#written += bytes.length;
    for (const hash of this.#here) hash.update(bytes);
    this.#thread?.update(isShared(bytes) ? bytes : copyShared(bytes));
  }

  /** Waits until all bytes are hashed, but for those of as many updates as given. */
  settle(left = 0): void {
    this.#thread?.settle(left);
  }

  /**
   * Ends the blob.
   * @throws {Error} when as many bytes as came were not announced
   */
  digest(): BlobId {
    const at = this.#sizesBytes.indexOf(this.#written);
    if (at === -1)
      throw new Error(`a blob of ${this.#written} bytes was announced with ${this.#sizesBytes.join(' or ')}`);
    return (this.#thread?.digest() ?? this.#here[at]?.digest('hex')) as BlobId;
  }
}

function isShared(bytes: Buffer): bytes is Buffer<SharedArrayBuffer> {
  return bytes.buffer instanceof SharedArrayBuffer;
}

function copyShared(bytes: Buffer): Buffer<SharedArrayBuffer> {
  const copy = Buffer.from(new SharedArrayBuffer(bytes.length));
  bytes.copy(copy);
  return copy;
}
