// Opens a repository's keys: the newest authentic keyring, by this machine's device key or by a secret that is asked for.

import type { RootKeys } from '../crypto/roots.ts';
import type { SlotSecret } from '../crypto/slot.ts';
import { checkKeyringMac, openKeyring, parseKeyring, type Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import { readFormat } from '../repo/repository.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';

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
    given ??= await context.unlock(`agent "${agent.label}"`);
    return { keyring, roots: await openKeyring(keyring, given) };
  });
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
