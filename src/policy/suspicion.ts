// Whether what a commit changed looks like a loss: memory, sessions or transcripts that shrank, a history that was rewritten, files
// deleted in masses. It decides by numbers alone; ops/suspicion.ts gathers them.

import { displayPath } from '../model/name.ts';
import type { RowCounts } from '../model/row-counts.ts';

/** What a file holds, where losing it is worth an alarm. */
export type PreciousKind = 'memory' | 'session' | 'transcript' | 'database';

/** A file that a commit changed. */
export interface ChangedFile {
  /** Escaped path in the commit tree. */
  readonly path: string;
  readonly kind: PreciousKind;
  readonly beforeBytes: number;
  /** 0 where it was removed. */
  readonly afterBytes: number;
  readonly isRemoved: boolean;
  /** Of a file that only grows: whether it still begins with all that it was. */
  readonly isContinued: boolean | undefined;
}

/** A database whose rows are counted. */
export interface ChangedRows {
  readonly path: string;
  readonly before: RowCounts;
  readonly after: RowCounts;
}

/** What a commit changed. */
export interface ChangeFacts {
  readonly files: readonly ChangedFile[];
  /** Of all files, without those that can be made again: how many there were, and how many of them were removed. */
  readonly fileCounts: { readonly before: number; readonly removed: number };
  /** Bytes of all files of a kind before. */
  readonly totals: ReadonlyMap<PreciousKind, number>;
  readonly rows: readonly ChangedRows[];
}

/** One thing that looks like a loss. */
export interface Finding {
  readonly what: 'shrunk' | 'removed' | 'rewritten' | 'rows-lost' | 'mass-deletion';
  /** Escaped; empty where it is about all files. */
  readonly path: string;
  readonly before: number;
  readonly after: number;
  readonly unit: 'bytes' | 'files' | 'rows';
  /** A sentence without its full stop. */
  readonly text: string;
}

/** The share of something that has to be lost, unless the user says otherwise. */
export const LOST_SHARE = 0.5;

/** What may be lost without a word, in bytes: less than this is ordinary editing. */
const FLOOR_BYTES: Readonly<Record<PreciousKind, number>> = {
  memory: 200,
  session: 2048,
  transcript: 1024,
  database: 64 * 1024,
};
/** The same in rows, and in files. */
const FLOOR_ROWS = { sessions: 2, events: 10, memory: 8 } as const;
/** Removing this many files or fewer is no mass deletion. */
export const FLOOR_FILES = 20;
/** A mass deletion takes more than this share of all files, or the user's share if that is lower. */
const MASS_SHARE = 0.3;

const ROW_WORDS = { sessions: 'conversations', events: 'transcript events', memory: 'pieces of memory' } as const;

const MAIN_MEMORY = /(^|\/)memory\.md$/i;
const MEMORY = /(^|\/)(memory|user|dreams)\.md$|(^|\/)memory\/(.*\/)?[^/]+\.md$/i;
const SESSIONS = /(^|\/)sessions\.json$/;
const JSONL = /\.jsonl$/;
const OF_CONVERSATIONS = /(^|\/)(sessions|transcripts|conversations|history)\//;
const OPENCLAW_WORKSPACE = /^(state\/workspace[^/]*|roots\/\d+)\//;
const OPENCLAW_DATABASE = /^state\/(state\/openclaw|agents\/[^/]+\/agent\/openclaw-agent)\.sqlite$/;
const DATABASE = /\.(sqlite3?|db)$/;
/** Folders whose content is made again from something else. */
const REMAKEABLE = /(^|\/)(node_modules|\.venv|venv|__pycache__|\.cache|\.git|dist|build|target)\//;

/** Returns what a file holds that is worth an alarm; undefined for any other. */
export function findPreciousKind(path: string, profile: 'openclaw' | 'generic'): PreciousKind | undefined {
  if (REMAKEABLE.test(path)) return undefined;
  if (MEMORY.test(path)) return 'memory';
  if (SESSIONS.test(path)) return 'session';
  // What a user keeps in a workspace may be rewritten at will, unless it is called a conversation.
  if (JSONL.test(path))
    return profile === 'generic' || OF_CONVERSATIONS.test(path) || !OPENCLAW_WORKSPACE.test(path)
      ? 'transcript'
      : undefined;
  return (profile === 'openclaw' ? OPENCLAW_DATABASE : DATABASE).test(path) ? 'database' : undefined;
}

/** Says whether the removal of a file counts towards a mass deletion. */
export function isCountedFile(path: string): boolean {
  return !REMAKEABLE.test(path);
}

/** Says whether so much of a kind was removed that its totals are worth counting. */
export function needsTotals(files: readonly ChangedFile[]): boolean {
  return [...netRemoved(files)].some(([kind, bytes]) => bytes > FLOOR_BYTES[kind]);
}

/**
 * Returns what looks like a loss, the gravest first.
 * @param share of what there was, more than which has to be gone
 */
export function findSuspicions(
  { files, fileCounts, totals, rows }: ChangeFacts,
  profile: 'openclaw' | 'generic',
  share: number,
): Finding[] {
  const findings: Finding[] = [];
  const { before, removed } = fileCounts;
  if (removed > FLOOR_FILES && removed > before * Math.min(MASS_SHARE, share))
    findings.push({
      what: 'mass-deletion',
      path: '',
      before,
      after: before - removed,
      unit: 'files',
      text: `${count(removed)} of ${count(before)} files were deleted`,
    });
  for (const file of files) {
    const finding = judgeFile(file, profile, share);
    if (finding !== undefined) findings.push(finding);
  }
  for (const [kind, bytes] of netRemoved(files)) {
    const total = totals.get(kind) ?? 0;
    // One that is named already needs no second word.
    const isNamed = files.some(
      (file) => file.kind === kind && file.isRemoved && findings.some(({ path }) => path === file.path),
    );
    if (isNamed || bytes <= FLOOR_BYTES[kind] || bytes <= total * share) continue;
    const gone = files.filter((file) => file.kind === kind && file.isRemoved);
    findings.push({
      what: 'removed',
      path: gone.length === 1 ? (gone[0]?.path ?? '') : '',
      before: total,
      after: total - bytes,
      unit: 'bytes',
      text: `${count(gone.length)} ${kind} file${gone.length === 1 ? '' : 's'} with ${count(bytes)} of ${count(total)} bytes were deleted`,
    });
  }
  return [...findings, ...rows.flatMap((one) => judgeRows(one, share))];
}

function judgeFile(file: ChangedFile, profile: 'openclaw' | 'generic', share: number): Finding | undefined {
  const { path, kind, beforeBytes: before, afterBytes: after, isRemoved, isContinued } = file;
  const lost = before - after;
  const name = displayPath(path);
  const common = { path, before, after, unit: 'bytes' as const };
  if (isRemoved) {
    const isAlone = MAIN_MEMORY.test(path) || kind === 'database';
    if (!isAlone || lost <= FLOOR_BYTES[kind]) return undefined;
    return { ...common, what: 'removed', text: `${name}, ${count(before)} bytes, was deleted` };
  }
  // OpenClaw's databases shrink when what they log of themselves is cleared: there the rows tell.
  const isBySize = kind !== 'database' || profile === 'generic';
  if (isBySize && lost > FLOOR_BYTES[kind] && lost > before * share)
    return { ...common, what: 'shrunk', text: `${name} shrank from ${count(before)} to ${count(after)} bytes` };
  if (isContinued === false)
    return {
      ...common,
      what: 'rewritten',
      text: `${name} is only ever appended to, and what was in it was changed (${count(before)} bytes before, ${count(after)} now)`,
    };
  return undefined;
}

function judgeRows({ path, before, after }: ChangedRows, share: number): Finding[] {
  const isLoss = (was: number, is: number, floor: number): boolean => was - is >= floor && was - is > was * share;
  const lost = (was: number, is: number, text: string): Finding => ({
    what: 'rows-lost',
    path,
    before: was,
    after: is,
    unit: 'rows',
    text: `${displayPath(path)} ${text}`,
  });
  const isExplained = after.archived > before.archived;
  const findings: Finding[] = [];
  for (const what of ['sessions', 'events', 'memory'] as const) {
    if (isExplained && what !== 'memory') continue;
    const [was, is] = [before[what], after[what]];
    if (isLoss(was, is, FLOOR_ROWS[what]))
      findings.push(lost(was, is, `had ${count(was)} ${ROW_WORDS[what]} and has ${count(is)}`));
  }
  if (isExplained || findings.some(({ text }) => text.includes(ROW_WORDS.events))) return findings;
  for (const [session, was] of Object.entries(before.bySession)) {
    const is = after.bySession[session] ?? 0;
    if (isLoss(was, is, FLOOR_ROWS.events))
      findings.push(lost(was, is, `had ${count(was)} events of the conversation ${session} and has ${count(is)}`));
  }
  return findings;
}

/** Bytes of removed files by kind, less those of new ones: what only moved and changed a little is no loss. */
function netRemoved(files: readonly ChangedFile[]): Map<PreciousKind, number> {
  const net = new Map<PreciousKind, number>();
  for (const { kind, beforeBytes, afterBytes, isRemoved } of files) {
    const isNew = beforeBytes === 0;
    if (isRemoved || isNew) net.set(kind, (net.get(kind) ?? 0) + (isRemoved ? beforeBytes : -afterBytes));
  }
  return net;
}

function count(number: number): string {
  return number.toLocaleString('en-US');
}
