// Random numbers that can be repeated, and what a fuzzer does to valid bytes and valid JSON: flips, cuts, repeated and spliced parts,
// extreme counts, deep nesting, long texts.

/** A seeded source of random numbers (xoshiro128**, prng.di.unimi.it): fast, and nothing here needs more. */
export class Dice {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed any numbers; the same ones give the same dice */
  constructor(...seed: readonly number[]) {
    let hash = 0x9e37_79b9;
    for (const word of seed) hash = mix(hash ^ Math.imul(word | 0, 0x85eb_ca6b));
    this.#a = mix(hash + 1);
    this.#b = mix(hash + 2);
    this.#c = mix(hash + 3);
    this.#d = mix(hash + 4) | 1;
  }

  /** Returns a whole number from 0 to below 2^32. */
  word(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Returns a whole number from 0 to below a limit. */
  below(limit: number): number {
    return limit <= 1 ? 0 : Math.floor((this.word() / 2 ** 32) * limit);
  }

  /** Returns one of some values. */
  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined && values.length === 0) throw new Error('nothing to pick from');
    return value as T;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at += 1) bytes[at] = this.word() & 0xff;
    return bytes;
  }
}

function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb_352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846c_a68b);
  return (hash ^ (hash >>> 16)) | 0;
}

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/** Returns bytes that are none of a decoder's, or nearly its own: one of some valid samples with up to four edits. */
export function hostileBytes(dice: Dice, samples: readonly Buffer[]): Buffer {
  if (samples.length === 0 || dice.below(12) === 0) return dice.bytes(dice.below(dice.pick([4, 40, 400])));
  let bytes = Buffer.from(dice.pick(samples));
  for (let edits = dice.pick([1, 1, 1, 2, 3, 4]); edits > 0; edits -= 1) bytes = editBytes(dice, bytes, samples);
  return bytes;
}

function editBytes(dice: Dice, bytes: Buffer<ArrayBuffer>, samples: readonly Buffer[]): Buffer<ArrayBuffer> {
  const at = dice.below(bytes.length);
  switch (dice.below(10)) {
    case 0:
    case 1:
      if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << dice.below(8));
      return bytes;
    case 2:
      if (bytes.length > 0) bytes[at] = dice.word() & 0xff;
      return bytes;
    case 3:
    case 4:
      return writeNumber(dice, bytes, at);
    case 5:
      return bytes.subarray(0, at);
    case 6: {
      // A part of it once more, or taken out.
      const end = at + dice.below(Math.min(bytes.length - at, 64) + 1);
      const middle = dice.below(2) === 0 ? [bytes.subarray(at, end), bytes.subarray(at, end)] : [];
      return Buffer.concat([bytes.subarray(0, at), ...middle, bytes.subarray(end)]);
    }
    case 7: {
      const other = dice.pick(samples);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(dice.below(other.length))]);
    }
    case 8:
      return Buffer.concat([bytes.subarray(0, at), dice.bytes(dice.below(9)), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes, dice.bytes(dice.below(40))]);
  }
}

/** Writes an extreme number of 1, 2, 4 or 8 bytes in either byte order, or moves the one that is there by a little. */
function writeNumber(dice: Dice, bytes: Buffer<ArrayBuffer>, where: number): Buffer<ArrayBuffer> {
  const width = dice.pick([1, 2, 4, 4, 8]);
  if (bytes.length < width) return bytes;
  const at = Math.min(where, bytes.length - width);
  const little = dice.below(4) > 0;
  if (width === 8) {
    const value = dice.pick([0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]);
    if (little) bytes.writeBigUInt64LE(value, at);
    else bytes.writeBigUInt64BE(value, at);
    return bytes;
  }
  const limit = 2 ** (8 * width);
  const old = little ? bytes.readUIntLE(at, width) : bytes.readUIntBE(at, width);
  const value = (dice.below(3) === 0 ? old + dice.pick([-1, 1, 16, limit - 16]) : dice.pick(EXTREMES)) % limit;
  if (little) bytes.writeUIntLE(Math.max(value, 0), at, width);
  else bytes.writeUIntBE(Math.max(value, 0), at, width);
  return bytes;
}

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  '',
  'refs/heads/../x',
  'refs/heads/main',
  '0'.repeat(40),
  'f'.repeat(64),
  '\u0000',
  '\ud800',
  [],
  {},
  [null],
  [[]],
  { __proto__: null, toString: 1 },
];

/** Returns a JSON value that is nearly a valid one, with up to three of its parts replaced, dropped, repeated or added to. */
export function hostileJson(dice: Dice, samples: readonly unknown[]): unknown {
  if (dice.below(20) === 0) return oddValue(dice);
  let value = structuredClone(dice.pick(samples));
  for (let edits = dice.pick([1, 1, 2, 3]); edits > 0; edits -= 1) value = editJson(dice, value);
  return value;
}

function editJson(dice: Dice, value: unknown): unknown {
  let left = dice.below(countNodes(value));
  const visit = (node: unknown): unknown => {
    left -= 1;
    if (left === -1) return editNode(dice, node);
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node === 'object' && node !== null)
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
    return node;
  };
  return visit(value);
}

function editNode(dice: Dice, node: unknown): unknown {
  if (typeof node === 'string' && dice.below(2) === 0)
    return hostileBytes(dice, [Buffer.from(node)]).toString(dice.pick(['utf8', 'latin1', 'hex']));
  if (typeof node === 'number' && dice.below(2) === 0) return node + dice.pick([-1, 1, 0.5, 2 ** 32, -(2 ** 40)]);
  if (Array.isArray(node) && dice.below(2) === 0) {
    const at = dice.below(node.length + 1);
    return dice.below(2) === 0
      ? [...node.slice(0, at), ...node.slice(at + 1)]
      : [...node, ...node, dice.pick([oddValue(dice), ...node])];
  }
  if (typeof node === 'object' && node !== null && !Array.isArray(node) && dice.below(2) === 0) {
    const keys = Object.keys(node);
    const key = dice.pick([...keys, 'constructor', '__proto__', 'x']);
    return dice.below(2) === 0
      ? Object.fromEntries(Object.entries(node).filter(([name]) => name !== key))
      : { ...node, [key]: oddValue(dice) };
  }
  return oddValue(dice);
}

function oddValue(dice: Dice): unknown {
  switch (dice.below(40)) {
    case 0: {
      let deep: unknown = dice.pick([1, 'x', {}]);
      for (let depth = dice.pick([10, 100, 1000]); depth > 0; depth -= 1) deep = depth % 2 === 0 ? [deep] : { a: deep };
      return deep;
    }
    case 1:
      return dice.pick(['a', '0', '/', '.', ' ', 'é', '..']).repeat(dice.pick([65, 300, 5000, 100_000]));
    case 2:
      return Array.from({ length: dice.pick([65, 1025, 5000]) }, () => 0);
    default:
      return dice.pick(ODD_VALUES);
  }
}

function countNodes(value: unknown): number {
  const children = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return children.reduce((sum: number, child) => sum + countNodes(child), 1);
}
