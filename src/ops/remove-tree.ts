// Removes a tree of files that molt made itself.

import { chmod, readdir, rm } from 'node:fs/promises';
import { isSystemError } from '../model/error.ts';

/** Removes a tree, also where its folders' modes forbid it. */
export async function removeTree(dir: string): Promise<void> {
  try {
    await rm(dir, { recursive: true, force: true });
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw error;
    await allowRemoval(Buffer.from(dir));
    await rm(dir, { recursive: true, force: true });
  }
}

async function allowRemoval(dir: Buffer): Promise<void> {
  await chmod(dir, 0o700);
  for (const entry of await readdir(dir, { withFileTypes: true, encoding: 'buffer' })) {
    // oxlint-disable-next-line no-await-in-loop -- one folder after the other
    if (entry.isDirectory()) await allowRemoval(Buffer.concat([dir, Buffer.from('/'), entry.name]));
  }
}
