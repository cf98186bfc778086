// Tells a storage that fails from content that is not what it should be: only the second may be passed over as a hole or a bad cache.

import { isMoltError } from '../model/error.ts';

/** Says whether an error means that the storage failed, so that it says nothing about what is stored. */
export function isStorageFailure(error: unknown): boolean {
  return isMoltError(error, 'IO', 'REMOTE_UNREACHABLE', 'REMOTE_REFUSED', 'INTERRUPTED');
}

/** Returns what some work comes to, or undefined if what it reads is missing or damaged. */
export async function unlessDamaged<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Says whether an error means that what is stored is missing, damaged or not what it should be. */
export function isDamage(error: unknown): boolean {
  return isMoltError(error) && !isStorageFailure(error);
}
