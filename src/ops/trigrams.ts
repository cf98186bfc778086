// Which groups of three characters a text has, as bits: what lacks one of a phrase's groups does not have the phrase.

/** Bits while a text is read; what is kept of them is folded down to a size that fits. */
const MOST_BYTES = 1 << 16;
const LEAST_BYTES = 64;
/** Four bits for each group: one that is not there passes about once in four times, and a phrase has several. */
const BITS_A_TRIGRAM = 4;

/** Collects the groups of a text. */
export class Trigrams {
  readonly #bits = Buffer.alloc(MOST_BYTES);
  #count = 0;

  add(text: string): void {
    for (const hash of listTrigrams(text)) {
      const at = (hash & (MOST_BYTES * 8 - 1)) >>> 3;
      const bit = 1 << (hash & 7);
      const byte = this.#bits[at] ?? 0;
      if ((byte & bit) !== 0) continue;
      this.#bits[at] = byte | bit;
      this.#count += 1;
    }
  }

  /** Returns the bits; their number is a power of two. */
  encode(): Buffer {
    let bits: Buffer = this.#bits;
    while (bits.length > LEAST_BYTES && bits.length * 4 >= this.#count * BITS_A_TRIGRAM) {
      // A group's bit in a smaller filter is the one that the lower digits of its hash name.
      const half = bits.length / 2;
      const folded = Buffer.alloc(half);
      for (let at = 0; at < half; at += 1) folded[at] = (bits[at] ?? 0) | (bits[at + half] ?? 0);
      bits = folded;
    }
    return bits;
  }
}

/** Says whether a text whose bits these are may have all of these groups. */
export function mayHave(bits: Buffer, trigrams: readonly number[]): boolean {
  const mask = bits.length * 8 - 1;
  return trigrams.every((hash) => ((bits[(hash & mask) >>> 3] ?? 0) >>> (hash & 7)) & 1);
}

/** Lists hashes of each three neighbouring characters; of the newline between two lines none, for no phrase has one. */
export function* listTrigrams(text: string): Iterable<number> {
  for (let at = 0; at + 3 <= text.length; at += 1) {
    const [a, b, c] = [text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)];
    if (a === 10 || b === 10 || c === 10) continue;
    const mixed = Math.imul(Math.imul(Math.imul(a, 0x9e3779b1) ^ b, 0x85ebca6b) ^ c, 0xc2b2ae35);
    yield (mixed ^ (mixed >>> 15)) >>> 0;
  }
}
