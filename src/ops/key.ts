// The keys of a repository: lists, adds and removes slots. Each change is a new generation of the keyring, written once.

import { encodeRecoveryKey } from '../crypto/recovery-key.ts';
import type { RootKeys } from '../crypto/roots.ts';
import { createSlot, isSecretSlot, openSlot, type Slot, type SlotSecret, type SlotType } from '../crypto/slot.ts';
import { addSlot, encodeKeyring, removeSlot, type Keyring, type KeyringChange } from '../format/keyring.ts';
import { parsePublicKey } from '../crypto/identity.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import { makeCommandWrapper } from './exec-slot.ts';
import type { Agent } from './home.ts';
import { openKeys, readGeneration, readKeyring, rereadKeyring } from './open-keys.ts';
import { openStorage, resolveAgent } from './open.ts';
import { rememberCommand, rememberFingerprint } from './trust.ts';
import { findRollback, loadSeen, saveSeenKeyring } from './seen.ts';

/** A slot as people see it: CLI.md's JSON for `key list`. */
export interface KeySlot {
  readonly id: string;
  /** A type that this molt does not know is shown as it stands. */
  readonly type: string;
  readonly label: string;
  readonly created: string | undefined;
}

/** A key to add. What its function throws stops the change with nothing made. */
export type NewKey = { readonly label?: string | undefined } & (
  | { readonly type: 'passphrase'; readonly passphrase: () => Promise<string> }
  /** `keep` takes the printed key before the slot that it opens is made. */
  | { readonly type: 'recovery'; readonly keep: (text: string) => Promise<void> }
  | { readonly type: 'device' }
  | { readonly type: 'recipient'; readonly publicKey: string }
  /** Runs by the shell; kept in this machine's home, never in the repository. */
  | { readonly type: 'exec'; readonly command: string }
);

/** What a change came to. */
export interface KeyChange {
  /** The slot that was added or removed. */
  readonly slot: KeySlot;
  readonly generation: number;
  /** All slots there are now. */
  readonly slots: readonly KeySlot[];
}

const DEFAULT_LABELS: Readonly<Record<SlotType, string>> = {
  passphrase: 'passphrase',
  recovery: 'recovery key',
  device: 'this machine',
  recipient: 'recipient',
  exec: 'command',
};

/** How often a change that lost its generation to another process is made again on top of the winner's. */
const MOST_TRIES = 100;
const MAX_GENERATION = 999_999;

/** Lists the slots of an agent's repository. It needs no secret, and so takes the keyring's word for it: `checkKeys` does not. */
export async function listKeySlots(context: OpsContext, label: string | undefined): Promise<KeySlot[]> {
  return withStorage(context, label, async (agent, storage) => {
    const { slots } = await readKeyring(context, storage, agent);
    return slots.map(describeSlot);
  });
}

/**
 * Adds a key to an agent's repository.
 * @throws {MoltError} EXISTS when this machine's key or that passphrase opens it already; USAGE when it is empty or the keyring full
 */
export async function addKey(context: OpsContext, label: string | undefined, newKey: NewKey): Promise<KeyChange> {
  return withStorage(context, label, async (agent, storage) => {
    let opened = await openKeys(context, storage, agent);
    const secret = await makeSecret(context, newKey);
    for (;;) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- again only when the keys were rotated meanwhile
        return await addSecret({ context, agent, storage, roots: opened.roots }, opened.keyring, newKey, secret);
      } catch (error) {
        if (!isMoltError(error, 'WRONG_KEY')) throw error;
        // oxlint-disable-next-line no-await-in-loop -- the same
        const newer = await openKeys(context, storage, agent);
        if (newer.keyring.epoch === opened.keyring.epoch) throw error;
        opened = newer;
      }
    }
  });
}

async function addSecret(change: Change, keyring: Keyring, newKey: NewKey, secret: SlotSecret): Promise<KeyChange> {
  const { context, agent, roots } = change;
  await checkIsNew(keyring, secret);
  const slot = await createSlot(roots, agent.repository, secret, {
    label: newKey.label ?? DEFAULT_LABELS[newKey.type],
    timeMs: context.clock.now(),
    random: context.random,
    ...(context.argon2 !== undefined && { argon2: context.argon2 }),
  });
  // What opened the repository just now is trusted, and so is what the new slot will give on this machine.
  if (newKey.type === 'exec' || newKey.type === 'recipient')
    await rememberFingerprint(context.home, agent.repository, roots);
  if (newKey.type === 'exec') await rememberCommand(context.home, agent.repository, slot.id, newKey.command);
  return changeKeyring(change, slot, (current, next) => addSlot(current, roots, slot, next));
}

/**
 * Finds a slot by its label or the beginning of its id.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS
 */
export function findKeySlot(slots: readonly KeySlot[], which: string): KeySlot {
  const exact = slots.filter((slot) => slot.label === which || slot.id === which);
  const found =
    exact.length > 0 ? exact : slots.filter((slot) => /^[0-9a-f]{4,}$/.test(which) && slot.id.startsWith(which));
  const [slot, ...others] = found;
  if (slot === undefined)
    throw new MoltError('NOT_FOUND', `there is no slot "${which}"`, { hint: 'molt key list shows them' });
  if (others.length === 0) return slot;
  const ids = found.map(({ id }) => id.slice(0, 8)).join(', ');
  throw new MoltError('AMBIGUOUS', `"${which}" may be any of the slots ${ids}`, {
    hint: 'give the beginning of its id',
  });
}

/**
 * Removes a slot of an agent's repository. What was sealed so far stays readable to who has its secret and a copy of an older keyring.
 * @param id the slot's whole id
 * @throws {MoltError} NOT_FOUND, or USAGE when it is the last way in that outlives this machine
 */
export async function removeKey(context: OpsContext, label: string | undefined, id: string): Promise<KeyChange> {
  return withStorage(context, label, async (agent, storage) => {
    const { keyring, roots } = await openKeys(context, storage, agent);
    const slot = keyring.slots.find((candidate) => candidate.id === id);
    if (slot === undefined)
      throw new MoltError('NOT_FOUND', `there is no slot "${id}"`, { hint: 'molt key list shows them' });
    const change = { context, agent, storage, roots };
    return changeKeyring(change, slot, (current, next) => removeSlot(current, roots, id, next));
  });
}

/** Returns what people see of a slot. */
export function describeSlot(slot: Slot): KeySlot {
  if (isSecretSlot(slot)) return { id: slot.id, type: slot.type, label: slot.label, created: slot.created };
  const { id, type, label, created } = slot;
  return {
    id,
    type,
    label: typeof label === 'string' ? label : '',
    created: typeof created === 'string' ? created : undefined,
  };
}

/** Runs with the storage of the agent that is meant. */
export async function withStorage<T>(
  context: OpsContext,
  label: string | undefined,
  work: (agent: Agent, storage: Storage) => Promise<T>,
): Promise<T> {
  const agent = await resolveAgent(context, label);
  const storage = await openStorage(context, agent.repository);
  try {
    return await work(agent, storage);
  } finally {
    await storage.close();
  }
}

async function makeSecret(context: OpsContext, newKey: NewKey): Promise<SlotSecret> {
  if (newKey.type === 'passphrase') return { type: 'passphrase', passphrase: await newKey.passphrase() };
  if (newKey.type === 'device') return { type: 'device', key: await context.home.makeDeviceKey(context.random) };
  if (newKey.type === 'recipient') return { type: 'recipient', publicKey: parsePublicKey(newKey.publicKey) };
  if (newKey.type === 'exec') return { type: 'exec', wrapper: makeCommandWrapper(newKey.command) };
  const key = context.random.bytes(32);
  await newKey.keep(encodeRecoveryKey(key));
  return { type: 'recovery', key };
}

/** A passphrase that is given to open the repository is easily taken for the new one; a second slot for it would only mislead. */
async function checkIsNew(keyring: Keyring, secret: SlotSecret): Promise<void> {
  if (secret.type === 'recovery' || secret.type === 'exec') return;
  if (secret.type === 'recipient') {
    const publicKey = secret.publicKey.toString('hex');
    const known = keyring.slots.filter(isSecretSlot).find((slot) => slot.recipient?.publicKey === publicKey);
    if (known === undefined) return;
    throw new MoltError('EXISTS', `slot ${known.id.slice(0, 8)} is for that recipient already`, {
      hint: 'molt key list shows the slots',
    });
  }
  const what = secret.type === 'device' ? "this machine's key" : 'that passphrase';
  for (const slot of keyring.slots.filter(isSecretSlot)) {
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    if ((await openSlot(slot, keyring.repository, secret)) === undefined) continue;
    throw new MoltError('EXISTS', `${what} opens slot ${slot.id.slice(0, 8)} already`, {
      hint: 'molt key list shows the slots',
    });
  }
}

/** What a change works on. */
export interface Change {
  readonly context: OpsContext;
  readonly agent: Agent;
  readonly storage: Storage;
  readonly roots: RootKeys;
}

/** Writes the next generation; when another process was faster, `make` is asked again on top of what it wrote. */
async function changeKeyring(
  change: Change,
  slot: Slot,
  make: (keyring: Keyring, next: KeyringChange) => Keyring,
): Promise<KeyChange> {
  const { context, agent, storage, roots } = change;
  for (let attempt = 1; attempt <= MOST_TRIES; attempt += 1) {
    // Listed first: what another process adds after this takes the number that is tried below.
    // oxlint-disable-next-line no-await-in-loop -- one try after the other
    const generation = ((await listKeyrings(storage)).at(-1) ?? 0) + 1;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const current = await rereadKeyring(context, storage, agent, roots);
    // oxlint-disable-next-line no-await-in-loop -- the same
    const rollback = await findRollback(storage, await loadSeen(context.home, agent.repository), {
      agent,
      keyring: current,
    });
    if (rollback !== undefined) throw rollback;
    if (generation > MAX_GENERATION)
      throw new MoltError('DAMAGED', `${keyringName(MAX_GENERATION)} leaves no room for a newer keyring`, {
        hint: 'molt verify',
      });
    const next = make(current, { generation, timeMs: context.clock.now() });
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (!(await storage.createOnce(keyringName(generation), [encodeKeyring(next)]))) continue;
    // A number may have been free because a change after it deleted it: then this keyring is old from birth.
    // oxlint-disable-next-line no-await-in-loop -- the same
    if ((await listKeyrings(storage)).at(-1) !== generation) continue;
    // oxlint-disable-next-line no-await-in-loop -- the last step
    await dropOutdated(change, next);
    // oxlint-disable-next-line no-await-in-loop -- the same
    await saveSeenKeyring(context.home, agent.repository, generation);
    return { slot: describeSlot(slot), generation, slots: next.slots.map(describeSlot) };
  }
  throw new MoltError('CONFLICT', 'other processes kept changing the keys', { hint: 'run the command again' });
}

/**
 * Deletes older generations that have a slot which was removed since, so that its secret opens nothing on this disk any more.
 * The others stay: they open with the same secrets, and a second copy may save the repository should the newest be damaged.
 */
export async function dropOutdated({ context, agent, storage, roots }: Change, written: Keyring): Promise<void> {
  const newest = await rereadKeyring(context, storage, agent, roots);
  if (newest.generation < written.generation) {
    throw new MoltError('IO', `the new keyring can't be read back from ${storage.label}`, { hint: 'molt verify' });
  }
  for (const generation of await listOutdated(storage, newest)) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- mostly one
      await storage.delete(keyringName(generation));
    } catch (error) {
      if (!(error instanceof MoltError)) throw error;
      context.reporter.warn(
        `${keyringName(generation)} opens with a removed key and can't be deleted: ${error.message}`,
      );
    }
  }
}

/** Lists older generations that have a slot which the newest keyring lacks. */
export async function listOutdated(storage: Storage, newest: Keyring): Promise<number[]> {
  const ids = new Set(newest.slots.map((slot) => slot.id));
  const outdated: number[] = [];
  for (const generation of await listKeyrings(storage)) {
    if (generation >= newest.generation) continue;
    // oxlint-disable-next-line no-await-in-loop -- a few small files
    const older = await readGeneration(storage, newest.repository, generation).catch((error: unknown) => {
      if (error instanceof MoltError) return undefined;
      throw error;
    });
    if (older?.slots.some((slot) => !ids.has(slot.id)) === true) outdated.push(generation);
  }
  return outdated;
}
