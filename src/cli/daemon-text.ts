// What `molt daemon` tells while it runs: one line for people, or one line of JSON, for each event.

import type { DaemonEvent } from '../ops/daemon.ts';
import { isMoltError } from '../model/error.ts';
import { describeEvent, eventDocument, type EventLine } from './run-text.ts';
import { describeMissed, describeSchedule, scheduleDocument } from './schedule-text.ts';
import { formatCount, formatSize } from './text.ts';

/** Returns an event as lines for people; none for what goes without saying. */
export function describeDaemonEvent(label: string | undefined, event: DaemonEvent): readonly EventLine[] {
  const note = (text: string): readonly EventLine[] => [{ text, isWarning: false }];
  const name = label ?? 'molt';
  switch (event.event) {
    case 'serving':
      return note(`serving ${formatCount(event.agents, 'agent')}`);
    case 'scheduled':
      return event.isNew ? note(`${name}: ${describeSchedule(event.schedule)}`) : [];
    case 'unscheduled':
      return note(`${name}: its schedule is gone`);
    case 'missed':
      return note(`${name}: made up for ${describeMissed(event.missed)}`);
    case 'pruned':
      return note(`${name}: ${formatCount(event.expired, 'backup')} expired, ${formatSize(event.freedBytes)} freed`);
    case 'stuck':
      return [
        {
          text: `${name}: its commit takes very long, and other agents wait for it: is a disk or share gone?`,
          isWarning: true,
        },
      ];
    case 'ticked':
    case 'sent':
      return [];
    case 'failed':
      return describeFailure(name, event.what, event.error);
    case 'warned':
      return [{ text: `${name}: ${event.message}`, isWarning: true }];
    case 'stopping':
      return note('asked to end; the commit that is under way is finished first');
    case 'stopped':
      return note('ended');
    case 'saved':
    case 'pushed':
    case 'skipped':
    case 'recovered':
      return describeEvent(event, name);
  }
}

/** Returns an event as a plain value. */
export function daemonEventDocument(label: string | undefined, event: DaemonEvent, timeMs: number): unknown {
  const base = {
    event: event.event,
    time: new Date(timeMs).toISOString(),
    ...(label !== undefined && { agent: label }),
  };
  switch (event.event) {
    case 'ticked': {
      const { result, durationMs } = event;
      return { ...base, ok: result !== undefined, unchanged: result?.unchanged ?? null, durationMs };
    }
    case 'missed': {
      const { ticks, fulls, fromMs, toMs } = event.missed;
      return { ...base, commits: ticks, fulls, from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() };
    }
    case 'stuck':
      return { ...base, since: new Date(event.sinceMs).toISOString() };
    case 'scheduled': {
      return { ...base, ...scheduleDocument(event.schedule), new: event.isNew };
    }
    case 'saved':
    case 'pushed':
    case 'skipped':
    case 'failed':
    case 'recovered':
    case 'warned':
      return { ...base, ...eventDocument(event, label ?? '', timeMs), agent: label };
    default:
      return { ...base, ...event };
  }
}

function describeFailure(name: string, what: string, error: unknown): readonly EventLine[] {
  const message = error instanceof Error ? error.message : String(error);
  const isSkipped = isMoltError(error, 'LOCKED');
  const text = isSkipped
    ? `${name}: ${what} skipped: ${message}`
    : `${name}: ${what} failed: ${message}; it is tried again at its next time`;
  const hint = isMoltError(error) ? error.hint : undefined;
  return [{ text, isWarning: true }, ...(hint === undefined ? [] : [{ text: `hint: ${hint}`, isWarning: true }])];
}
