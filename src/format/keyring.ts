// The keyring, keys/<generation> (FORMAT.md, "Keyring"): the current root once per slot, the roots of earlier epochs, and one MAC over
// all of it. Each change is a new generation. The file has exactly one spelling, so that its MAC is over the bytes as they stand.

import { timingSafeEqual } from 'node:crypto';
import { damagedField, MAX_U32, readHex, readInteger, readObject, readTime, type JsonObject } from '../crypto/field.ts';
import { hmacSha256 } from '../crypto/hmac.ts';
import {
  openPredecessors,
  PREDECESSORS_SALT_BYTES,
  predecessorsSizeBytes,
  sealPredecessors,
  type Predecessors,
} from '../crypto/predecessors.ts';
import { deriveKeyringMacKey, type RootKeys } from '../crypto/roots.ts';
import { encodeSlot, parseSlot } from '../crypto/slot-json.ts';
import { isSecretSlot, openSlot, type SecretSlot, type Slot, type SlotSecret } from '../crypto/slot.ts';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { Random } from '../model/ports.ts';

const VERSION = 1;
const MAX_SIZE_BYTES = 1024 * 1024;
const MAX_SLOTS = 64;
const MAC_BYTES = 32;
const REPOSITORY_ID_BYTES = 16;

/** One generation of a repository's keyring. What parseKeyring returns is not authentic until openKeyring or checkKeyringMac says so. */
export interface Keyring {
  readonly repository: RepositoryId;
  /** From 1, one up with each change; the file's name. */
  readonly generation: number;
  /** The epoch whose root the slots wrap. */
  readonly epoch: number;
  /** When this generation was made, in ISO 8601 with milliseconds and Z. */
  readonly created: string;
  readonly slots: readonly Slot[];
  /** The roots of earlier epochs; undefined in epoch 1. */
  readonly predecessors: Predecessors | undefined;
  /** HMAC-SHA-256 over all of the above, in lower-case hex. */
  readonly mac: string;
}

type KeyringBody = Omit<Keyring, 'mac'>;

/** What a keyring is made of beside the roots. */
export interface KeyringOptions {
  readonly repository: RepositoryId;
  /** 1 for a new repository, one more than the last for a new epoch. */
  readonly generation: number;
  /** Slots of the roots' current epoch, at least one of them a passphrase or recovery slot. */
  readonly slots: readonly Slot[];
  /** Milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly random: Random;
}

/** What the next generation is beside its slots. */
export interface KeyringChange {
  /** Milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** One more than the last unless given: a name that something else took is passed over. */
  readonly generation?: number;
}

/** Returns a keyring for the current epoch of some roots. */
export function createKeyring(keys: RootKeys, options: KeyringOptions): Keyring {
  const { repository, generation, slots, timeMs, random } = options;
  if (!hasLastingSlot(slots)) throw new Error('a keyring has a passphrase or recovery slot');
  const predecessors = keys.epoch > 1 ? sealPredecessors(keys, repository, random) : undefined;
  return withMac(keys, { repository, generation, epoch: keys.epoch, created: isoTime(timeMs), slots, predecessors });
}

/**
 * Returns the next generation of a keyring, with one slot more at its end.
 * @throws {MoltError} DAMAGED when the keyring is not authentic, USAGE when it is full
 */
export function addSlot(keyring: Keyring, keys: RootKeys, slot: SecretSlot, change: KeyringChange): Keyring {
  checkKeyringMac(keyring, keys);
  if (keyring.slots.length >= MAX_SLOTS) {
    throw new MoltError('USAGE', `keyring has ${MAX_SLOTS} slots, and no more fit`, { hint: 'molt key remove SLOT' });
  }
  return nextGeneration(keyring, keys, [...keyring.slots, slot], change);
}

/**
 * Returns the next generation of a keyring, without one slot.
 * @throws {MoltError} DAMAGED when the keyring is not authentic, NOT_FOUND when it has no such slot, USAGE when no passphrase or
 * recovery slot would be left: a device key dies with its device
 */
export function removeSlot(keyring: Keyring, keys: RootKeys, slotId: string, change: KeyringChange): Keyring {
  checkKeyringMac(keyring, keys);
  const slots = keyring.slots.filter((slot) => slot.id !== slotId);
  if (slots.length === keyring.slots.length) {
    throw new MoltError('NOT_FOUND', `keyring has no slot '${slotId}'`, { hint: 'molt key list' });
  }
  if (!hasLastingSlot(slots)) {
    throw new MoltError(
      'USAGE',
      `slot ${slotId} is the last passphrase or recovery slot: without it the repository could be lost`,
      {
        hint: 'molt key add recovery',
      },
    );
  }
  return nextGeneration(keyring, keys, slots, change);
}

/** Returns the same keys under another number. @throws {MoltError} DAMAGED when the keyring is not authentic */
export function renumberKeyring(keyring: Keyring, keys: RootKeys, change: Required<KeyringChange>): Keyring {
  checkKeyringMac(keyring, keys);
  return nextGeneration(keyring, keys, keyring.slots, change);
}

/** What joining two keyrings came to. */
export interface JoinedKeyrings {
  readonly keyring: Keyring;
  /** Slots that were added to the one of the earlier epoch: only who has their secret can wrap the new root for them. */
  readonly lost: readonly Slot[];
}

/**
 * Returns a keyring that joins two which were changed apart: what was added to one of them since they were the same is added to the other,
 * what was removed is removed. If one was rotated, its epoch holds.
 * @param had the ids of the slots that both sides last had in common
 * @throws {MoltError} DAMAGED when one is not authentic, USAGE when no passphrase or recovery slot would be left, or the keyring is full
 */
export function joinKeyrings(
  had: ReadonlySet<string>,
  ours: Keyring,
  theirs: Keyring,
  keys: RootKeys,
  change: Required<KeyringChange>,
): JoinedKeyrings {
  for (const keyring of [ours, theirs]) checkKeyringMac(keyring, keys);
  const [later, other] = ours.epoch > theirs.epoch ? [ours, theirs] : [theirs, ours];
  const [inLater, inOther] = [later, other].map(({ slots }) => new Set(slots.map(({ id }) => id)));
  const kept = later.slots.filter(({ id }) => !had.has(id) || inOther?.has(id) === true);
  const added = other.slots.filter(({ id }) => !had.has(id) && inLater?.has(id) !== true);
  const slots = later.epoch === other.epoch ? [...kept, ...added] : kept;
  if (slots.length > MAX_SLOTS || !hasLastingSlot(slots)) {
    throw new MoltError(
      'USAGE',
      slots.length > MAX_SLOTS
        ? `the keys were changed here and elsewhere, and together they are more than ${MAX_SLOTS}`
        : 'the keys were changed here and elsewhere, and together no passphrase or recovery key would be left',
      { hint: slots.length > MAX_SLOTS ? 'molt key remove SLOT' : 'molt key add recovery' },
    );
  }
  return { keyring: nextGeneration(later, keys, slots, change), lost: later.epoch === other.epoch ? [] : added };
}

/**
 * Returns the roots that a keyring holds, by the first slot that opens with a secret. A passphrase costs about half a second a slot.
 * @throws {MoltError} WRONG_PASSPHRASE when no slot opens, DAMAGED when one does and the keyring is not authentic
 */
export async function openKeyring(keyring: Keyring, secret: SlotSecret): Promise<RootKeys> {
  const slots = keyring.slots.filter(isSecretSlot).filter((slot) => slot.type === secret.type);
  for (const slot of slots) {
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    const root = await openSlot(slot, keyring.repository, secret);
    if (root !== undefined) return openKeyringWithRoot(keyring, root);
  }
  const kind = secret.type === 'passphrase' || secret.type === 'exec' ? secret.type : `${secret.type} key`;
  const message = slots.length === 0 ? `no key of the agent is a ${kind}` : `this ${kind} does not open the agent`;
  throw new MoltError('WRONG_PASSPHRASE', message, {
    hint: 'try again, or give the recovery key in MOLT_RECOVERY_KEY; molt key list shows the keys of an agent that is here',
  });
}

/**
 * Checks a keyring against roots that were opened before.
 * @throws {MoltError} DAMAGED when its MAC is not that of these roots, WRONG_KEY when they don't reach its epoch
 */
export function checkKeyringMac(keyring: Keyring, keys: RootKeys): void {
  if (!timingSafeEqual(computeMac(keyring, keys), Buffer.from(keyring.mac, 'hex'))) {
    throw new MoltError('DAMAGED', `keyring ${keyring.generation} was changed by somebody without its keys`, {
      hint: 'molt verify',
    });
  }
}

/** Returns the bytes of the file, in their only spelling. */
export function encodeKeyring(keyring: Keyring): Buffer {
  return Buffer.from(`${bodyText(keyring).slice(0, -1)},"mac":"${keyring.mac}"}`, 'utf8');
}

/**
 * Returns the keyring that a file holds, well-formed but not yet authentic. The caller compares its generation with the file's name.
 * @throws {MoltError} DAMAGED when the bytes are none in its only spelling, NEWER_FORMAT, or WRONG_REPOSITORY
 */
export function parseKeyring(bytes: Buffer, expected: RepositoryId): Keyring {
  if (bytes.length > MAX_SIZE_BYTES) throw damagedField('the file', `at most ${MAX_SIZE_BYTES} bytes`);
  const object = readObject(parseJson(bytes), 'the file');
  if (object['molt'] !== 'keyring') throw damagedField('molt', "'keyring'");
  const version = readInteger(object, 'version', 1, MAX_U32);
  if (version > VERSION) {
    throw new MoltError('NEWER_FORMAT', `keyring is of version ${version}, and this molt reads version ${VERSION}`, {
      hint: 'install a newer molt',
    });
  }
  const repository = readHex(object, 'repository', REPOSITORY_ID_BYTES) as RepositoryId;
  if (repository !== expected) {
    throw new MoltError('WRONG_REPOSITORY', `keyring belongs to repository ${repository}, not ${expected}`);
  }
  const keyring = { ...parseBody(object, repository), mac: readHex(object, 'mac', MAC_BYTES) };
  // Whatever the text said beside the fields, or said twice or otherwise, shows here.
  if (!encodeKeyring(keyring).equals(bytes)) throw damagedField('the file', 'in canonical form');
  return keyring;
}

function parseBody(object: JsonObject, repository: RepositoryId): KeyringBody {
  const epoch = readInteger(object, 'epoch', 1, MAX_U32);
  return {
    repository,
    generation: readInteger(object, 'generation', 1, MAX_U32),
    epoch,
    created: readTime(object, 'created'),
    slots: parseSlots(object['slots'], epoch),
    predecessors: epoch > 1 ? parsePredecessors(object['predecessors'], epoch) : undefined,
  };
}

function parseSlots(value: unknown, epoch: number): Slot[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_SLOTS) {
    throw damagedField('slots', `a list of 1 to ${MAX_SLOTS}`);
  }
  const slots = value.map(parseSlot);
  if (new Set(slots.map((slot) => slot.id)).size !== slots.length)
    throw damagedField('slots', 'a list of different ids');
  if (slots.filter(isSecretSlot).some((slot) => slot.epoch !== epoch)) throw damagedField('slots', `of epoch ${epoch}`);
  return slots;
}

function parsePredecessors(value: unknown, epoch: number): Predecessors {
  const object = readObject(value, 'predecessors');
  return {
    salt: readHex(object, 'salt', PREDECESSORS_SALT_BYTES),
    sealed: readHex(object, 'sealed', predecessorsSizeBytes(epoch)),
  };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // V8 quotes the text in its message, so the cause is left out.
    throw damagedField('the file', 'JSON');
  }
}

function bodyText(keyring: KeyringBody): string {
  const { repository, generation, epoch, created, predecessors } = keyring;
  return JSON.stringify({
    molt: 'keyring',
    version: VERSION,
    repository,
    generation,
    epoch,
    created,
    slots: keyring.slots.map(encodeSlot),
    ...(predecessors && { predecessors: { salt: predecessors.salt, sealed: predecessors.sealed } }),
  });
}

function computeMac(keyring: KeyringBody, keys: RootKeys): Buffer {
  return hmacSha256(deriveKeyringMacKey(keys, keyring.epoch), Buffer.from(bodyText(keyring), 'utf8'));
}

function withMac(keys: RootKeys, body: KeyringBody): Keyring {
  const keyring = { ...body, mac: computeMac(body, keys).toString('hex') };
  // A keyring that could not be read back would lose the repository: better to fail while the last one still stands.
  return parseKeyring(encodeKeyring(keyring), body.repository);
}

function nextGeneration(keyring: Keyring, keys: RootKeys, slots: readonly Slot[], change: KeyringChange): Keyring {
  const { repository, epoch, predecessors } = keyring;
  const { generation = keyring.generation + 1, timeMs } = change;
  return withMac(keys, {
    repository,
    generation,
    epoch,
    created: isoTime(timeMs),
    slots,
    predecessors,
  });
}

/**
 * Returns the roots that a keyring holds, by the root that one of its slots wraps.
 * @throws {MoltError} DAMAGED when the keyring is not authentic
 */
export function openKeyringWithRoot(keyring: Keyring, root: Buffer): RootKeys {
  checkKeyringMac(keyring, { epoch: keyring.epoch, roots: new Map([[keyring.epoch, root]]) });
  return openPredecessors(keyring.predecessors, keyring.repository, keyring.epoch, root);
}

function hasLastingSlot(slots: readonly Slot[]): boolean {
  return slots.some((slot) => slot.type === 'passphrase' || slot.type === 'recovery');
}

function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
