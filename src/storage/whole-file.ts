// Small files that are there whole or as they were before, whatever happens meanwhile.

import { link, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSystemError } from '../model/error.ts';
import { syncFolder } from './durable.ts';
import { makeRoot } from './folders.ts';
import { newMark } from './owner.ts';

/**
 * Writes a small file, 0600, its folders 0700: it is there whole and durable, or as it was before.
 * @param options.tempDir a folder on the same disk, whose files of dead processes are swept
 * @throws EEXIST when it is there and may not be replaced, and what the system refuses
 */
export async function writeWholeFile(
  path: string,
  bytes: Buffer,
  { tempDir, replace }: { readonly tempDir: string; readonly replace: boolean },
): Promise<void> {
  const temp = join(tempDir, `${newMark()}.tmp`);
  makeRoot(dirname(path));
  makeRoot(tempDir);
  try {
    await writeNewFile(temp, bytes);
    await (replace ? rename(temp, path) : nameOnce(temp, path));
  } finally {
    await rm(temp, { force: true });
  }
  await syncOrUndo(path, replace);
}

/**
 * Writes a small new file, 0600, and makes it durable. Killed in the middle it is there in part: only for what nobody reads before
 * this returns.
 * @throws EEXIST when it is there
 */
export async function writeNewFile(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  syncFolder(dirname(path));
}

/** Makes a file's name durable. A new one that can't be made so goes away again: its maker hears that it was not made. */
async function syncOrUndo(path: string, replaced: boolean): Promise<void> {
  try {
    syncFolder(dirname(path));
  } catch (error) {
    if (!replaced) await rm(path, { force: true });
    throw error;
  }
}

/** Gives a written file its name only if nothing has it. @throws EEXIST */
async function nameOnce(temp: string, path: string): Promise<void> {
  try {
    await link(temp, path);
  } catch (error) {
    if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
    // A file system without hard links.
    const isTaken = await lstat(path).then(
      () => true,
      () => false,
    );
    if (isTaken) throw Object.assign(new Error(`${path} is there already`), { code: 'EEXIST' });
    await rename(temp, path);
  }
}
