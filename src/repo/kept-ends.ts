// Beginnings and ends of a remote's segments, kept on this machine: a prune needs the footer of every segment there, and would pay for
// each of them every time. They are sealed as they are there, and bound to their place, so what is kept is believed as little as what
// a remote answers. A cache: losing it costs requests.

import { MoltError } from '../model/error.ts';
import { parseSegmentName, segmentName } from '../format/segment.ts';
import { parseTrailer, trailerBytes } from '../format/trailer.ts';
import { HEADER_BYTES } from '../format/layout.ts';
import type { ReadRange } from '../format/container.ts';
import type { Storage } from '../storage/storage.ts';
import { Lru } from '../model/lru.ts';

/** What of the bundles that were read last is in memory. */
const BUNDLE_CACHE_BYTES = 8 << 20;
/** Per end: seq, size of the container, length of what follows; then header, footer, trailer. */
const NOTE_BYTES = 4 + 6 + 4;

/** Where an end is kept. */
interface KeptEnd {
  readonly bundle: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly lengthBytes: number;
}

/** The ends of one remote's segments. */
export class KeptEnds {
  readonly #cache: Storage;
  readonly #kept = new Map<string, KeptEnd>();
  readonly #bundles = new Lru<Buffer>(BUNDLE_CACHE_BYTES);
  readonly #fresh = new Map<number, { readonly sizeBytes: number; readonly parts: readonly Buffer[] }>();

  private constructor(cache: Storage) {
    this.#cache = cache;
  }

  /** Opens what is kept in a storage of its own, which it closes in the end. */
  static async open(cache: Storage): Promise<KeptEnds> {
    const ends = new KeptEnds(cache);
    for await (const { name } of cache.list('ends/')) ends.#note(name, await cache.read(name));
    return ends;
  }

  /**
   * Returns a reader of the beginning and end of a container, if they are kept.
   * @throws {MoltError} TRUNCATED or DAMAGED when they can't be right
   */
  async find(name: string, sizeBytes: number): Promise<ReadRange | undefined> {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    if (kept.sizeBytes !== sizeBytes) throw new MoltError('DAMAGED', `${name} is kept with another size`);
    const bundle = this.#bundles.get(kept.bundle) ?? (await this.#cache.read(kept.bundle));
    if (bundle === undefined) return undefined;
    this.#bundles.set(kept.bundle, bundle, bundle.length);
    const bytes = bundle.subarray(kept.offsetBytes, kept.offsetBytes + kept.lengthBytes);
    if (bytes.length < HEADER_BYTES + trailerBytes(sizeBytes))
      throw new MoltError('TRUNCATED', `${name} is kept in part`);
    const trailer = parseTrailer(bytes, sizeBytes, name);
    const whole = Buffer.alloc(sizeBytes - trailer.footerOffset);
    bytes.copy(whole, 0, HEADER_BYTES, HEADER_BYTES + trailer.footerBytes);
    bytes.copy(whole, whole.length - trailerBytes(trailer.bodyBytes), HEADER_BYTES + trailer.footerBytes);
    return async (start, end) =>
      end <= HEADER_BYTES
        ? bytes.subarray(start, end)
        : whole.subarray(start - trailer.footerOffset, end - trailer.footerOffset);
  }

  /** Forgets what is kept beside a segment that turned out not to be what was sealed. */
  async drop(name: string): Promise<void> {
    const bundle = this.#kept.get(name)?.bundle;
    if (bundle === undefined) return;
    for (const [other, kept] of this.#kept) if (kept.bundle === bundle) this.#kept.delete(other);
    this.#bundles.delete(bundle);
    await this.#cache.delete(bundle);
  }

  /** Keeps the beginning and end of a segment whose footer was read and is good. */
  async keep(name: string, sizeBytes: number, read: ReadRange): Promise<void> {
    const seq = parseSegmentName(name);
    if (seq === undefined || this.#kept.has(name)) return;
    const end = await read(Math.max(0, sizeBytes - trailerBytes(sizeBytes)), sizeBytes);
    const { footerOffset, footerBytes, bodyBytes } = parseTrailer(end, sizeBytes, name);
    const parts = [
      await read(0, HEADER_BYTES),
      await read(footerOffset, footerOffset + footerBytes),
      end.subarray(end.length - trailerBytes(bodyBytes)),
    ].map((part) => Buffer.from(part));
    this.#fresh.set(seq, { sizeBytes, parts });
  }

  /** Writes what is new, and forgets segments up to a number. */
  async save(goneThrough: number): Promise<void> {
    const fresh = [...this.#fresh].filter(([seq]) => seq > goneThrough).toSorted(([a], [b]) => a - b);
    this.#fresh.clear();
    const [first, last] = [fresh[0]?.[0], fresh.at(-1)?.[0]];
    if (first !== undefined && last !== undefined) {
      const parts = fresh.flatMap(([seq, { sizeBytes, parts }]) => [encodeNote(seq, sizeBytes, parts), ...parts]);
      await this.#cache.createOnce(bundleName(first, last), parts);
    }
    for await (const { name } of this.#cache.list('ends/')) {
      const through = Number(name.slice(name.lastIndexOf('-') + 1));
      if (through <= goneThrough) await this.#cache.delete(name);
    }
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }

  #note(bundle: string, bytes: Buffer | undefined): void {
    if (bytes === undefined) return;
    for (let at = 0; at + NOTE_BYTES <= bytes.length;) {
      const [seq, sizeBytes, lengthBytes] = [
        bytes.readUInt32LE(at),
        bytes.readUIntLE(at + 4, 6),
        bytes.readUInt32LE(at + 10),
      ];
      this.#kept.set(segmentName(seq), { bundle, offsetBytes: at + NOTE_BYTES, sizeBytes, lengthBytes });
      at += NOTE_BYTES + lengthBytes;
    }
  }
}

function bundleName(first: number, last: number): string {
  return `ends/${segmentName(first).slice('log/'.length)}-${last}`;
}

function encodeNote(seq: number, sizeBytes: number, parts: readonly Buffer[]): Buffer {
  const note = Buffer.alloc(NOTE_BYTES);
  note.writeUInt32LE(seq, 0);
  note.writeUIntLE(sizeBytes, 4, 6);
  note.writeUInt32LE(
    parts.reduce((sum, { length }) => sum + length, 0),
    10,
  );
  return note;
}
