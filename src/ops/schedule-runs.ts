// What the daemon did: of each agent, in a small file of its own, and that it lives at all. Written by the daemon alone, whole or not at
// all; read by `schedule status`, `status` and `backup list`. Derived: without it everything is due.

import { join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { isMoltError, isSystemError } from '../model/error.ts';
import { isRunning, type ProcessId } from '../pod/process-id.ts';
import { readIfThere, type Home } from './home.ts';
import { runsFile } from './schedule.ts';

/** What came of an agent's schedule; times in milliseconds. */
export interface Runs {
  /** When a commit was last begun, whatever came of it. */
  readonly tickMs?: number | undefined;
  /** When a commit last succeeded, also one that found nothing changed. */
  readonly goodMs?: number | undefined;
  /** How long the last commit took. */
  readonly durationMs?: number | undefined;
  /** When the newest full backup was made. */
  readonly fullMs?: number | undefined;
  /** What was missed last, and when that was made up for. */
  readonly missed?: Missed | undefined;
  /** What fails at present. */
  readonly failing: readonly Failing[];
  /** When everything there was had been sent to a remote last, by its name. */
  readonly sentMs: Readonly<Record<string, number>>;
}

/** Runs whose time came while nobody kept them. */
export interface Missed {
  /** The last run before. */
  readonly fromMs: number;
  /** When one run made up for all of them. */
  readonly toMs: number;
  readonly ticks: number;
  readonly fulls: number;
}

/** Something that fails, since when, and with what. */
export interface Failing {
  /** `commit`, `push NAME`, `remotes`, `retention`, or `schedule`. */
  readonly what: string;
  readonly sinceMs: number;
  /** Of a MoltError. */
  readonly code?: string | undefined;
  readonly message: string;
}

/** The daemon that runs, or ran last. */
export interface Beat {
  readonly process: ProcessId;
  readonly version: string;
  readonly startedMs: number;
  /** When it was last heard of. */
  readonly beatMs: number;
  /** How many agents it serves. */
  readonly agents: number;
}

/** Nothing was done yet. */
export const NO_RUNS: Runs = { failing: [], sentMs: {} };

const MOST_MESSAGE = 500;

/** Returns a failure as it is noted. */
export function failingOf(what: string, error: unknown, sinceMs: number): Failing {
  const message = error instanceof Error ? error.message : String(error);
  return {
    what,
    sinceMs,
    ...(isMoltError(error) && { code: error.code }),
    message: message.slice(0, MOST_MESSAGE),
  };
}

/** Loads what came of an agent's schedule; nothing if that can't be read. */
export async function loadRuns(home: Home, label: string): Promise<Runs> {
  try {
    const bytes = await readIfThere(runsFile(home, label));
    return bytes === undefined ? NO_RUNS : parseRuns(bytes);
  } catch (error) {
    if (isMoltError(error) || error instanceof SyntaxError) return NO_RUNS;
    throw error;
  }
}

/** Saves what came of an agent's schedule. */
export async function saveRuns(home: Home, label: string, runs: Runs): Promise<void> {
  await home.write(runsFile(home, label), Buffer.from(`${JSON.stringify(runs)}\n`, 'utf8'), { replace: true });
}

/** Loads what is known of the daemon, or undefined if none ever ran. */
export async function loadBeat(home: Home): Promise<Beat | undefined> {
  try {
    const bytes = await readIfThere(beatFile(home));
    if (bytes === undefined) return undefined;
    const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'the daemon’s beat');
    const own = new Fields(fields.value('process'), 'its process');
    return {
      process: { pid: own.integer('pid', 1), began: own.text('began', /./) },
      version: fields.text('version', /./),
      startedMs: fields.integer('startedMs'),
      beatMs: fields.integer('beatMs'),
      agents: fields.integer('agents'),
    };
  } catch (error) {
    if (isMoltError(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Saves that the daemon lives. */
export async function saveBeat(home: Home, beat: Beat): Promise<void> {
  await home.write(beatFile(home), Buffer.from(`${JSON.stringify(beat)}\n`, 'utf8'), { replace: true });
}

/** Says whether the daemon of a beat still runs on this machine. */
export function isBeating({ process }: Beat): boolean {
  return isRunning(process);
}

/** Asks the daemon of a home to end, if one runs on this machine. It finishes its commit first, and is not waited for. */
export async function endDaemon(home: Home): Promise<void> {
  const beat = await loadBeat(home);
  if (beat === undefined || !isBeating(beat)) return;
  try {
    process.kill(beat.process.pid, 'SIGTERM');
  } catch (error) {
    // It has ended meanwhile.
    if (!isSystemError(error, 'ESRCH')) throw error;
  }
}

function beatFile(home: Home): string {
  return join(home.dir, 'daemon', 'beat.json');
}

function parseRuns(bytes: Buffer): Runs {
  const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'what the daemon did');
  const time = (key: string): number | undefined => (fields.has(key) ? fields.integer(key) : undefined);
  const missed = fields.has('missed') ? new Fields(fields.value('missed'), 'what was missed') : undefined;
  return {
    tickMs: time('tickMs'),
    goodMs: time('goodMs'),
    durationMs: time('durationMs'),
    fullMs: time('fullMs'),
    missed: missed && {
      fromMs: missed.integer('fromMs'),
      toMs: missed.integer('toMs'),
      ticks: missed.integer('ticks'),
      fulls: missed.integer('fulls'),
    },
    failing: fields.list('failing').map((one) => ({
      what: one.text('what', /./),
      sinceMs: one.integer('sinceMs'),
      code: one.has('code') ? one.text('code', /^[A-Z_]+$/) : undefined,
      message: one.text('message', /^/),
    })),
    sentMs: Object.fromEntries(
      fields
        .entries('sentMs')
        .flatMap(([name, ms]): [string, number][] => (typeof ms === 'number' ? [[name, ms]] : [])),
    ),
  };
}
