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
import { openBox, sealBox } from './sealed-box.ts';

const LABEL = Buffer.from('molt/1 slot', 'ascii');
const MAX_LABEL_LENGTH = 100;

/** The length of a recovery or device key in bytes. */
export const SECRET_KEY_BYTES = 32;
/** The length of a slot's id in bytes. */
export const SLOT_ID_BYTES = 16;
/** The length of a slot's salt in bytes. */
export const SLOT_SALT_BYTES = 32;

/** The types of slot that this molt opens, each with a secret of its own kind. */
export const SLOT_TYPES = ['passphrase', 'recovery', 'device', 'recipient', 'exec'] as const;

/** The most that a command may make of a slot's key, in bytes. */
export const MAX_EXEC_WRAPPED_BYTES = 8192;

/** One of the types of slot that this molt opens. */
export type SlotType = (typeof SLOT_TYPES)[number];

/** Wraps and unwraps the 32-byte key of a slot by something outside of molt: a key service, a token. */
export interface KeyWrapper {
  wrap(key: Buffer, place: SlotPlace): Promise<Buffer>;
  /** Returns whatever the outside made of it; the slot's commitment judges. */
  unwrap(wrapped: Buffer, place: SlotPlace): Promise<Buffer>;
}

/** Where a slot stands; both are 32 hex digits. */
export interface SlotPlace {
  readonly repository: RepositoryId;
  readonly slot: string;
}

/** Holds who a slot is for: an X25519 key pair, of which only the public half is needed to make the slot. */
export interface RecipientSecret {
  readonly type: 'recipient';
  readonly publicKey: Buffer;
  readonly privateKey?: Buffer;
}

/**
 * What opens a slot: a passphrase, 32 bytes that were printed (recovery) or lie in a key file (device), a private key (recipient), or a
 * command (exec).
 */
export type SlotSecret =
  | RecipientSecret
  | { readonly type: 'exec'; readonly wrapper: KeyWrapper }
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
  /** Stands in recipient slots, and only there: who it is for, and the slot's key sealed to them (80 bytes). */
  readonly recipient?: { readonly publicKey: string; readonly sealed: string };
  /** Stands in exec slots, and only there: what the command made of the slot's key. Never the command itself. */
  readonly exec?: { readonly wrapped: string };
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
  /** Of the slot that this one replaces in a new epoch; random unless given. */
  readonly id?: string;
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
  const id = options.id ?? random.bytes(SLOT_ID_BYTES).toString('hex');
  const salt = random.bytes(SLOT_SALT_BYTES).toString('hex');
  const { kek, members } = await makeKek(secret, { repository, slot: id }, options);
  const slot = {
    id,
    type: secret.type,
    label,
    created: new Date(options.timeMs).toISOString(),
    epoch: keys.epoch,
    salt,
    ...members,
  };
  const { key, commitment } = deriveSlotKey(slot, repository, kek);
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
  const kek = await openKek(slot, repository, secret);
  if (kek === undefined) return undefined;
  const { key, commitment } = deriveSlotKey(slot, repository, kek);
  if (!timingSafeEqual(commitment, Buffer.from(slot.commitment, 'hex'))) return undefined;
  const root = openGcm(key, ZERO_NONCE, slotAad(slot, repository), Buffer.from(slot.wrapped, 'hex'));
  if (root === undefined) throw new MoltError('DAMAGED', `slot ${slot.id} is not what was sealed`);
  return root;
}

type SlotBase = Pick<SecretSlot, 'id' | 'type' | 'epoch' | 'salt'>;

function drawArgon2(passphrase: string, { random, argon2 = DEFAULT_ARGON2_COST }: SlotOptions): SlotArgon2 {
  if (passphrase === '') throw new MoltError('USAGE', 'the passphrase is empty');
  if (!isAllowedArgon2Cost(argon2)) throw new MoltError('USAGE', 'argon2 cost is out of bounds');
  const { memoryKiB, passes, lanes } = argon2;
  return { memoryKiB, passes, lanes, salt: random.bytes(PASSPHRASE_SALT_BYTES).toString('hex') };
}

function deriveSlotKey(slot: SlotBase, repository: RepositoryId, kek: KeyObject): CommittedKey {
  const info = Buffer.concat([LABEL, Buffer.from(slot.type, 'ascii'), idBytes(repository), idBytes(slot.id)]);
  return deriveCommittedKey(kek, Buffer.from(slot.salt, 'hex'), info);
}

/** Returns the key of a new slot, and the members that lead back to it. */
async function makeKek(
  secret: SlotSecret,
  place: SlotPlace,
  options: SlotOptions,
): Promise<{ kek: KeyObject; members: Pick<SecretSlot, 'argon2' | 'recipient' | 'exec'> }> {
  if (secret.type === 'passphrase') {
    const argon2 = drawArgon2(secret.passphrase, options);
    const kek = await stretchPassphrase(secret.passphrase, Buffer.from(argon2.salt, 'hex'), argon2);
    return { kek, members: { argon2 } };
  }
  if (secret.type === 'recovery' || secret.type === 'device') return { kek: keyOf(secret), members: {} };
  const key = options.random.bytes(SECRET_KEY_BYTES);
  const kek = createSecretKey(key);
  if (secret.type === 'recipient') {
    const sealed = await sealBox(key, secret.publicKey);
    const recipient = { publicKey: secret.publicKey.toString('hex'), sealed: sealed.toString('hex') };
    return { kek, members: { recipient } };
  }
  const wrapped = await secret.wrapper.wrap(key, place);
  // A command that loses what it was given would lose the repository: it shows now that it can give it back.
  if (!(await secret.wrapper.unwrap(wrapped, place)).equals(key)) {
    throw new MoltError('USAGE', 'the command does not unwrap what it wrapped', { hint: 'see docs/exec-slot.md' });
  }
  return { kek, members: { exec: { wrapped: wrapped.toString('hex') } } };
}

/** Returns the key that a secret opens a slot with; undefined if it shows at once that the slot is not for it. */
async function openKek(slot: SecretSlot, repository: RepositoryId, secret: SlotSecret): Promise<KeyObject | undefined> {
  if (secret.type === 'passphrase') {
    if (slot.argon2 === undefined) throw new Error('a passphrase slot has an argon2 cost');
    return stretchPassphrase(secret.passphrase, Buffer.from(slot.argon2.salt, 'hex'), slot.argon2);
  }
  if (secret.type === 'recovery' || secret.type === 'device') return keyOf(secret);
  if (secret.type === 'exec') {
    const wrapped = Buffer.from(slot.exec?.wrapped ?? '', 'hex');
    return createSecretKey(await secret.wrapper.unwrap(wrapped, { repository, slot: slot.id }));
  }
  const { publicKey, privateKey } = secret;
  if (privateKey === undefined || slot.recipient?.publicKey !== publicKey.toString('hex')) return undefined;
  const key = await openBox(Buffer.from(slot.recipient.sealed, 'hex'), publicKey, privateKey);
  if (key === undefined) throw new MoltError('DAMAGED', `slot ${slot.id} is not what was sealed to its recipient`);
  return createSecretKey(key);
}

function keyOf({ type, key }: Extract<SlotSecret, { key: Buffer }>): KeyObject {
  if (key.length !== SECRET_KEY_BYTES) throw new Error(`a ${type} key is ${SECRET_KEY_BYTES} bytes`);
  return createSecretKey(key);
}

function slotAad(slot: SlotBase, repository: RepositoryId): Buffer {
  const epoch = Buffer.alloc(4);
  epoch.writeUInt32BE(slot.epoch);
  return Buffer.concat([LABEL, idBytes(repository), idBytes(slot.id), Buffer.from(slot.type, 'ascii'), epoch]);
}

function idBytes(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}
