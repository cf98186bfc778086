// Takes a recovery key that was just made: into a new file that only its owner can read, or into memory to be shown once.

import { open, rm } from 'node:fs/promises';
import { isSystemError, MoltError } from '../model/error.ts';

/** Where a recovery key is kept until it is handed over. */
export interface RecoveryKeeper {
  /** Takes the key. @throws {MoltError} EXISTS or IO, with nothing written */
  take(text: string): Promise<void>;
  /** Returns the key, once taken. */
  text(): string | undefined;
  /** Removes the file again, when what the key opens did not come to be. */
  giveUp(): Promise<void>;
}

/**
 * Returns a keeper for a recovery key.
 * @param file absolute; undefined keeps the key in memory only
 */
export function keepRecoveryKey(file: string | undefined): RecoveryKeeper {
  let kept: string | undefined;
  let made = false;
  return {
    text: () => kept,
    async take(text) {
      kept = text;
      if (file === undefined) return;
      try {
        await using handle = await open(file, 'wx', 0o600);
        made = true;
        await handle.writeFile(`${text}\n`);
        await handle.sync();
      } catch (error) {
        if (isSystemError(error, 'EEXIST')) {
          throw new MoltError('EXISTS', `there is a file "${file}" already`, { hint: 'name a new file: a recovery key never replaces one', cause: error });
        }
        throw new MoltError('IO', `can't write the recovery key to "${file}"`, { cause: error });
      }
    },
    async giveUp() {
      if (made && file !== undefined) await rm(file, { force: true });
    },
  };
}
