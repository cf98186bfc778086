// Rotates the keys of a repository: a fresh root in a new epoch, wrapped anew for all who can be let in without being there. Who can't
// be is named first. K_id and K_cut stay, so that what was saved keeps its ids (FORMAT.md, "Keys").

import { encodeRecoveryKey } from '../crypto/recovery-key.ts';
import { deriveFingerprint, rotateRootKeys } from '../crypto/roots.ts';
import { createSlot, isSecretSlot, openSlot, type SecretSlot, type Slot, type SlotSecret } from '../crypto/slot.ts';
import { createKeyring, encodeKeyring, type Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import type { Storage } from '../storage/storage.ts';
import { findAccess } from './access.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { describeSlot, dropOutdated, withStorage, type KeySlot } from './key.ts';
import { openKeys, rereadKeyring, type OpenedKeyring } from './open-keys.ts';
import { rememberFingerprint } from './trust.ts';

const RECOVERY_LABEL = 'recovery key from rotation';

/** A slot that does not survive, and why. */
export interface LostSlot extends KeySlot {
  readonly reason: string;
}

/** What a rotation will do. */
export interface RotationPlan {
  readonly kept: readonly KeySlot[];
  /** Recovery keys, in whose place the new one comes. */
  readonly replaced: readonly KeySlot[];
  readonly lost: readonly LostSlot[];
}

/** What a rotation asks for; what any of these throws stops it with nothing changed. */
export interface RotationOptions {
  /** Returns the passphrase, or undefined to let its slot go; asked only where there is such a slot. */
  readonly passphrase: () => Promise<string | undefined>;
  /** Says whether the plan may be carried out; asked always. */
  readonly agree: (plan: RotationPlan) => Promise<boolean>;
  /** Takes the new printed recovery key before anything depends on it. */
  readonly keep: (text: string) => Promise<void>;
}

/** What a rotation came to. */
export interface Rotation extends RotationPlan {
  readonly generation: number;
  readonly epoch: number;
  /** Of the new root. */
  readonly fingerprint: string;
  readonly slots: readonly KeySlot[];
}

interface Carried {
  readonly slot: SecretSlot;
  readonly secret: SlotSecret;
}

/**
 * Rotates the keys of an agent's repository.
 * @throws {MoltError} WRONG_PASSPHRASE when the passphrase opens no slot, INTERRUPTED when the user does not agree, CONFLICT when
 * another process changed the keys meanwhile; nothing was changed then
 */
export async function rotateKeys(
  context: OpsContext,
  label: string | undefined,
  options: RotationOptions,
): Promise<Rotation> {
  return withStorage(context, label, async (agent, storage) => {
    const opened = await openKeys(context, storage, agent);
    const { carried, plan } = await planRotation(context, agent, opened.keyring, options);
    if (!(await options.agree(plan))) throw new MoltError('INTERRUPTED', 'the keys were not rotated');
    return applyRotation({ context, agent, storage }, opened, { carried, plan, keep: options.keep });
  });
}

async function planRotation(
  context: OpsContext,
  agent: Agent,
  keyring: Keyring,
  options: RotationOptions,
): Promise<{ carried: Carried[]; plan: RotationPlan }> {
  const device = await context.home.findDeviceKey();
  const hasPassphrase = keyring.slots.some(({ type }) => type === 'passphrase');
  const passphrase = hasPassphrase ? await options.passphrase() : undefined;
  const find = async (slot: SecretSlot): Promise<SlotSecret | undefined> => {
    if (slot.type === 'passphrase') return passphrase === undefined ? undefined : { type: 'passphrase', passphrase };
    if (slot.type === 'device') return device === undefined ? undefined : { type: 'device', key: device };
    return findAccess(context, agent.repository, slot);
  };
  const carried: Carried[] = [];
  const lost: LostSlot[] = [];
  for (const slot of keyring.slots) {
    if (slot.type === 'recovery') continue;
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    const secret = isSecretSlot(slot) ? await carry(context, slot, agent, find) : undefined;
    if (isSecretSlot(slot) && secret !== undefined) carried.push({ slot, secret });
    else lost.push({ ...describeSlot(slot), reason: describeLoss(slot, passphrase !== undefined) });
  }
  if (passphrase !== undefined && !carried.some(({ slot }) => slot.type === 'passphrase')) {
    throw new MoltError('WRONG_PASSPHRASE', 'no slot opens with this passphrase, and the keys were not rotated');
  }
  const replaced = keyring.slots.filter(({ type }) => type === 'recovery').map(describeSlot);
  return { carried, plan: { kept: carried.map(({ slot }) => describeSlot(slot)), replaced, lost } };
}

/** Returns the secret under which a slot is made anew, once it is proven to open the old one; a recipient's public key is all it takes. */
async function carry(
  context: OpsContext,
  slot: SecretSlot,
  agent: Agent,
  find: (slot: SecretSlot) => Promise<SlotSecret | undefined>,
): Promise<SlotSecret | undefined> {
  if (slot.recipient !== undefined) {
    return { type: 'recipient', publicKey: Buffer.from(slot.recipient.publicKey, 'hex') };
  }
  const secret = await find(slot);
  if (secret === undefined) return undefined;
  try {
    return (await openSlot(slot, agent.repository, secret)) === undefined ? undefined : secret;
  } catch (error) {
    if (secret.type !== 'exec' || !isMoltError(error, 'IO')) throw error;
    context.reporter.warn(`slot ${slot.id.slice(0, 8)}: ${error.message}`);
    return undefined;
  }
}

function describeLoss(slot: Slot, isPassphraseGiven: boolean): string {
  if (slot.type === 'device') return 'the key of another machine; there: molt key add device';
  if (slot.type === 'passphrase') return isPassphraseGiven ? 'another passphrase' : 'its passphrase was not given';
  if (slot.type === 'exec') return 'its command is not known here, or does not answer';
  return 'of a type that this molt does not know';
}

async function applyRotation(
  place: { readonly context: OpsContext; readonly agent: Agent; readonly storage: Storage },
  opened: OpenedKeyring,
  { carried, plan, keep }: { carried: readonly Carried[]; plan: RotationPlan; keep: RotationOptions['keep'] },
): Promise<Rotation> {
  const { context, agent, storage } = place;
  const { random, clock, argon2 } = context;
  const roots = rotateRootKeys(opened.roots, random);
  const common = { timeMs: clock.now(), random, ...(argon2 !== undefined && { argon2 }) };
  const slots: SecretSlot[] = [];
  for (const { slot, secret } of carried) {
    // The id stays, since commands and people know the slot by it.
    const options = { ...common, label: slot.label, id: slot.id };
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    slots.push(await createSlot(roots, agent.repository, secret, options));
  }
  const key = random.bytes(32);
  await keep(encodeRecoveryKey(key));
  slots.push(
    await createSlot(roots, agent.repository, { type: 'recovery', key }, { ...common, label: RECOVERY_LABEL }),
  );
  // Listed first: what another process writes after this takes the number that is tried below.
  const generation = ((await listKeyrings(storage)).at(-1) ?? 0) + 1;
  await refuseChanged(place, opened);
  const next = createKeyring(roots, { repository: agent.repository, generation, slots, timeMs: clock.now(), random });
  if (!(await storage.createOnce(keyringName(generation), [encodeKeyring(next)]))) throw changedMeanwhile();
  if ((await listKeyrings(storage)).at(-1) !== generation) throw changedMeanwhile();
  // From here on the new recovery key counts: whatever fails now is told, and undoes nothing.
  try {
    await rememberFingerprint(context.home, agent.repository, roots);
    await dropOutdated({ context, agent, storage, roots }, next);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    context.reporter.warn(`the keys were rotated, but older keyrings may be left: ${error.message}`);
  }
  const fingerprint = deriveFingerprint(roots);
  return { ...plan, generation, epoch: roots.epoch, fingerprint, slots: slots.map(describeSlot) };
}

/** What was planned on an older keyring would lock out who was added since, or let in who was removed. */
async function refuseChanged(
  { context, agent, storage }: { context: OpsContext; agent: Agent; storage: Storage },
  { keyring, roots }: OpenedKeyring,
): Promise<void> {
  const current = await rereadKeyring(context, storage, agent, roots).catch((error: unknown) => {
    if (isMoltError(error, 'WRONG_KEY')) throw changedMeanwhile();
    throw error;
  });
  if (current.generation !== keyring.generation) throw changedMeanwhile();
}

function changedMeanwhile(): MoltError {
  return new MoltError('CONFLICT', 'another process changed the keys meanwhile, and they were not rotated here', {
    hint: 'run the command again',
  });
}
