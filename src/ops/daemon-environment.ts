// What a service that the system starts gets to know of its user's surroundings: daemon.env in MOLT_HOME, since no shell has read a
// profile for it.

import { statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { readIfThere } from './home.ts';

/** Sets the variables of a file that aren't set yet, if the file is there. Returns whether others of the machine may read it. */
export async function loadDaemonEnvironment(path: string): Promise<boolean> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) return false;
  for (const [name, value] of Object.entries(parseEnv(bytes.toString('utf8')))) process.env[name] ??= value;
  return (statSync(path).mode & 0o077) !== 0;
}
