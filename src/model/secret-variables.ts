// The variables of the environment in which molt is given secrets. No agent, engine or command that molt runs has any business with them.

const SECRET_VARIABLES = ['MOLT_PASSPHRASE', 'MOLT_RECOVERY_KEY'];

/** Says whether a variable of the environment holds a secret of molt's. */
export function isSecretVariable(name: string): boolean {
  return SECRET_VARIABLES.includes(name);
}

/** Returns an environment without molt's secrets. */
export function withoutSecrets<T>(env: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isSecretVariable(name)));
}
