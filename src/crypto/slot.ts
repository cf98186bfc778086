// Slots (FORMAT.md, "Slots"): each wraps the root of the current epoch under one secret. The key that wraps is used once, since every
// wrapping draws a salt of its own, and is committed to, so that no wrapping opens under two secrets (eprint 2020/1491).

import { createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Random } from '../model/ports.ts';
import {
  DEFAULT_ARGON2_COST,
  isAllowedArgon2Cost,
  PASSPHRASE_SALT_BYTES,
  stretchPassphrase,
  type Argon2Cost,
} from './argon2.ts';
import { openGcm, sealGcm, ZERO_NONCE } from './gcm.ts';
import { deriveCommittedKey, type CommittedKey } from './hkdf.ts';
import { getRoot, type RootKeys } from './roots.ts';

const LABEL = Buffer.from('molt/1 slot', 'ascii');
const MAX_LABEL_LENGTH = 100;

/** The length of a recovery or device key in bytes. */
export const SECRET_KEY_BYTES = 32;
/** The length of a slot's id in bytes. */
export const SLOT_ID_BYTES = 16;
/** The length of a slot's salt in bytes. */
export const SLOT_SALT_BYTES = 32;

/** The types of slot that this molt opens, each with a secret of its own kind. */
export const SLOT_TYPES = ['passphrase', 'recovery', 'device'] as const;

/** One of the types of slot that this molt opens. */
export type SlotType = (typeof SLOT_TYPES)[number];

/** What opens a slot: a passphrase, or 32 bytes that were printed (recovery) or lie in a key file (device). */
export type SlotSecret =
  | { readonly type: 'passphrase'; readonly passphrase: string }
  | { readonly type: 'recovery'; readonly key: Buffer }
  | { readonly type: 'device'; readonly key: Buffer };

/** The cost and the salt of a passphrase slot. */
export interface SlotArgon2 extends Argon2Cost {
  /** 16 bytes in hex. */
  readonly salt: string;
}

/** A slot that this molt can open. Bytes are in lower-case hex, as in the keyring. */
export interface SecretSlot {
  /** 16 random bytes. */
  readonly id: string;
  readonly type: SlotType;
  /** What its owner calls it; at most 100 characters, none of them a control character. */
  readonly label: string;
  /** When it was made, in ISO 8601 with milliseconds and Z. */
  readonly created: string;
  /** The epoch whose root it wraps. */
  readonly epoch: number;
  /** 32 random bytes. */
  readonly salt: string;
  /** 32 bytes. */
  readonly commitment: string;
  /** The root under AES-256-GCM: 32 bytes and a tag of 16. */
  readonly wrapped: string;
  /** Stands in passphrase slots, and only there. */
  readonly argon2?: SlotArgon2;
}

/** A slot of a type that came after this molt: kept as it is, with whatever members it has. */
export interface UnknownSlot {
  readonly id: string;
  readonly type: string;
  readonly [member: string]: unknown;
}

/** One wrapping of the root key. */
export type Slot = SecretSlot | UnknownSlot;

/** What a new slot is made of beside the root and the secret. */
export interface SlotOptions {
  readonly label: string;
  /** Milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly random: Random;
  /** For passphrase slots; DEFAULT_ARGON2_COST if it is left out. */
  readonly argon2?: Argon2Cost;
}

/** Says whether this molt knows how to open a slot. */
export function isSecretSlot(slot: Slot): slot is SecretSlot {
  return (SLOT_TYPES as readonly string[]).includes(slot.type);
}

/** Says whether a text may be a slot's label. */
export function isSlotLabel(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- a control character must not reach a terminal
  return text.length <= MAX_LABEL_LENGTH && text.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f]/.test(text);
}

/**
 * Returns a new slot that wraps the root of the current epoch under a secret.
 * @throws {MoltError} USAGE when the passphrase is empty, or the label or the cost is out of bounds
 */
export async function createSlot(
  keys: RootKeys,
  repository: RepositoryId,
  secret: SlotSecret,
  options: SlotOptions,
): Promise<SecretSlot> {
  const { random, label } = options;
  if (!isSlotLabel(label)) {
    throw new MoltError('USAGE', `slot label is over ${MAX_LABEL_LENGTH} characters or holds control characters`);
  }
  const slot = {
    id: random.bytes(SLOT_ID_BYTES).toString('hex'),
    type: secret.type,
    label,
    created: new Date(options.timeMs).toISOString(),
    epoch: keys.epoch,
    salt: random.bytes(SLOT_SALT_BYTES).toString('hex'),
    ...(secret.type === 'passphrase' && { argon2: drawArgon2(secret.passphrase, options) }),
  };
  const { key, commitment } = await deriveSlotKey(slot, repository, secret);
  const wrapped = Buffer.concat(sealGcm(key, ZERO_NONCE, slotAad(slot, repository), getRoot(keys, keys.epoch)));
  return { ...slot, commitment: commitment.toString('hex'), wrapped: wrapped.toString('hex') };
}

/**
 * Returns the root that a slot wraps, or undefined if the secret is not this slot's.
 * @throws {MoltError} DAMAGED when the secret is the right one and the wrapping is not what was sealed
 */
export async function openSlot(
  slot: SecretSlot,
  repository: RepositoryId,
  secret: SlotSecret,
): Promise<Buffer | undefined> {
  if (slot.type !== secret.type) return undefined;
  const { key, commitment } = await deriveSlotKey(slot, repository, secret);
  if (!timingSafeEqual(commitment, Buffer.from(slot.commitment, 'hex'))) return undefined;
  const root = openGcm(key, ZERO_NONCE, slotAad(slot, repository), Buffer.from(slot.wrapped, 'hex'));
  if (root === undefined) throw new MoltError('DAMAGED', `slot ${slot.id} is not what was sealed`);
  return root;
}

type SlotBase = Pick<SecretSlot, 'id' | 'type' | 'epoch' | 'salt' | 'argon2'>;

function drawArgon2(passphrase: string, { random, argon2 = DEFAULT_ARGON2_COST }: SlotOptions): SlotArgon2 {
  if (passphrase === '') throw new MoltError('USAGE', 'the passphrase is empty');
  if (!isAllowedArgon2Cost(argon2)) throw new MoltError('USAGE', 'argon2 cost is out of bounds');
  const { memoryKiB, passes, lanes } = argon2;
  return { memoryKiB, passes, lanes, salt: random.bytes(PASSPHRASE_SALT_BYTES).toString('hex') };
}

async function deriveSlotKey(slot: SlotBase, repository: RepositoryId, secret: SlotSecret): Promise<CommittedKey> {
  const kek = await deriveKek(slot, secret);
  const info = Buffer.concat([LABEL, Buffer.from(slot.type, 'ascii'), idBytes(repository), idBytes(slot.id)]);
  return deriveCommittedKey(kek, Buffer.from(slot.salt, 'hex'), info);
}

async function deriveKek({ argon2 }: SlotBase, secret: SlotSecret): Promise<KeyObject> {
  if (secret.type === 'passphrase') {
    if (argon2 === undefined) throw new Error('a passphrase slot has an argon2 cost');
    return stretchPassphrase(secret.passphrase, Buffer.from(argon2.salt, 'hex'), argon2);
  }
  if (secret.key.length !== SECRET_KEY_BYTES) throw new Error(`a ${secret.type} key is ${SECRET_KEY_BYTES} bytes`);
  return createSecretKey(secret.key);
}

function slotAad(slot: SlotBase, repository: RepositoryId): Buffer {
  const epoch = Buffer.alloc(4);
  epoch.writeUInt32BE(slot.epoch);
  return Buffer.concat([LABEL, idBytes(repository), idBytes(slot.id), Buffer.from(slot.type, 'ascii'), epoch]);
}

function idBytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
