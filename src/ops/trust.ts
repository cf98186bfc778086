// What this machine's user vouched for: the fingerprint of a repository's root, and the commands of exec slots. A keyring that was
// copied from elsewhere can name neither, since anyone can seal a root of their own to a public key, or write a command into a file.

import { deriveFingerprint, type RootKeys } from '../crypto/roots.ts';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import type { OpsContext } from './context.ts';
import { readIfThere, type Home } from './home.ts';

/** Remembers that roots are the true ones. */
export async function rememberFingerprint(home: Home, repository: RepositoryId, roots: RootKeys): Promise<void> {
  const fingerprint = deriveFingerprint(roots);
  if ((await findText(home, repository, 'fingerprint')) === fingerprint) return;
  await writeText(home, repository, 'fingerprint', fingerprint);
}

/**
 * Checks the roots that a recipient or exec slot gave against the fingerprint that the user gave, or that is remembered.
 * @throws {MoltError} USAGE when there is none to check against, WRONG_KEY when it is another
 */
export async function checkFingerprint(
  { home, access }: OpsContext,
  repository: RepositoryId,
  roots: RootKeys,
): Promise<void> {
  const given = access?.fingerprint;
  const known = given ?? (await findText(home, repository, 'fingerprint'));
  if (known === undefined) {
    throw new MoltError('USAGE', 'the fingerprint of this repository is needed to open it here for the first time', {
      hint: 'set MOLT_FINGERPRINT to what molt init or the last molt key rotate printed: anyone can seal to a public key',
    });
  }
  if (plain(known) !== plain(deriveFingerprint(roots))) {
    throw new MoltError(
      'WRONG_KEY',
      'the root key has another fingerprint than the one known here: the keys were rotated, or this is a forgery',
      { hint: 'ask who rotated them for the new fingerprint, by a way that you trust, and set MOLT_FINGERPRINT to it' },
    );
  }
  if (given !== undefined) await rememberFingerprint(home, repository, roots);
}

/** Returns the command that this machine's user gave for an exec slot, or undefined. */
export async function findCommand(home: Home, repository: RepositoryId, slot: string): Promise<string | undefined> {
  return findText(home, repository, `exec-${slot}`);
}

/** Remembers a command that the user gave for an exec slot. */
export async function rememberCommand(
  home: Home,
  repository: RepositoryId,
  slot: string,
  command: string,
): Promise<void> {
  if ((await findCommand(home, repository, slot)) === command) return;
  await writeText(home, repository, `exec-${slot}`, command);
}

/** Says whether this machine's user accepted a pod of a repository, by the hash of what it would run. */
export async function isPodAccepted(home: Home, repository: RepositoryId, hash: string): Promise<boolean> {
  return (await findText(home, repository, `pod-${hash}`)) !== undefined;
}

/** Remembers that this machine's user accepted a pod. */
export async function rememberPod(home: Home, repository: RepositoryId, hash: string): Promise<void> {
  await writeText(home, repository, `pod-${hash}`, 'accepted');
}

async function findText(home: Home, repository: RepositoryId, name: string): Promise<string | undefined> {
  return (await readIfThere(home.trustFile(repository, name)))?.toString('utf8').replace(/\n$/, '');
}

async function writeText(home: Home, repository: RepositoryId, name: string, text: string): Promise<void> {
  await home.write(home.trustFile(repository, name), Buffer.from(`${text}\n`, 'utf8'), { replace: true });
}

function plain(fingerprint: string): string {
  return fingerprint.replace(/\s/g, '').toLowerCase();
}
