// The inner loop of FastCDC as a WebAssembly module of a few hundred bytes, assembled here so that nothing binary is in the source.
// It cuts as ScriptScanner does, about twice as fast.

import type { GearScanner } from './gear-scanner.ts';

// The module's memory: the gear table, the hash on return, and a window onto the bytes that are scanned.
const PAGE_BYTES = 64 * 1024;
const HASH_AT = 1024;
const WINDOW_AT = PAGE_BYTES;
const WINDOW_BYTES = 256 * 1024;
const UNROLLED_BYTES = 8;

// WebAssembly Core Specification 1.0, chapter 5.
const I32 = 0x7f;
const op = {
  block: [0x02, 0x40],
  loop: [0x03, 0x40],
  end: [0x0b],
  br: (depth: number) => [0x0c, depth],
  brIf: (depth: number) => [0x0d, depth],
  return: [0x0f],
  get: (local: number) => [0x20, local],
  set: (local: number) => [0x21, local],
  tee: (local: number) => [0x22, local],
  load: (offset: number) => [0x28, 2, ...unsigned(offset)],
  load8: (offset: number) => [0x2d, 0, ...unsigned(offset)],
  store: (offset: number) => [0x36, 2, ...unsigned(offset)],
  constant: (value: number) => [0x41, ...signed(value)],
  eqz: [0x45],
  lessUnsigned: [0x49],
  greaterOrEqualUnsigned: [0x4f],
  add: [0x6a],
  subtract: [0x6b],
  and: [0x71],
  shiftLeft: [0x74],
};
const param = { from: 0, to: 1, hash: 2, mask: 3 };
const local = { at: param.from, step: 4 };

/**
 * Returns the bytes of a module that exports `memory` and `find(from, to, hash, mask)`, which returns the offset just after the
 * byte that hit the mask, or 0, and leaves the hash at HASH_AT. Offsets are addresses in memory.
 */
function assembleGearModule(): Uint8Array<ArrayBuffer> {
  const i32s = (count: number) => vector(Array.from({ length: count }, () => [I32]));
  const functionType = [0x60, ...i32s(4), ...i32s(1)];
  const memory = [0x00, ...unsigned((WINDOW_AT + WINDOW_BYTES) / PAGE_BYTES)];
  const exported = (name: string, kind: number) => [...vector([...Buffer.from(name)].map((byte) => [byte])), kind, 0];
  const code = [...vector([[1, I32]]), ...findBody(), ...op.end];
  return Uint8Array.from(
    [
      [...Buffer.from('\0asm'), 1, 0, 0, 0],
      section(1, [functionType]),
      section(3, [[0]]),
      section(5, [memory]),
      section(7, [exported('memory', 2), exported('find', 0)]),
      section(10, [[...unsigned(code.length), ...code]]),
    ].flat(),
  );
}

// block $found
//   loop                                 ; eight bytes a turn
//     if to - at >= 8: for step in 0..7 { hash = (hash << 1) + gear[at[step]]; br_if $found ((hash & mask) == 0) }; at += 8
//   step = 0
//   loop                                 ; the last bytes
//     if at < to: { hash = (hash << 1) + gear[at[0]]; br_if $found ((hash & mask) == 0) }; at += 1
//   store hash; return 0
// store hash; return at + step + 1
function findBody(): number[] {
  const { hash, to, mask } = param;
  const { at, step } = local;
  const hashByte = (offset: number) =>
    [
      [op.get(hash), op.constant(1), op.shiftLeft],
      [op.get(at), op.load8(offset), op.constant(2), op.shiftLeft, op.load(0)],
      [op.add, op.tee(hash), op.get(mask), op.and, op.eqz],
    ].flat(2);
  const advance = (bytes: number) => [op.get(at), op.constant(bytes), op.add, op.set(at)].flat();
  const storeHash = [op.constant(0), op.get(hash), op.store(HASH_AT)].flat();
  const steps = Array.from({ length: UNROLLED_BYTES }, (_, offset) => offset);
  return [
    [op.block, op.block, op.loop],
    [op.get(to), op.get(at), op.subtract, op.constant(UNROLLED_BYTES), op.lessUnsigned, op.brIf(1)],
    steps.flatMap((offset) => [op.constant(offset), op.set(step), hashByte(offset), op.brIf(2)]),
    [advance(UNROLLED_BYTES), op.br(0), op.end, op.end],
    [op.constant(0), op.set(step), op.block, op.loop],
    [op.get(at), op.get(to), op.greaterOrEqualUnsigned, op.brIf(1)],
    [hashByte(0), op.brIf(2), advance(1), op.br(0), op.end, op.end],
    [storeHash, op.constant(0), op.return, op.end],
    [storeHash, op.get(at), op.get(step), op.add, op.constant(1), op.add],
  ].flat(2);
}

function section(id: number, entries: number[][]): number[] {
  const content = vector(entries);
  return [id, ...unsigned(content.length), ...content];
}

function vector(entries: number[][]): number[] {
  return [...unsigned(entries.length), ...entries.flat()];
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** Signed LEB128. */
function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

interface GearExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  find(from: number, to: number, hash: number, mask: number): number;
}

// TypeScript declares WebAssembly among a browser's types only, which don't belong here.
interface Engine {
  readonly WebAssembly: {
    readonly Module: new (bytes: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
}

// Kept, so that a later chunker begins with the code that the engine has optimised.
let compiled: object | undefined;

/** Returns a scanner in WebAssembly, or undefined where the engine has none or no address space for its memory. */
export function createWasmScanner(gear: Uint32Array): GearScanner | undefined {
  try {
    const { Module, Instance } = (globalThis as unknown as Engine).WebAssembly;
    compiled ??= new Module(assembleGearModule());
    return new WasmScanner(new Instance(compiled).exports as GearExports, gear);
  } catch {
    return undefined;
  }
}

class WasmScanner implements GearScanner {
  hash = 0;
  readonly #find: GearExports['find'];
  readonly #hash: Int32Array;
  readonly #window: Uint8Array;
  #bytes: Uint8Array = new Uint8Array();
  // The part of the bytes that the window shows.
  #windowFrom = 0;
  #windowTo = 0;

  constructor(exports: GearExports, gear: Uint32Array) {
    this.#find = exports.find;
    this.#hash = new Int32Array(exports.memory.buffer, HASH_AT, 1);
    this.#window = new Uint8Array(exports.memory.buffer, WINDOW_AT, WINDOW_BYTES);
    new Uint32Array(exports.memory.buffer, 0, gear.length).set(gear);
  }

  open(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#windowFrom = 0;
    this.#windowTo = 0;
  }

  find(from: number, to: number, hash: number, mask: number): number {
    this.hash = hash;
    for (let at = from; at < to;) {
      if (at < this.#windowFrom || at >= this.#windowTo) this.#moveWindow(at);
      const stop = Math.min(to, this.#windowTo);
      const shift = WINDOW_AT - this.#windowFrom;
      const end = this.#find(at + shift, stop + shift, this.hash, mask);
      this.hash = this.#hash[0] ?? 0;
      if (end !== 0) return end - shift;
      at = stop;
    }
    return -1;
  }

  #moveWindow(from: number): void {
    this.#windowFrom = from;
    this.#windowTo = Math.min(from + WINDOW_BYTES, this.#bytes.length);
    this.#window.set(this.#bytes.subarray(this.#windowFrom, this.#windowTo));
  }
}
