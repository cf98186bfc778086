// FastCDC with normalised chunking (Xia et al., USENIX ATC 2016): cuts a stream where its content says so, so that bytes inserted
// into a file change the chunks around them and no others. The rule is normative (FORMAT.md, "Chunking"):
//   hash(i) = sum for k = 0..31 of gear[byte(i - k)] * 2^k, mod 2^32, over the last 32 bytes of the chunk up to byte i
//   a chunk ends after its byte i, so that its length is i + 1, at the first i for which one of these holds:
//     length in [16 KiB, 64 KiB)  and  hash(i) < 2^14: its top 18 bits are zero
//     length in [64 KiB, 256 KiB) and  hash(i) < 2^18: its top 14 bits are zero
//     length = 256 KiB, or the stream ends

import { StreamChunker } from './chunker.ts';
import { type GearScanner, ScriptScanner } from './gear-scanner.ts';
import { createWasmScanner } from './gear-wasm.ts';

// No chunk but a stream's last is shorter.
const MIN_CHUNK_BYTES = 16 * 1024;
// The length at which the rule gets easier; chunks of ordinary content are a little longer than this on average.
const AVERAGE_CHUNK_BYTES = 64 * 1024;
// No chunk is longer.
const MAX_CHUNK_BYTES = 256 * 1024;

// 2^16 bytes on average are 16 bits of mask; normalisation level 2 adds two before the average and takes two away after it.
// They are the highest bits because only these depend on all of the last bytes: bit b of the hash knows b + 1 of them.
const HARD_MASK = 0xffff_c000 | 0;
const EASY_MASK = 0xfffc_0000 | 0;
// A byte leaves a 32-bit hash after 32 shifts.
const HASHED_BYTES = 32;
// From here on the WebAssembly scanner earns back its compilation.
const WASM_AFTER_BYTES = 1024 * 1024;

/** Cuts a stream by its content: chunks of 16 to 256 KiB, about 75 on average. */
export class ContentChunker extends StreamChunker {
  readonly #gear: Uint32Array;
  #scanner: GearScanner;
  #hash = 0;
  #bytesUntilWasm: number;

  /**
   * @param gear the repository's table, from `createGear`
   * @param wasmAfterBytes how much is cut by JavaScript before WebAssembly takes over; the cuts are the same
   */
  constructor(gear: Uint32Array, wasmAfterBytes = WASM_AFTER_BYTES) {
    super(MAX_CHUNK_BYTES);
    this.#gear = gear;
    this.#scanner = new ScriptScanner(gear);
    this.#bytesUntilWasm = wasmAfterBytes;
  }

  override push(bytes: Buffer): void {
    super.push(bytes);
    if (this.#bytesUntilWasm >= 0) {
      this.#bytesUntilWasm -= bytes.length;
      if (this.#bytesUntilWasm < 0) this.#scanner = createWasmScanner(this.#gear) ?? this.#scanner;
    }
    this.#scanner.open(bytes);
  }

  protected override findEnd(bytes: Buffer, from: number, chunkBytes: number): number {
    // Offsets in `bytes`; the chunk may have begun in an earlier push, before offset 0.
    const start = from - chunkBytes;
    const firstTest = start + MIN_CHUNK_BYTES - 1;
    const firstHashed = firstTest - (HASHED_BYTES - 1);
    const easyFrom = start + AVERAGE_CHUNK_BYTES - 1;
    const lastByte = start + MAX_CHUNK_BYTES - 1;

    if (from <= firstHashed) this.#hash = 0;
    this.#warmUp(bytes, Math.max(from, firstHashed), Math.min(firstTest, bytes.length));
    let end = this.#scan(Math.max(from, firstTest), Math.min(easyFrom, bytes.length), HARD_MASK);
    if (end === -1) end = this.#scan(Math.max(from, easyFrom), Math.min(lastByte, bytes.length), EASY_MASK);
    if (end === -1 && lastByte < bytes.length) end = lastByte + 1;
    return end;
  }

  #warmUp(bytes: Buffer, from: number, to: number): void {
    for (let at = from; at < to; at++) this.#hash = ((this.#hash << 1) + (this.#gear[bytes[at] ?? 0] ?? 0)) | 0;
  }

  #scan(from: number, to: number, mask: number): number {
    if (from >= to) return -1;
    const end = this.#scanner.find(from, to, this.#hash, mask);
    this.#hash = this.#scanner.hash;
    return end;
  }
}
