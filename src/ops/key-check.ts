// Checks the keys of a repository: which slots open with what is at hand, whether the keyring is authentic, and who gets in when this
// machine dies. A backup that nobody can open is none.

import { parseRecoveryKey } from '../crypto/recovery-key.ts';
import { deriveFingerprint, type RootKeys } from '../crypto/roots.ts';
import { isSecretSlot, openSlot, type Slot, type SlotSecret } from '../crypto/slot.ts';
import { openKeyringWithRoot } from '../format/keyring.ts';
import type { RepositoryId } from '../model/ids.ts';
import { isMoltError } from '../model/error.ts';
import { findAccess } from './access.ts';
import type { OpsContext } from './context.ts';
import { describeSlot, listOutdated, withStorage, type KeySlot } from './key.ts';
import { readKeyring } from './open-keys.ts';
import { checkFingerprint } from './trust.ts';

/** What is at hand beside this machine's device key. */
export interface GivenSecrets {
  readonly passphrase?: string | undefined;
  /** As it was printed, or as a person typed it. */
  readonly recoveryKey?: string | undefined;
}

/** A slot, and whether it opens; undefined where nothing of its type was at hand. */
export interface CheckedSlot extends KeySlot {
  readonly opens: boolean | undefined;
}

/** What the check found. */
export interface KeyCheck {
  readonly agent: string;
  readonly repository: RepositoryId;
  readonly generation: number;
  readonly epoch: number;
  readonly created: string;
  /** The MAC holds; undefined when no slot opened, so that it could not be checked. */
  readonly authentic: true | undefined;
  /** Of the root key, as `molt init` printed it; undefined when no slot opened. */
  readonly fingerprint: string | undefined;
  readonly slots: readonly CheckedSlot[];
  /** Types of secret that were at hand and opened nothing. */
  readonly useless: readonly SlotSecret['type'][];
  /** Older generations on this disk that still open with a key that was removed. */
  readonly outdated: readonly number[];
}

/**
 * Checks the keys of an agent's repository.
 * @throws {MoltError} DAMAGED when the keyring is not authentic, USAGE when the recovery key is mistyped
 */
export async function checkKeys(
  context: OpsContext,
  label: string | undefined,
  given: GivenSecrets,
): Promise<KeyCheck> {
  const secrets = await gatherSecrets(context, given);
  return withStorage(context, label, async (agent, storage) => {
    const keyring = await readKeyring(context, storage, agent);
    const slots: CheckedSlot[] = [];
    const useful = new Set<SlotSecret['type']>();
    let roots: RootKeys | undefined;
    let isProven = false;
    for (const slot of keyring.slots) {
      const secret = isSecretSlot(slot)
        ? // oxlint-disable-next-line no-await-in-loop -- the same
          (secrets.get(slot.type) ?? (await findAccess(context, agent.repository, slot)))
        : undefined;
      // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
      const root = secret === undefined ? undefined : await tryOpenSlot(context, slot, keyring.repository, secret);
      if (root !== undefined) {
        roots = openKeyringWithRoot(keyring, root);
        isProven ||= secret?.type !== 'recipient' && secret?.type !== 'exec';
        if (secret !== undefined) useful.add(secret.type);
      }
      slots.push({ ...describeSlot(slot), opens: secret === undefined ? undefined : root !== undefined });
    }
    if (roots !== undefined && !isProven) await checkFingerprint(context, agent.repository, roots);
    const { repository, generation, epoch, created } = keyring;
    return {
      agent: agent.label,
      repository,
      generation,
      epoch,
      created,
      authentic: roots === undefined ? undefined : true,
      fingerprint: roots === undefined ? undefined : deriveFingerprint(roots),
      slots,
      useless: [...secrets.keys()].filter((type) => !useful.has(type)),
      outdated: await listOutdated(storage, keyring),
    };
  });
}

async function tryOpenSlot(
  context: OpsContext,
  slot: Slot,
  repository: RepositoryId,
  secret: SlotSecret,
): Promise<Buffer | undefined> {
  if (!isSecretSlot(slot)) return undefined;
  try {
    return await openSlot(slot, repository, secret);
  } catch (error) {
    if (secret.type !== 'exec' || !isMoltError(error, 'IO')) throw error;
    context.reporter.warn(`slot ${slot.id.slice(0, 8)}: ${error.message}`);
    return undefined;
  }
}

async function gatherSecrets(context: OpsContext, given: GivenSecrets): Promise<Map<SlotSecret['type'], SlotSecret>> {
  const secrets = new Map<SlotSecret['type'], SlotSecret>();
  const device = await context.home.findDeviceKey();
  if (device !== undefined) secrets.set('device', { type: 'device', key: device });
  if (given.recoveryKey !== undefined)
    secrets.set('recovery', { type: 'recovery', key: parseRecoveryKey(given.recoveryKey) });
  if (given.passphrase !== undefined) secrets.set('passphrase', { type: 'passphrase', passphrase: given.passphrase });
  return secrets;
}
