// What all ways of cutting a stream into chunks share: bytes are pushed in, whole chunks are taken out. A chunk that lies in one
// pushed buffer is a view of it; only what spans two pushes is copied.

/**
 * Cuts a stream of bytes into chunks. The cuts depend on the stream alone, never on how it was split into pushes.
 *
 * For each piece of the stream: `push()`, then `next()` until it returns undefined; at the end `finish()`, after which the chunker
 * is ready for another stream. A chunk is valid until the next `push()`, as long as the pushed bytes are left alone.
 */
export interface Chunker {
  /** Takes the next bytes of the stream without copying them; they are free again once `next()` returns undefined. */
  push(bytes: Buffer): void;
  /** Returns the next whole chunk, or undefined when the pushed bytes are used up. */
  next(): Buffer | undefined;
  /** Ends the stream and returns its last chunk, or undefined if nothing is left. */
  finish(): Buffer | undefined;
}

/** A chunker without its rule: a subclass says where a chunk ends. */
export abstract class StreamChunker implements Chunker {
  readonly #maxBytes: number;
  #input: Buffer | undefined;
  #offset = 0;
  // The chunk begun in earlier pushes. Two buffers take turns, so that the rest of a push doesn't overwrite the chunk that began it.
  #carry: Buffer | undefined;
  #spare: Buffer | undefined;
  #carriedBytes = 0;

  /** @param maxBytes no chunk is longer than this */
  protected constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Finds where the current chunk ends.
   * @param from the first byte of `bytes` that this method hasn't seen
   * @param chunkBytes the length of the chunk so far, all of it before `from`
   * @returns the offset just after the chunk's last byte, or -1 if the chunk goes on after `bytes`
   */
  protected abstract findEnd(bytes: Buffer, from: number, chunkBytes: number): number;

  push(bytes: Buffer): void {
    if (this.#input !== undefined) throw new Error('bytes were pushed into a chunker before next() returned undefined');
    this.#input = bytes;
    this.#offset = 0;
  }

  next(): Buffer | undefined {
    const input = this.#input;
    if (input === undefined) return undefined;
    const start = this.#offset;
    const end = this.findEnd(input, start, this.#carriedBytes);
    if (end === -1) {
      this.#keep(input.subarray(start));
      this.#input = undefined;
      return undefined;
    }
    this.#offset = end;
    if (this.#carriedBytes === 0) return input.subarray(start, end);
    this.#keep(input.subarray(start, end));
    return this.#takeCarried();
  }

  finish(): Buffer | undefined {
    if (this.#input !== undefined) throw new Error('a chunker was finished before next() returned undefined');
    return this.#carriedBytes === 0 ? undefined : this.#takeCarried();
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#carry ??= Buffer.allocUnsafeSlow(this.#maxBytes);
    this.#carry.set(bytes, this.#carriedBytes);
    this.#carriedBytes += bytes.length;
  }

  #takeCarried(): Buffer | undefined {
    const chunk = this.#carry?.subarray(0, this.#carriedBytes);
    [this.#carry, this.#spare] = [this.#spare, this.#carry];
    this.#carriedBytes = 0;
    return chunk;
  }
}
