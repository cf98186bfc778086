// Where alerts go and what sets them off, for all agents of this machine: MOLT_HOME/alerts.json, 0600. The URL of a webhook mostly holds
// a secret: it is read from there, and shown nowhere.

import { join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { MoltError } from '../model/error.ts';
import { LOST_SHARE } from '../policy/suspicion.ts';
import { readIfThere, type Home } from './home.ts';

/** What the user set. */
export interface AlertSettings {
  /** Gets each alert by POST, as JSON. */
  readonly webhook: string | undefined;
  /** Gets each alert on stdin, as JSON: a program and its words, not for a shell. */
  readonly command: readonly string[] | undefined;
  /** More than this share of something must be gone for an alarm; undefined: nothing is looked at. */
  readonly share: number | undefined;
  /** How long saving or sending may fail before the backup counts as overdue; milliseconds. */
  readonly overdueMs: number;
}

/** What holds unless the user says otherwise. */
export const DEFAULT_ALERTS: AlertSettings = {
  webhook: undefined,
  command: undefined,
  share: LOST_SHARE,
  overdueMs: 60 * 60_000,
};

/** Reads the settings. @throws {MoltError} DAMAGED when the file can't be read */
export async function readAlertSettings(home: Home): Promise<AlertSettings> {
  const bytes = await readIfThere(fileOf(home));
  if (bytes === undefined) return DEFAULT_ALERTS;
  const name = `"${fileOf(home)}"`;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    // V8 quotes the text in its message, and the text may hold a secret.
    throw new MoltError('DAMAGED', `${name} is not JSON`, { hint: 'put it right, or remove it and set alerts anew' });
  }
  const fields = new Fields(value, name);
  if (fields.integer('version') > 1) throw new MoltError('NEWER_FORMAT', `${name} was written by a newer molt`);
  const percent = fields.has('sharePercent') ? fields.integer('sharePercent') : undefined;
  return {
    webhook: fields.has('webhook') ? checkWebhook(fields.text('webhook', /^/)) : undefined,
    command: fields.has('command') ? fields.texts('command') : undefined,
    share: fields.has('isWatching') ? undefined : percent === undefined ? LOST_SHARE : percent / 100,
    overdueMs: fields.has('overdueMs') ? fields.integer('overdueMs', 1) : DEFAULT_ALERTS.overdueMs,
  };
}

/** Writes the settings. */
export async function writeAlertSettings(home: Home, settings: AlertSettings): Promise<void> {
  const { webhook, command, share, overdueMs } = settings;
  const value = {
    molt: 'alerts',
    version: 1,
    ...(webhook !== undefined && { webhook }),
    ...(command !== undefined && { command }),
    ...(share === undefined ? { isWatching: false } : { sharePercent: Math.round(share * 100) }),
    overdueMs,
  };
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  await home.write(fileOf(home), Buffer.from(text, 'utf8'), { replace: true });
}

/** Returns the URL of a webhook. @throws {MoltError} USAGE when it is none; the text is not repeated, since it may hold a secret */
export function checkWebhook(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url.href;
  throw new MoltError('USAGE', 'what was given is no URL of a webhook', { hint: 'it begins with https:// or http://' });
}

/** Returns how a webhook is called where it is shown: by its host alone. */
export function hostOf(webhook: string): string {
  return new URL(webhook).host;
}

function fileOf(home: Home): string {
  return join(home.dir, 'alerts.json');
}
