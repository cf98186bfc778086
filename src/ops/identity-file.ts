// Makes the file of an identity: a new private key, for its owner's eyes only.

import { encodeIdentity, encodePublicKey } from '../crypto/identity.ts';
import { derivePublicKey } from '../crypto/sealed-box.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import type { Random } from '../model/ports.ts';
import { systemFailure } from '../model/system-error.ts';
import { readIdentity } from './access.ts';
import { writeNewFile } from '../storage/whole-file.ts';

/** Makes an identity in a new file, 0600, and returns its public key. @throws {MoltError} EXISTS or IO */
export async function makeIdentity(path: string, random: Random): Promise<string> {
  const privateKey = random.bytes(32);
  const publicKey = await derivePublicKey(privateKey);
  try {
    await writeNewFile(path, Buffer.from(encodeIdentity(privateKey), 'utf8'));
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw systemFailure(error, `cannot write "${path}"`, path);
    throw new MoltError('EXISTS', `"${path}" is there already`, {
      hint: 'an identity is never written over; --show prints its public key',
      cause: error,
    });
  }
  return encodePublicKey(publicKey);
}

/** Returns the public key of an identity file. */
export async function showIdentity(path: string): Promise<string> {
  return encodePublicKey((await readIdentity(path)).publicKey);
}
