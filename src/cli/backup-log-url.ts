// Which backup log is meant: the one of the line, else of the environment, else of MOLT_HOME/config.json, else the embedded one.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkLogUrl, hasPassword } from '../catalog/log-url.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { Context } from './command.ts';

/** Names the log of this machine, where another one is configured. */
const EMBEDDED = 'embedded';

/**
 * Returns the URL of a backup log in PostgreSQL, or undefined for the embedded one. Warns of a password on the command line.
 * @throws {MoltError} USAGE when it is none; IO or DAMAGED when the configuration can't be read
 */
export async function findBackupLog(
  context: Pick<Context, 'backupLog' | 'env' | 'home' | 'reporter'>,
): Promise<string | undefined> {
  const { backupLog, env, home, reporter } = context;
  const text = backupLog ?? (env['MOLT_BACKUP_LOG'] || (await readConfigured(home)));
  if (text === undefined || text === EMBEDDED) return undefined;
  const url = checkLogUrl(text);
  if (backupLog !== undefined && hasPassword(url))
    reporter.warn(
      'every user of this machine can read the password in --backup-log: put it into PGPASSWORD or ~/.pgpass, or the URL into MOLT_BACKUP_LOG',
    );
  return url;
}

/** Says whether the log is only known to this command, by its line or environment: a service would not see it. */
export async function isGivenHereOnly({
  backupLog,
  env,
  home,
}: Pick<Context, 'backupLog' | 'env' | 'home'>): Promise<boolean> {
  const text = backupLog ?? (env['MOLT_BACKUP_LOG'] || EMBEDDED);
  return text !== EMBEDDED && (await readConfigured(home)) === undefined;
}

async function readConfigured(home: string): Promise<string | undefined> {
  const path = join(home, 'config.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw systemFailure(error, `cannot read "${path}"`, path);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MoltError('USAGE', `"${path}" is not a JSON object`, { hint: '{"backupLog": "postgres://…"}' });
  const found = (value as Record<string, unknown>)['backupLog'];
  if (found === undefined || typeof found === 'string') return found;
  throw new MoltError('USAGE', `"backupLog" in "${path}" is not a text`, { hint: '{"backupLog": "postgres://…"}' });
}
