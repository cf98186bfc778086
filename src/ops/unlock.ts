// Which secret opens a repository when the device key does not.

import { parseRecoveryKey } from '../crypto/recovery-key.ts';
import type { OpsContext } from './context.ts';

/** Where the secret comes from. */
export interface UnlockSources {
  /** Returns the passphrase of a subject; asks for it if need be. */
  passphrase(subject: string): Promise<string>;
  /** The printed recovery key if it was given; it then goes before the passphrase. */
  readonly recoveryKey: string | undefined;
}

/** Returns the unlock function of a context. */
export function makeUnlock(sources: UnlockSources): OpsContext['unlock'] {
  const given = sources.recoveryKey?.trim() ?? '';
  return async (subject) =>
    given === ''
      ? { type: 'passphrase', passphrase: await sources.passphrase(subject) }
      : { type: 'recovery', key: parseRecoveryKey(given) };
}
