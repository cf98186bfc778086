// How the command line tells of changes that look like losses.

import { shortId } from '../model/ids.ts';
import { formatTime } from '../model/time-format.ts';
import type { OpenAlert } from '../ops/alert-question.ts';
import type { BackupResult } from '../ops/backup.ts';
import type { Suspicion } from '../ops/suspicion.ts';
import type { Context } from './command.ts';
import { makeOpsContext } from './ops-context.ts';
import { formatCount } from './text.ts';

/** How many findings are shown before the rest is only counted. */
const MOST_SHOWN = 10;

/** Returns what looks lost in a commit as lines, and what to do about it. */
export function describeSuspicion({ commit, good, findings }: Suspicion, program = 'molt'): string[] {
  const shown = findings.slice(0, MOST_SHOWN).map(({ text }) => `looks like a loss: ${text}`);
  const more = findings.length - shown.length;
  return [
    ...shown,
    ...(more > 0 ? [`and ${formatCount(more, 'other thing')} like that`] : []),
    `the backup before it, ${shortId(good)}, is held and nothing is pruned until ${program} alert answer ${shortId(commit)} --fine or --lost`,
  ];
}

/** Warns of what looks lost in a commit, and tells it where alerts go. */
export async function reportSuspicion(context: Context, { agent, suspicion }: BackupResult): Promise<void> {
  if (suspicion === undefined) return;
  for (const line of describeSuspicion(suspicion, context.program)) context.output.warn(line);
  const { suspicionMessage } = await import('../ops/alert.ts');
  const { sendAlert } = await import('../ops/alert-send.ts');
  await sendAlert(makeOpsContext(context), suspicionMessage(agent, suspicion));
}

/** Returns open questions as lines: what looks lost, and how to answer. */
export function* describeAlerts(alerts: readonly OpenAlert[], program: string, zone?: string): Iterable<string> {
  for (const { commit, good, goodTime, time, findings } of alerts) {
    yield `Looks like a loss, noticed ${formatTime(Date.parse(time), zone)}:`;
    for (const finding of findings) yield `  ${finding}`;
    yield `  Held: the backup before it, ${shortId(good)} of ${formatTime(Date.parse(goodTime), zone)}. Nothing is pruned until ${program} alert answer ${shortId(commit ?? good)} --fine or --lost`;
  }
}
