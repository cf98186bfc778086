// Opens a repository's keys: the newest authentic keyring, by this machine's device key or by a secret that is asked for.

import type { RootKeys } from '../crypto/roots.ts';
import { isSecretSlot, openSlot, type SlotSecret } from '../crypto/slot.ts';
import { checkKeyringMac, openKeyring, openKeyringWithRoot, parseKeyring, type Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import { readFormat } from '../repo/repository.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import { findAccess } from './access.ts';
import type { Agent } from './home.ts';
import { checkFingerprint, rememberCommand, rememberFingerprint } from './trust.ts';

/** A keyring and what it holds. */
export interface OpenedKeyring {
  readonly keyring: Keyring;
  readonly roots: RootKeys;
}

/**
 * Opens the keys of an agent's repository.
 * @throws {MoltError} WRONG_REPOSITORY, WRONG_PASSPHRASE, or DAMAGED when no keyring can be used
 */
export async function openKeys(context: OpsContext, storage: Storage, agent: Agent): Promise<OpenedKeyring> {
  await checkRepository(storage, agent);
  const device = await context.home.findDeviceKey();
  let given: SlotSecret | undefined;
  return takeNewestKeyring(context, storage, agent.repository, async (keyring) => {
    const byDevice = device === undefined ? undefined : await tryOpen(keyring, { type: 'device', key: device });
    if (byDevice !== undefined) return { keyring, roots: byDevice };
    const byAccess = await openByAccess(context, agent, keyring);
    if (byAccess !== undefined) return { keyring, roots: byAccess };
    given ??= await context.unlock(await nameSubject(context, storage, agent));
    const roots = await openKeyring(keyring, given);
    // Nobody else could have wrapped a root under this secret: whatever it opens is the user's own.
    if (hasForeignSlots(keyring)) await rememberFingerprint(context.home, agent.repository, roots);
    return { keyring, roots };
  });
}

/** An agent that is not here yet has no name but its place. */
async function nameSubject({ home }: OpsContext, storage: Storage, { label, repository }: Agent): Promise<string> {
  const isHere = (await home.findAgent(label))?.repository === repository;
  return isHere ? `agent "${label}"` : `the agent in ${storage.label}`;
}

/**
 * Reads the newest keyring without opening it: what it says is not authentic.
 * @throws {MoltError} WRONG_REPOSITORY, or DAMAGED when no keyring can be used
 */
export async function readKeyring(context: OpsContext, storage: Storage, agent: Agent): Promise<Keyring> {
  await checkRepository(storage, agent);
  return takeNewestKeyring(context, storage, agent.repository, async (keyring) => keyring);
}

/**
 * Reads the newest keyring again, when its roots are known.
 * @throws {MoltError} WRONG_KEY when it has other roots by now
 */
export async function rereadKeyring(
  context: OpsContext,
  storage: Storage,
  agent: Agent,
  roots: RootKeys,
): Promise<Keyring> {
  return takeNewestKeyring(context, storage, agent.repository, async (keyring) => {
    checkKeyringMac(keyring, roots);
    return keyring;
  });
}

/**
 * Opens the keys of another storage of a repository, by the roots that are known if they are still its own: then nothing is asked for.
 * @throws {MoltError} what openKeys throws
 */
export async function openKeysElsewhere(
  context: OpsContext,
  storage: Storage,
  agent: Agent,
  roots: RootKeys,
): Promise<OpenedKeyring> {
  await checkRepository(storage, agent);
  try {
    return { keyring: await rereadKeyring(context, storage, agent, roots), roots };
  } catch (error) {
    if (!isMoltError(error, 'WRONG_KEY')) throw error;
    return openKeys(context, storage, agent);
  }
}

/** Reads one generation; undefined if it is not there. @throws {MoltError} DAMAGED and its kin */
export async function readGeneration(
  storage: Storage,
  repository: RepositoryId,
  generation: number,
): Promise<Keyring | undefined> {
  const name = keyringName(generation);
  const bytes = await storage.read(name);
  if (bytes === undefined) return undefined;
  const keyring = parseKeyring(bytes, repository);
  if (keyring.generation === generation) return keyring;
  throw new MoltError('RENAMED', `${name} is keyring ${keyring.generation} under another name`);
}

/** Opens by a private key or a command, where there is one; what comes out must have the fingerprint that is known or given. */
async function openByAccess(context: OpsContext, agent: Agent, keyring: Keyring): Promise<RootKeys | undefined> {
  for (const slot of keyring.slots.filter(isSecretSlot)) {
    // oxlint-disable-next-line no-await-in-loop -- the first that opens ends it
    const secret = await findAccess(context, agent.repository, slot);
    if (secret === undefined) continue;
    let root: Buffer | undefined;
    try {
      // oxlint-disable-next-line no-await-in-loop -- the same
      root = await openSlot(slot, agent.repository, secret);
    } catch (error) {
      // A key service that does not answer is no reason to refuse a passphrase.
      if (secret.type !== 'exec' || !isMoltError(error, 'IO')) throw error;
      context.reporter.warn(error.message);
    }
    if (root === undefined) continue;
    const roots = openKeyringWithRoot(keyring, root);
    // oxlint-disable-next-line no-await-in-loop -- the same
    await checkFingerprint(context, agent.repository, roots);
    if (slot.type === 'exec' && context.access?.execCommand !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      await rememberCommand(context.home, agent.repository, slot.id, context.access.execCommand);
    }
    return roots;
  }
  return undefined;
}

function hasForeignSlots({ slots }: Keyring): boolean {
  return slots.some(({ type }) => type === 'recipient' || type === 'exec');
}

async function checkRepository(storage: Storage, agent: Agent): Promise<void> {
  const { repositoryId } = await readFormat(storage);
  if (repositoryId === agent.repository) return;
  throw new MoltError(
    'WRONG_REPOSITORY',
    `${storage.label} holds repository ${repositoryId}, not the one of agent "${agent.label}"`,
  );
}

/**
 * Gives the newest keyring to `take`. One that is damaged, or that `take` finds not to be authentic, is reported and passed over:
 * an older one has the same roots, or earlier ones, and to have been able to read them is no secret any more.
 */
async function takeNewestKeyring<T>(
  context: OpsContext,
  storage: Storage,
  repository: RepositoryId,
  take: (keyring: Keyring) => Promise<T>,
): Promise<T> {
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- again only when another process deleted what was listed
    const generations = await listKeyrings(storage);
    let failure: MoltError | undefined;
    for (const generation of generations.toReversed()) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the newest, nearly always
        const keyring = await readGeneration(storage, repository, generation);
        // oxlint-disable-next-line no-await-in-loop -- the same
        if (keyring !== undefined) return await take(keyring);
      } catch (error) {
        if (!isMoltError(error, 'DAMAGED', 'RENAMED', 'WRONG_REPOSITORY', 'HOSTILE')) throw error;
        context.reporter.warn(`${keyringName(generation)} can't be used: ${error.message}`);
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
    if (generations.length === 0) {
      throw new MoltError('DAMAGED', `${storage.label} has no keyring`, {
        hint: 'without one nothing can be read: bring back its keys/ folder from a copy',
      });
    }
  }
}

async function tryOpen(keyring: Keyring, secret: SlotSecret): Promise<RootKeys | undefined> {
  if (!keyring.slots.some((slot) => slot.type === secret.type)) return undefined;
  try {
    return await openKeyring(keyring, secret);
  } catch (error) {
    if (isMoltError(error, 'WRONG_PASSPHRASE')) return undefined;
    throw error;
  }
}
