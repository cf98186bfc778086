// What an operation runs with, made from what a command runs with.

import { homedir } from 'node:os';
import type { OpsContext } from '../ops/context.ts';
import { Home } from '../ops/home.ts';
import { makeUnlock } from '../ops/unlock.ts';
import type { Context } from './command.ts';

/** Returns the operations' side of a command's context. */
export function makeOpsContext(context: Context): OpsContext {
  const { clock, random, reporter, cwd, env, secrets, signal } = context;
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
    signal,
  };
}
