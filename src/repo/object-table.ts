// A table of every object that a check of a storage meets: held somewhere, wanted by another, or both. Kept in flat arrays, some
// 50 bytes an object, so that a year of commits can be checked at once.

import { OBJECT, type ObjectType } from '../format/layout.ts';

/** The first bytes of a key that tell objects apart: a whole Git id, or 160 bits of a chunk id. */
const KEY_BYTES = 20;
const FIRST_CAPACITY = 1 << 10;

/** Marks of an object. */
export const MARK = {
  /** Held whole, not only as a delta. */
  whole: 1 << 6,
  /** Something refers to it as a chunk or a chunk-list node. */
  wantPart: 1 << 14,
  /** A delta is based on it. */
  wantWhole: 1 << 15,
  /** The newest checkpoint's index runs have it. */
  indexed: 1 << 16,
  /** It is missing, or something below it is. */
  hurt: 1 << 17,
  /** A walk has been there. */
  seen: 1 << 18,
  /** Something that stays needs it. */
  live: 1 << 19,
} as const;

/** Returns the mark of an object that is held with a type. */
export function heldMark(type: ObjectType): number {
  return 1 << (type - 1);
}

/** Returns the mark of an object that something refers to as one of a type. */
export function wantMark(type: ObjectType): number {
  return 1 << (type + 7);
}

const HELD = 0b111111;
const HELD_PART = heldMark(OBJECT.chunk) | heldMark(OBJECT.node);
const WANTED = (HELD << 8) | MARK.wantPart | MARK.wantWhole;

/** Objects by key, each under a number from 0 that stays. */
export class ObjectTable {
  #count = 0;
  #keys = Buffer.alloc(FIRST_CAPACITY * KEY_BYTES);
  #marks = new Uint32Array(FIRST_CAPACITY);
  #sizes = new Float64Array(FIRST_CAPACITY);
  #containers = new Uint32Array(FIRST_CAPACITY);
  #entries = new Uint32Array(FIRST_CAPACITY);
  /** Numbers plus one by hash, linearly probed; 0 is free. */
  #slots = new Uint32Array(FIRST_CAPACITY * 2);

  get count(): number {
    return this.#count;
  }

  /** Returns an object's number, or -1. */
  find(key: Buffer): number {
    return (this.#slots[this.#slotOf(key)] ?? 0) - 1;
  }

  /** Returns an object's number, giving it one if it has none. */
  add(key: Buffer): number {
    let slot = this.#slotOf(key);
    const known = this.#slots[slot] ?? 0;
    if (known !== 0) return known - 1;
    if (this.#count === this.#marks.length) {
      this.#grow();
      slot = this.#slotOf(key);
    }
    const number = this.#count;
    this.#count += 1;
    key.copy(this.#keys, number * KEY_BYTES, 0, KEY_BYTES);
    this.#sizes[number] = -1;
    this.#slots[slot] = number + 1;
    return number;
  }

  /** Returns an object's key as hex: a whole Git id, or the beginning of a chunk id. */
  keyText(number: number): string {
    return this.#keys.toString('hex', number * KEY_BYTES, (number + 1) * KEY_BYTES);
  }

  marks(number: number): number {
    return this.#marks[number] ?? 0;
  }

  mark(number: number, marks: number): void {
    this.#marks[number] = this.marks(number) | marks;
  }

  isHeld(number: number): boolean {
    return (this.marks(number) & HELD) !== 0;
  }

  /** Says whether an object is all that others want it to be. */
  isSatisfied(number: number): boolean {
    const marks = this.marks(number);
    if ((marks & WANTED) === 0) return true;
    const wanted = (marks >>> 8) & HELD;
    if ((wanted & ~marks) !== 0) return false;
    if ((marks & MARK.wantPart) !== 0 && (marks & HELD_PART) === 0) return false;
    return (marks & MARK.wantWhole) === 0 || (marks & MARK.whole) !== 0;
  }

  /** Notes how long an object's content is, by itself or by what refers to it; returns false if that contradicts what was noted. */
  noteSize(number: number, sizeBytes: number): boolean {
    const known = this.#sizes[number] ?? -1;
    if (known < 0) this.#sizes[number] = sizeBytes;
    return known < 0 || known === sizeBytes;
  }

  /** Notes where an object is held: which container, which entry of its footer. */
  setPlace(number: number, container: number, entry: number): void {
    this.#containers[number] = container;
    this.#entries[number] = entry;
  }

  place(number: number): { readonly container: number; readonly entry: number } {
    return { container: this.#containers[number] ?? 0, entry: this.#entries[number] ?? 0 };
  }

  /** Returns the slot that holds a key, or the free one where it belongs. Keys are hashes: their first bytes spread them. */
  #slotOf(key: Buffer): number {
    const mask = this.#slots.length - 1;
    let slot = key.readUInt32LE(0) & mask;
    for (let held = this.#slots[slot] ?? 0; held !== 0; held = this.#slots[slot] ?? 0) {
      const at = (held - 1) * KEY_BYTES;
      if (key.compare(this.#keys, at, at + KEY_BYTES, 0, KEY_BYTES) === 0) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const capacity = this.#marks.length * 2;
    this.#keys = Buffer.concat([this.#keys, Buffer.alloc(this.#keys.length)]);
    this.#marks = grown(this.#marks, new Uint32Array(capacity));
    this.#sizes = grown(this.#sizes, new Float64Array(capacity));
    this.#containers = grown(this.#containers, new Uint32Array(capacity));
    this.#entries = grown(this.#entries, new Uint32Array(capacity));
    this.#slots = new Uint32Array(capacity * 2);
    for (let number = 0; number < this.#count; number += 1) {
      const key = this.#keys.subarray(number * KEY_BYTES, (number + 1) * KEY_BYTES);
      this.#slots[this.#slotOf(key)] = number + 1;
    }
  }
}

function grown<A extends Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
