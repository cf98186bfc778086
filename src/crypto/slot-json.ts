// Slots as they stand in a keyring: JSON objects with their members in a fixed order (FORMAT.md, "Keyring"). Slots of unknown types
// pass through untouched, so that an older molt can add or remove its own kinds beside them.

import { isAllowedArgon2Cost, PASSPHRASE_SALT_BYTES } from './argon2.ts';
import { damagedField, MAX_U32, readHex, readInteger, readObject, readTime, type JsonObject } from './field.ts';
import { TAG_BYTES } from './gcm.ts';
import { COMMITMENT_BYTES } from './hkdf.ts';
import { ROOT_BYTES } from './roots.ts';
import { SEALED_BOX_OVERHEAD_BYTES, X25519_KEY_BYTES } from './sealed-box.ts';
import {
  isSecretSlot,
  isSlotLabel,
  MAX_EXEC_WRAPPED_BYTES,
  SECRET_KEY_BYTES,
  SLOT_ID_BYTES,
  SLOT_SALT_BYTES,
  SLOT_TYPES,
  type SecretSlot,
  type Slot,
  type SlotArgon2,
  type SlotType,
  type UnknownSlot,
} from './slot.ts';

const TYPE_NAME = /^[a-z][a-z0-9-]{0,31}$/;
const MAX_DEPTH = 8;

/**
 * Returns the slot that a parsed JSON value stands for.
 * @throws {MoltError} DAMAGED when it is none
 */
export function parseSlot(value: unknown): Slot {
  const object = readObject(value, 'a slot');
  const id = readHex(object, 'id', SLOT_ID_BYTES);
  const type = object['type'];
  if (typeof type !== 'string' || !TYPE_NAME.test(type)) throw damagedField('type', 'a type of slot');
  if (isSlotType(type)) return parseSecretSlot(object, id, type);
  if (object['label'] !== undefined) readLabel(object);
  if (!isShallow(object, MAX_DEPTH)) throw damagedField('slot', `at most ${MAX_DEPTH} levels deep`);
  return object as UnknownSlot;
}

/** Returns what JSON.stringify turns into the canonical text of a slot. */
export function encodeSlot(slot: Slot): JsonObject {
  if (!isSecretSlot(slot)) return slot;
  const { id, type, label, created, epoch, salt, commitment, wrapped, argon2, recipient, exec } = slot;
  const members = { id, type, label, created, epoch, salt, commitment, wrapped };
  if (recipient !== undefined) {
    return { ...members, recipient: { publicKey: recipient.publicKey, sealed: recipient.sealed } };
  }
  if (exec !== undefined) return { ...members, exec: { wrapped: exec.wrapped } };
  if (argon2 === undefined) return members;
  const { memoryKiB, passes, lanes } = argon2;
  return { ...members, argon2: { memoryKiB, passes, lanes, salt: argon2.salt } };
}

function parseSecretSlot(object: JsonObject, id: string, type: SlotType): SecretSlot {
  return {
    id,
    type,
    label: readLabel(object),
    created: readTime(object, 'created'),
    epoch: readInteger(object, 'epoch', 1, MAX_U32),
    salt: readHex(object, 'salt', SLOT_SALT_BYTES),
    commitment: readHex(object, 'commitment', COMMITMENT_BYTES),
    wrapped: readHex(object, 'wrapped', ROOT_BYTES + TAG_BYTES),
    ...(type === 'passphrase' && { argon2: parseArgon2(object['argon2']) }),
    ...(type === 'recipient' && { recipient: parseRecipient(object['recipient']) }),
    ...(type === 'exec' && { exec: { wrapped: parseExecWrapped(object['exec']) } }),
  };
}

function parseArgon2(value: unknown): SlotArgon2 {
  const object = readObject(value, 'argon2');
  const argon2 = {
    memoryKiB: readInteger(object, 'memoryKiB', 1, MAX_U32),
    passes: readInteger(object, 'passes', 1, MAX_U32),
    lanes: readInteger(object, 'lanes', 1, MAX_U32),
    salt: readHex(object, 'salt', PASSPHRASE_SALT_BYTES),
  };
  if (!isAllowedArgon2Cost(argon2)) throw damagedField('argon2', 'a cost that molt takes from a file');
  return argon2;
}

function parseRecipient(value: unknown): NonNullable<SecretSlot['recipient']> {
  const object = readObject(value, 'recipient');
  return {
    publicKey: readHex(object, 'publicKey', X25519_KEY_BYTES),
    sealed: readHex(object, 'sealed', SECRET_KEY_BYTES + SEALED_BOX_OVERHEAD_BYTES),
  };
}

function parseExecWrapped(value: unknown): string {
  const wrapped = readObject(value, 'exec')['wrapped'];
  const sizeBytes = typeof wrapped === 'string' ? wrapped.length / 2 : 0;
  if (!(Number.isInteger(sizeBytes) && sizeBytes >= 1 && sizeBytes <= MAX_EXEC_WRAPPED_BYTES)) {
    throw damagedField('wrapped', `1 to ${MAX_EXEC_WRAPPED_BYTES} bytes in hex`);
  }
  return readHex(readObject(value, 'exec'), 'wrapped', sizeBytes);
}

function readLabel(object: JsonObject): string {
  const label = object['label'];
  if (typeof label !== 'string' || !isSlotLabel(label)) throw damagedField('label', 'a label');
  return label;
}

function isSlotType(type: string): type is SlotType {
  return (SLOT_TYPES as readonly string[]).includes(type);
}

// JSON.stringify recurses, and a megabyte of brackets would exhaust its stack.
function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => isShallow(member, depth - 1));
}
