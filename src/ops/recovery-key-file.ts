// The file that a recovery key is put into: new, and for its owner's eyes only.

import { unlink } from 'node:fs/promises';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { writeNewFile } from '../storage/whole-file.ts';

/**
 * Writes a printed recovery key to a new file, 0600, and flushes it to the disk.
 * @throws {MoltError} EXISTS when the file is there, IO when it can't be written
 */
export async function writeRecoveryKeyFile(path: string, text: string): Promise<void> {
  try {
    await writeNewFile(path, Buffer.from(`${text}\n`, 'utf8'));
  } catch (error) {
    if (isSystemError(error, 'EEXIST')) {
      throw new MoltError('EXISTS', `"${path}" is there already`, {
        hint: 'name a new file: a recovery key is never written over another',
        cause: error,
      });
    }
    throw systemFailure(error, `cannot write "${path}"`, path);
  }
}

/** Deletes the file of a recovery key that came to nothing, so that nobody relies on it. */
export async function dropRecoveryKeyFile(path: string): Promise<void> {
  await unlink(path);
}
