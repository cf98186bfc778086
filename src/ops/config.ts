// MOLT_HOME/config.json: what the user has set for this machine. Each reader knows its own member.

import { join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { readIfThere } from './home.ts';

/** What a reader of one member gets. */
export interface ConfigMember {
  /** Undefined where it is not set. */
  readonly value: unknown;
  /** How errors call it: `"prices" in "/…/config.json"`. */
  readonly place: string;
}

/**
 * Reads one member of the configuration.
 * @param hint what the file may look like
 * @throws {MoltError} IO when the file can't be read, USAGE when it is no JSON object
 */
export async function readConfigMember(homeDir: string, member: string, hint: string): Promise<ConfigMember> {
  const path = join(homeDir, 'config.json');
  const bytes = await readIfThere(path);
  const place = `"${member}" in "${path}"`;
  if (bytes === undefined) return { value: undefined, place };
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MoltError('USAGE', `"${path}" is not a JSON object`, { hint });
  return { value: (value as Readonly<Record<string, unknown>>)[member], place };
}
