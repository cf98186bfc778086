// Reads typed fields out of parsed JSON of the format. Everything a reader takes from a record passes through here.

import { MoltError } from '../model/error.ts';

// A pattern that looks ahead or back takes memory for each character, and fails with a RangeError when that runs out.
const MAX_TEXT_LENGTH = 4096;

/** A JSON object on its way to a typed value, with the name it has in messages. */
export class Fields {
  readonly #value: Record<string, unknown>;
  readonly #name: string;

  /** @throws {MoltError} DAMAGED when the value is not an object */
  constructor(value: unknown, name: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MoltError('DAMAGED', `${name} is not a JSON object`);
    }
    this.#value = value as Record<string, unknown>;
    this.#name = name;
  }

  has(key: string): boolean {
    return this.#value[key] !== undefined;
  }

  isNull(key: string): boolean {
    return this.#value[key] === null;
  }

  /** Returns a member as it is. */
  value(key: string): unknown {
    return this.#value[key];
  }

  /** Returns a text that matches a pattern, of at most 4,096 characters unless more are allowed. @throws {MoltError} DAMAGED */
  text(key: string, pattern: RegExp, maxLength = MAX_TEXT_LENGTH): string {
    const value = this.#value[key];
    if (typeof value !== 'string' || value.length > maxLength || !pattern.test(value)) throw this.#damaged(key);
    return value;
  }

  /** Returns a whole number of at least `least`. @throws {MoltError} DAMAGED */
  integer(key: string, least = 0): number {
    const value = this.#value[key];
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) throw this.#damaged(key);
    return value;
  }

  /** Returns a list of objects; an absent one is empty. @throws {MoltError} DAMAGED */
  list(key: string): Fields[] {
    const value = this.#value[key] ?? [];
    if (!Array.isArray(value)) throw this.#damaged(key);
    return value.map((item, index) => new Fields(item, `${this.#name}.${key}[${index}]`));
  }

  /** Returns the fields of an object whose keys are data. @throws {MoltError} DAMAGED */
  entries(key: string): [string, unknown][] {
    const value = this.#value[key] ?? {};
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#damaged(key);
    return Object.entries(value);
  }

  /** Returns a list of whole numbers; an absent one is empty. @throws {MoltError} DAMAGED */
  integers(key: string): number[] {
    const value = this.#value[key] ?? [];
    if (!Array.isArray(value) || !value.every((item) => Number.isSafeInteger(item))) throw this.#damaged(key);
    return value as number[];
  }

  /** Returns a list of texts, all of which match a pattern if one is given; an absent list is empty. @throws {MoltError} DAMAGED */
  texts(key: string, pattern?: RegExp): string[] {
    const value = this.#value[key] ?? [];
    const isValid = (item: unknown): boolean => typeof item === 'string' && pattern?.test(item) !== false;
    if (!Array.isArray(value) || !value.every(isValid)) throw this.#damaged(key);
    return value as string[];
  }

  #damaged(key: string): MoltError {
    return new MoltError('DAMAGED', `${this.#name} has no valid "${key}"`);
  }
}

export const HEX_16 = /^[0-9a-f]{32}$/;
export const HEX_32 = /^[0-9a-f]{64}$/;
export const HEX_20 = /^[0-9a-f]{40}$/;
