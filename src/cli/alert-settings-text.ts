// How the command line shows where alerts go.

import { formatSpan } from '../model/duration.ts';
import { formatCount } from './text.ts';
import { hostOf, type AlertSettings } from '../ops/alert-settings.ts';

/** Returns the JSON of the settings; of the webhook's URL, which may hold a secret, only the host. */
export function settingsDocument({ webhook, command, share, overdueMs }: AlertSettings): object {
  return {
    webhook: webhook === undefined ? null : hostOf(webhook),
    command: command ?? null,
    sharePercent: share === undefined ? null : Math.round(share * 100),
    overdueMs,
  };
}

/** Returns the settings as lines. */
export function* describeSettings(
  { webhook, command, share, overdueMs }: AlertSettings,
  waiting: number,
): Iterable<string> {
  if (webhook === undefined && command === undefined)
    yield 'Alerts go nowhere yet: give --webhook-file FILE, or -- COMMAND.';
  if (webhook !== undefined) yield `Alerts go to the webhook at ${hostOf(webhook)}.`;
  if (command !== undefined) yield `Alerts go to the command ${command.join(' ')}.`;
  yield share === undefined
    ? 'Commits are not looked at for losses.'
    : `A commit looks like a loss when more than ${Math.round(share * 100)}% of a memory, session or transcript is gone.`;
  yield `A backup is overdue when it has failed for ${formatSpan(overdueMs)}.`;
  if (waiting > 0) yield `${formatCount(waiting, 'alert')} could not be delivered yet.`;
}
