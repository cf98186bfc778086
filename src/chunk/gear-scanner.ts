// The inner loop of FastCDC in plain JavaScript: what small inputs use, and all inputs where there is no WebAssembly.

/** Runs the rolling hash h = (h << 1) + gear[byte] over bytes until it hits a mask. */
export interface GearScanner {
  /** The hash where the last `find` stopped, as a signed 32-bit number. */
  readonly hash: number;
  /** Names the bytes that `find` looks at. */
  open(bytes: Buffer): void;
  /**
   * Hashes the bytes in `[from, to)` up to the first after which `(hash & mask) === 0`.
   * @param hash the hash before the byte at `from`
   * @returns the offset just after that byte, or -1 if there is none
   */
  find(from: number, to: number, hash: number, mask: number): number;
}

const NOTHING = new Uint8Array();

/** A scanner in plain JavaScript. */
export class ScriptScanner implements GearScanner {
  hash = 0;
  // Signed words keep the engine on 32-bit integers, which unsigned ones don't.
  readonly #gear: Int32Array;
  #bytes: Uint8Array = NOTHING;

  constructor(gear: Uint32Array) {
    this.#gear = new Int32Array(gear);
  }

  open(bytes: Buffer): void {
    this.#bytes = bytes;
  }

  find(from: number, to: number, hash: number, mask: number): number {
    const gear = this.#gear;
    const bytes = this.#bytes;
    let h = hash;
    let end = -1;
    let at = from;
    // Four bytes a turn. The casts are for speed: every offset is below `to`, and the table has an entry for every byte.
    for (const last = to - 3; at < last; at += 4) {
      h = ((h << 1) + (gear[bytes[at] as number] as number)) | 0;
      if ((h & mask) === 0) {
        end = at + 1;
        break;
      }
      h = ((h << 1) + (gear[bytes[at + 1] as number] as number)) | 0;
      if ((h & mask) === 0) {
        end = at + 2;
        break;
      }
      h = ((h << 1) + (gear[bytes[at + 2] as number] as number)) | 0;
      if ((h & mask) === 0) {
        end = at + 3;
        break;
      }
      h = ((h << 1) + (gear[bytes[at + 3] as number] as number)) | 0;
      if ((h & mask) === 0) {
        end = at + 4;
        break;
      }
    }
    for (; end === -1 && at < to; at++) {
      h = ((h << 1) + (gear[bytes[at] as number] as number)) | 0;
      if ((h & mask) === 0) end = at + 1;
    }
    this.hash = h;
    return end;
  }
}
