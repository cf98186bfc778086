// Which backup log is meant: the one of the line, else of the environment, else of MOLT_HOME/config.json, else the embedded one.

import { checkLogUrl, hasPassword } from '../catalog/log-url.ts';
import { MoltError } from '../model/error.ts';
import { readConfigMember } from '../ops/config.ts';
import type { Context } from './command.ts';

/** Names the log of this machine, where another one is configured. */
const EMBEDDED = 'embedded';
const HINT = '{"backupLog": "postgres://…"}';

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
  const { value, place } = await readConfigMember(home, 'backupLog', HINT);
  if (value === undefined || typeof value === 'string') return value;
  throw new MoltError('USAGE', `${place} is not a text`, { hint: HINT });
}
