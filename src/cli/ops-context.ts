// What an operation runs with, made from what a command runs with.

import { homedir } from 'node:os';
import { resolve } from 'node:path';
import type { OpsContext } from '../ops/context.ts';
import { Home } from '../ops/home.ts';
import { makeUnlock } from '../ops/unlock.ts';
import { LocalRuns } from '../catalog/local-runs.ts';
import { findBackupLog } from './backup-log-url.ts';
import type { Context } from './command.ts';

/** Returns the operations' side of a command's context. */
export function makeOpsContext(context: Context): OpsContext {
  const { clock, random, reporter, cwd, env, secrets, signal } = context;
  const runs = new LocalRuns({
    homeDir: context.home,
    clock,
    random,
    findUrl: () => findBackupLog(context),
    warn: (message) => reporter.warn(message),
  });
  // What was run is in the log before the command ends, if the log can be had in a moment.
  context.cleanup.defer(() => runs.settle());
  return {
    home: new Home(context.home),
    clock,
    random,
    reporter,
    cwd,
    userHome: env['HOME'] || homedir(),
    // Asking the system for its zone takes time that most commands need not spend.
    get zone() {
      return context.zone;
    },
    unlock: makeUnlock({
      passphrase: (subject) => {
        reporter.pause();
        return secrets.passphrase(subject);
      },
      recoveryKey: env['MOLT_RECOVERY_KEY'],
    }),
    access: {
      identityFile: resolveFrom(cwd, env['MOLT_IDENTITY_FILE']),
      execCommand: env['MOLT_EXEC_COMMAND'] || undefined,
      fingerprint: env['MOLT_FINGERPRINT'] || undefined,
    },
    signal,
    runs,
  };
}

function resolveFrom(cwd: string, file: string | undefined): string | undefined {
  return file === undefined || file === '' ? undefined : resolve(cwd, file);
}
