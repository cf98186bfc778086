// The generations of the keyring in a storage, keys/<6 digits> (FORMAT.md, "Keyring"): their names and which there are.

import type { Storage } from '../storage/storage.ts';

/** Returns the object name of a keyring. */
export function keyringName(generation: number): string {
  return `keys/${String(generation).padStart(6, '0')}`;
}

/** Lists the generations that a storage has, oldest first. Whether they are authentic shows when they are opened. */
export async function listKeyrings(storage: Storage): Promise<number[]> {
  const generations: number[] = [];
  for await (const { name } of storage.list('keys/')) {
    const digits = /^keys\/(\d{6})$/.exec(name)?.[1];
    if (digits !== undefined && Number(digits) > 0) generations.push(Number(digits));
  }
  return generations;
}

/** Returns the newest generation that a storage has, or undefined. */
export async function findNewestKeyring(storage: Storage): Promise<number | undefined> {
  return (await listKeyrings(storage)).at(-1);
}
