// What the commands that molt runs for its user get to see of its environment.

/** Secrets of molt's that no command has any business with. */
const HIDDEN = ['MOLT_PASSPHRASE', 'MOLT_RECOVERY_KEY'];

/** Returns molt's environment without its secrets. */
export function environmentOfChildren(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !HIDDEN.includes(name)));
}
