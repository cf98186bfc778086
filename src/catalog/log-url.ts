// The URL of a backup log in PostgreSQL, which may hold a password and so is never shown.

import { MoltError } from '../model/error.ts';

const HINT = 'postgres://USER@HOST/DATABASE, with the password in PGPASSWORD or ~/.pgpass';

/** Checks a URL. @throws {MoltError} USAGE, without any of it in the message */
export function checkLogUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:'))
    throw new MoltError('USAGE', 'the backup log is no PostgreSQL URL', { hint: HINT });
  return text;
}

/** Says whether a URL holds a password. */
export function hasPassword(text: string): boolean {
  const url = new URL(text);
  return url.password !== '' || url.searchParams.has('password');
}

/** Returns where a log is, without user and password: `db.example.org:5432/backups`. */
export function describeLogUrl(text: string): string {
  const url = new URL(text);
  const host = url.host === '' ? (url.searchParams.get('host') ?? 'this machine') : url.host;
  return `${host}${url.pathname}`;
}
