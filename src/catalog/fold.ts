// Folds runs that repeat each other: an idle agent has 105,120 of them a year, and all they say is that somebody looked; and one whose
// remote is gone fails every five minutes for one reason.

import type { RunBytes, RunEntry, RunRequests } from '../model/run-entry.ts';

/**
 * Folds runs of one kind that came to the same, without having done anything, into the first of them, as long as that kind of run came
 * to nothing else in between. The same entries are always folded the same way, so that a fold that is handed over twice has one id.
 */
export function foldRepeats(entries: readonly RunEntry[]): RunEntry[] {
  const folded: RunEntry[] = [];
  const seen = new Set<string>();
  const last = new Map<string, number>();
  for (const entry of entries) {
    // Appended again, because the file was about to be taken.
    if (seen.has(entry.id)) continue;
    seen.add(entry.id);
    const kind = JSON.stringify([entry.agent, entry.host, entry.verb, entry.trigger, entry.remote]);
    const at = last.get(kind);
    const before = at === undefined ? undefined : folded[at];
    if (at !== undefined && before !== undefined && repeats(before, entry)) {
      folded[at] = join(before, entry);
      continue;
    }
    last.set(kind, folded.length);
    folded.push(entry);
  }
  return folded;
}

function repeats(before: RunEntry, entry: RunEntry): boolean {
  if (entry.result === 'ok' || entry.result !== before.result) return false;
  const what = ({ error, commit, detail }: RunEntry): string =>
    JSON.stringify([error?.code, error?.message, commit, detail]);
  return what(before) === what(entry);
}

function join(first: RunEntry, next: RunEntry): RunEntry {
  return {
    ...first,
    lastMs: Math.max(first.lastMs, next.lastMs),
    count: first.count + next.count,
    durationMs: (first.durationMs ?? 0) + (next.durationMs ?? 0),
    bytes: add(first.bytes, next.bytes),
    requests: add(first.requests, next.requests),
  };
}

function add<T extends RunBytes | RunRequests>(a: T, b: T): T {
  const sums = Object.entries(a).map(([key, value]) => [key, value + b[key as keyof T]]);
  return Object.fromEntries(sums) as T;
}
