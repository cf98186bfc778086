// Where secrets come from: a file, the environment or a hidden prompt; never an argument, which other users of the machine can see.

import { open } from 'node:fs/promises';
import { isSystemError, MoltError } from '../model/error.ts';
import type { Prompt } from './prompt.ts';

/** What secrets are read from. */
export interface SecretSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The value of --passphrase-file. */
  readonly passphraseFile: string | undefined;
  /** Undefined where there is no terminal. */
  readonly prompt: Prompt | undefined;
}

/** Gives a command the secrets that it needs. */
export interface Secrets {
  /**
   * Returns the passphrase of something that exists.
   * @throws {MoltError} USAGE when none is given and nobody can be asked
   */
  passphrase(subject: string): Promise<string>;
  /**
   * Returns the passphrase for something new: from the file if one is named here; on a terminal it is asked for twice.
   * @param hint what helps where nobody can be asked
   * @throws {MoltError} USAGE when none is given and nobody can be asked
   */
  newPassphrase(subject: string, file?: string, hint?: string): Promise<string>;
  /** Returns a passphrase that is given by file or environment, or undefined; never asks. */
  findPassphrase(): Promise<string | undefined>;
  /**
   * Returns a recovery key: from the file, else from MOLT_RECOVERY_KEY, else asked for. Spaces around it are dropped.
   * @throws {MoltError} USAGE when none is given and nobody can be asked
   */
  recoveryKey(file?: string): Promise<string>;
}

const MAX_SECRET_BYTES = 4096;
const HINT = 'set MOLT_PASSPHRASE, or give --passphrase-file FILE';

/** Returns the secrets of these sources: the file first, then the environment, then the prompt. */
export function createSecrets({ env, passphraseFile, prompt }: SecretSources): Secrets {
  async function findPassphrase(): Promise<string | undefined> {
    if (passphraseFile !== undefined) return readSecret(passphraseFile, 'passphrase');
    return env['MOLT_PASSPHRASE'] || undefined;
  }
  return {
    findPassphrase,
    async passphrase(subject) {
      const given = await findPassphrase();
      if (given !== undefined) return given;
      if (prompt === undefined) throw new MoltError('USAGE', `a passphrase is needed for ${subject}`, { hint: HINT });
      return prompt.hidden(`Passphrase for ${subject}:`, isFilled);
    },
    async newPassphrase(subject, file, hint = HINT) {
      const given = file === undefined ? await findPassphrase() : await readSecret(file, 'passphrase');
      if (given !== undefined) return given;
      if (prompt === undefined) throw new MoltError('USAGE', `a new passphrase is needed for ${subject}`, { hint });
      const passphrase = await prompt.hidden(`New passphrase for ${subject}:`, isFilled);
      await prompt.hidden('Once more:', (again) => again === passphrase || 'That is not the same passphrase');
      return passphrase;
    },
    async recoveryKey(file) {
      if (file !== undefined) return (await readSecret(file, 'recovery key')).trim();
      const given = env['MOLT_RECOVERY_KEY']?.trim();
      if (given) return given;
      if (prompt === undefined) {
        throw new MoltError('USAGE', 'a recovery key is needed', {
          hint: 'set MOLT_RECOVERY_KEY, or give --recovery-key-file FILE',
        });
      }
      return (await prompt.hidden('Recovery key:', isFilled)).trim();
    },
  };
}

function isFilled(answer: string): true | string {
  return answer.trim() !== '' || 'It must not be empty';
}

/** Reads a secret from a file or pipe; one line end after it is not part of it. */
export async function readSecret(file: string, what: string): Promise<string> {
  const bytes = await readStart(file, MAX_SECRET_BYTES + 1).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR', 'EPERM')) {
      throw new MoltError('USAGE', `can't read the ${what} file '${file}' (${error.code})`, { cause: error });
    }
    throw error;
  });
  if (bytes.length > MAX_SECRET_BYTES)
    throw new MoltError('USAGE', `the ${what} file '${file}' is over ${MAX_SECRET_BYTES} bytes`);
  const secret = bytes.toString('utf8').replace(/\r?\n$/, '');
  if (secret.trim() === '') throw new MoltError('USAGE', `the ${what} file '${file}' is empty`);
  if (/[\r\n]/.test(secret)) throw new MoltError('USAGE', `the ${what} file '${file}' has more than one line`);
  return secret;
}

async function readStart(file: string, maxBytes: number): Promise<Buffer> {
  await using handle = await open(file, 'r');
  const buffer = Buffer.alloc(maxBytes);
  let length = 0;
  // A pipe, as <(pass show molt) makes, gives its bytes in pieces.
  while (length < maxBytes) {
    // oxlint-disable-next-line no-await-in-loop -- each read begins where the last one ended
    const { bytesRead } = await handle.read(buffer, length, maxBytes - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}
