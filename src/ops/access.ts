// What opens recipient and exec slots: the identity file that the user named, and the commands that this machine's user gave.

import { parseIdentity } from '../crypto/identity.ts';
import { derivePublicKey } from '../crypto/sealed-box.ts';
import type { SecretSlot, SlotSecret } from '../crypto/slot.ts';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { systemFailure } from '../model/system-error.ts';
import type { OpsContext } from './context.ts';
import { makeCommandWrapper } from './exec-slot.ts';
import { readIfThere } from './home.ts';
import { findCommand } from './trust.ts';

/** Returns what this machine has for a recipient or exec slot, or undefined. A command is never taken from the keyring. */
export async function findAccess(
  { home, access }: OpsContext,
  repository: RepositoryId,
  slot: SecretSlot,
): Promise<SlotSecret | undefined> {
  if (slot.type === 'recipient' && access?.identityFile !== undefined) return readIdentity(access.identityFile);
  if (slot.type !== 'exec') return undefined;
  const command = access?.execCommand ?? (await findCommand(home, repository, slot.id));
  return command === undefined ? undefined : { type: 'exec', wrapper: makeCommandWrapper(command) };
}

/** Reads an identity file. @throws {MoltError} NOT_FOUND, IO, or DAMAGED when it holds none */
export async function readIdentity(path: string): Promise<Extract<SlotSecret, { type: 'recipient' }>> {
  const bytes = await readIfThere(path).catch((error: unknown) => {
    throw systemFailure(error, `cannot read the identity file "${path}"`, path);
  });
  if (bytes === undefined) throw new MoltError('NOT_FOUND', `there is no identity file "${path}"`);
  const privateKey = parseIdentity(bytes.toString('utf8'));
  return { type: 'recipient', privateKey, publicKey: await derivePublicKey(privateKey) };
}
