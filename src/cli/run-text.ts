// What `molt run` tells while it runs: one line for people, or one line of JSON, for each event.

import { shortId } from '../model/ids.ts';
import { isMoltError } from '../model/error.ts';
import { displayPath } from '../model/name.ts';
import { formatTime } from '../model/time-format.ts';
import type { RunEvent } from '../ops/run.ts';
import { errorDocument } from './output.ts';
import { describeSuspicion } from './alert-text.ts';
import { formatCount, formatDuration, formatSize } from './text.ts';

/** An event as a line for people, and whether it is a warning. */
export interface EventLine {
  readonly text: string;
  readonly isWarning: boolean;
}

/** Returns an event as lines for people; none for what goes without saying. */
export function describeEvent(event: RunEvent, label: string): readonly EventLine[] {
  const note = (text: string): readonly EventLine[] => [{ text, isWarning: false }];
  const warning = (...texts: readonly string[]): readonly EventLine[] =>
    texts.map((text) => ({ text, isWarning: true }));
  switch (event.event) {
    case 'cloned':
      return note(`${label}: got ${formatCount(event.commits, 'commit')} from ${event.remote}`);
    case 'begun':
      return note(`${label}: the remote is empty, so this is a new agent, with its state in ${event.stateDir}`);
    case 'restored':
      return note(
        `${label}: its state was missing and is restored: ${shortId(event.commit)} of ${formatTime(event.timeMs)}, ${formatCount(event.files, 'file')}`,
      );
    case 'kept':
      return warning(
        `${event.stateDir} has files already, of which this machine does not know where they come from: they stay, and are saved as the newest state of ${label}`,
      );
    case 'not-pulled':
      return warning(`restored from this machine alone: ${describe(event.error)}`);
    case 'started':
      return note(`${label}: started ${event.command[0]}`);
    case 'healthy':
      return note(`${label}: healthy${event.pid === undefined ? '' : `, process ${event.pid}`}`);
    case 'ended':
      return warning(`${label}: ${event.problem}`);
    case 'restarted':
      return note(`${label}: started again${event.pid === undefined ? '' : `, process ${event.pid}`}`);
    case 'saved': {
      const { id, kind, bytes, durationMs } = event.result;
      const what = kind === 'full' ? 'full backup' : 'saved';
      const losses = event.result.suspicion === undefined ? [] : describeSuspicion(event.result.suspicion);
      const saved = note(
        `${label}: ${what} ${shortId(id)}, ${formatSize(bytes.stored)} in ${formatDuration(durationMs)}`,
      );
      return [...saved, ...warning(...losses.map((line) => `${label}: ${line}`))];
    }
    case 'pushed':
      return note(`${label}: pushed to ${event.result.remote}, ${formatSize(event.result.bytes)}`);
    case 'skipped':
      return warning(
        ...event.skipped.map(({ path, reason }) => `${label}: not saved: ${displayPath(path)}: ${reason}`),
      );
    case 'failed': {
      const hint = isMoltError(event.error) ? event.error.hint : undefined;
      const goesOn = isMoltError(event.error, 'FENCED')
        ? 'the agent goes on and is saved here, and nowhere else'
        : 'the agent goes on, and it is tried again';
      return warning(
        `${label}: ${event.what} failed: ${describe(event.error)}; ${goesOn}`,
        ...(hint ? [`hint: ${hint}`] : []),
      );
    }
    case 'recovered':
      return note(`${label}: ${event.what} works again`);
    case 'warned':
      return warning(event.message);
    case 'stopping':
      return note(`${label}: is asked to end`);
    case 'stopped': {
      const { exit } = event;
      const how = exit === undefined ? '' : exit.signal === null ? ` with status ${exit.status}` : ` by ${exit.signal}`;
      return note(`${label}: ended${how}`);
    }
  }
}

/** Returns an event as a plain value. */
export function eventDocument(event: RunEvent, agent: string, timeMs: number): Record<string, unknown> {
  const base = { event: event.event, time: new Date(timeMs).toISOString(), agent };
  switch (event.event) {
    case 'failed':
    case 'not-pulled': {
      const { event: _, error, ...rest } = event;
      return { ...base, ...rest, ...errorDocument(error) };
    }
    case 'saved': {
      const { id, kind, parent, files, bytes, durationMs, suspicion } = event.result;
      const more = suspicion === undefined ? {} : { suspicion };
      return { ...base, id, kind, parent: parent ?? null, files, bytes, durationMs, ...more };
    }
    case 'pushed': {
      const { remote, url, bytes, requests, durationMs } = event.result;
      return { ...base, remote, url, bytes, requests, durationMs };
    }
    case 'restored': {
      const { commit, files, timeMs: commitMs } = event;
      return { ...base, commit, commitTime: new Date(commitMs).toISOString(), files };
    }
    default:
      return { ...base, ...event };
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
