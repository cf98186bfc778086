// Strict readers for the fields of a keyring and its slots. That text is read before any key is at hand, so whatever is off in it
// must end in a MoltError that names the field, and never its content.

import { MoltError } from '../model/error.ts';

const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** The largest number that a 4-byte field holds. */
export const MAX_U32 = 0xffff_ffff;

/** A JSON object whose members nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Returns the error for a field that breaks the format. */
export function damagedField(name: string, expected: string): MoltError {
  return new MoltError('DAMAGED', `keyring is damaged: ${name} is not ${expected}`, { hint: 'molt verify' });
}

/** Returns a value that must be a JSON object. */
export function readObject(value: unknown, name: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw damagedField(name, 'an object');
  return value as JsonObject;
}

/** Returns a member that must be a whole number within bounds, both included. */
export function readInteger(object: JsonObject, name: string, min: number, max: number): number {
  const value = object[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw damagedField(name, `a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Returns a member that must be `sizeBytes` bytes in lower-case hex digits. */
export function readHex(object: JsonObject, name: string, sizeBytes: number): string {
  const value = object[name];
  if (typeof value !== 'string' || value.length !== sizeBytes * 2 || !/^[0-9a-f]*$/.test(value)) {
    throw damagedField(name, `${sizeBytes} bytes in hex`);
  }
  return value;
}

/** Returns a member that must be a time in UTC as `2026-03-05T02:00:00.000Z`. */
export function readTime(object: JsonObject, name: string): string {
  const value = object[name];
  if (typeof value !== 'string' || !ISO_TIME.test(value) || !isCalendarTime(value)) throw damagedField(name, 'a time');
  return value;
}

// Date.parse rolls the 30th of February over into March.
function isCalendarTime(text: string): boolean {
  const timeMs = Date.parse(text);
  return !Number.isNaN(timeMs) && new Date(timeMs).toISOString() === text;
}
