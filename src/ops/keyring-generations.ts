// The keyrings of one storage as they follow each other, and what two storages of a repository last had in common of them. That is
// remembered beside each remote, because a removal or rotation deletes older keyrings on this disk.

import { hash } from 'node:crypto';
import type { RootKeys } from '../crypto/roots.ts';
import { checkKeyringMac, encodeKeyring, type Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import type { Storage } from '../storage/storage.ts';
import { readGeneration } from './open-keys.ts';

const MAX_GENERATION = 999_999;

/** A keyring of a remote, all changes of which up to then are in the keyring here. */
export interface KeyringBase {
  readonly generation: number;
  /** What tells its keys from others: see `contentHash`. */
  readonly hash: string;
  readonly epoch: number;
  /** The ids of its slots. */
  readonly slots: readonly string[];
  /** The keys that were being sent there, by their hash: they arrived if the remote has them, whatever became of the answer. */
  readonly sending?: string | undefined;
}

/** The keyrings of one storage. */
export interface Generations {
  /** The numbers that are taken, by whatever. */
  readonly taken: ReadonlySet<number>;
  /** Those that the roots at hand prove, oldest first. */
  readonly proven: readonly Keyring[];
  /** Well-formed ones that they don't prove: of other roots, or forged. */
  readonly unproven: readonly Keyring[];
}

/** Reads all keyrings of a storage. What is no keyring of the repository is passed over: opening it reports that. */
export async function readGenerations(
  storage: Storage,
  repository: RepositoryId,
  roots: RootKeys,
): Promise<Generations> {
  const numbers = await listKeyrings(storage);
  const proven: Keyring[] = [];
  const unproven: Keyring[] = [];
  for (const number of numbers) {
    // oxlint-disable-next-line no-await-in-loop -- few, and local but for the first time
    const keyring = await readGeneration(storage, repository, number).catch((error: unknown) => {
      if (isMoltError(error, 'DAMAGED', 'RENAMED', 'WRONG_REPOSITORY', 'HOSTILE')) return undefined;
      throw error;
    });
    if (keyring !== undefined) (isProven(keyring, roots) ? proven : unproven).push(keyring);
  }
  return { taken: new Set(numbers), proven, unproven };
}

/** Returns the number above all that are taken: what comes next on this machine, whose processes all see the same list. */
export function numberAbove({ taken }: Generations): number {
  return checkNumber(Math.max(0, ...taken) + 1);
}

/** Returns the first free number behind the newest keyring: writers that know of different forged numbers still meet there. */
export function numberBehind({ proven, taken }: Generations): number {
  let number = (proven.at(-1)?.generation ?? 0) + 1;
  while (taken.has(number)) number += 1;
  return checkNumber(number);
}

function checkNumber(number: number): number {
  if (number <= MAX_GENERATION) return number;
  throw new MoltError('DAMAGED', `${keyringName(MAX_GENERATION)} leaves no room for a newer keyring`, {
    hint: 'molt verify',
  });
}

/** Returns what to remember of a keyring. */
export function baseOf(keyring: Keyring): KeyringBase {
  const { generation, epoch, slots } = keyring;
  return { generation, hash: contentHash(keyring), epoch, slots: slots.map(({ id }) => id) };
}

/**
 * Returns the newest keyring of the other side that this side's follows from: one that both have, or the one that is remembered.
 * Undefined where neither tells.
 */
export function findBase(
  ours: Generations,
  theirs: Generations,
  remembered: KeyringBase | undefined,
): KeyringBase | undefined {
  const common = theirs.proven.findLast(({ mac }) => ours.proven.some((keyring) => keyring.mac === mac));
  const { generation = 0, sending } = remembered ?? {};
  const arrived =
    sending === undefined
      ? undefined
      : theirs.proven.find((keyring) => keyring.generation > generation && contentHash(keyring) === sending);
  const found = [common, arrived].filter((keyring) => keyring !== undefined && keyring.generation > generation);
  const newest = found.toSorted((a, b) => (a?.generation ?? 0) - (b?.generation ?? 0)).at(-1);
  return newest === undefined ? remembered : baseOf(newest);
}

/** Reads both sides' keyrings and returns what to remember: see `findBase`. */
export async function readBase(
  here: Storage,
  there: Storage,
  repository: RepositoryId,
  { roots, known }: { readonly roots: RootKeys; readonly known: KeyringBase | undefined },
): Promise<KeyringBase | undefined> {
  const ours = await readGenerations(here, repository, roots);
  return findBase(ours, await readGenerations(there, repository, roots), known);
}

/** Returns the SHA-256 of what a keyring holds, hex, whatever its number is and when it was made: each storage numbers its own. */
export function contentHash(keyring: Keyring): string {
  return hash('sha256', encodeKeyring({ ...keyring, generation: 0, created: '', mac: '' }), 'hex');
}

/** Says whether two keyrings hold the same keys. */
export function isSame(one: Keyring, other: Keyring): boolean {
  return contentHash(one) === contentHash(other);
}

function isProven(keyring: Keyring, roots: RootKeys): boolean {
  try {
    checkKeyringMac(keyring, roots);
    return true;
  } catch (error) {
    if (isMoltError(error, 'DAMAGED', 'WRONG_KEY')) return false;
    throw error;
  }
}
