// The programs that are measured, each with the same few verbs. Secrets here are the bench's own and guard nothing.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { timed, type Cost } from './timed.ts';

/** A program that backs up a folder. */
export interface Tool {
  readonly name: string;
  readonly command: string;
  /** It takes part in the ticks that are not measured, so that its history grows as a day's does. */
  readonly everyTick: boolean;
  /** Makes what must be there before the first backup. */
  prepare(place: string, dir: string): void;
  backup(place: string, dir: string, label: string): Cost;
  restore(place: string, dir: string, target: string): Cost;
  /** Puts the folder back to what the backup before the last one holds, where it lives. Undefined: the program can't. */
  inPlace(place: string, dir: string): Cost | undefined;
  version(): Cost;
  storedBytes(place: string): number;
}

/** The program, as it is built. */
export const MOLT = join(import.meta.dirname, '..', 'bin', 'molt.cjs');

const molt: Tool = {
  name: 'molt',
  command: 'node',
  everyTick: true,
  prepare: (place) => mkdirSync(place, { recursive: true }),
  backup(place, dir, label) {
    if (label === 'first') return timed('node', [MOLT, 'init', 'bench', '--state', dir, '--json'], moltEnv(place));
    return timed('node', [MOLT, 'commit', 'bench', '--json'], moltEnv(place));
  },
  restore: (place, _dir, target) => timed('node', [MOLT, 'restore', 'bench', '--to', target, '--json'], moltEnv(place)),
  inPlace: (place) => timed('node', [MOLT, 'restore', 'bench', 'HEAD~1', '--in-place', '--json'], moltEnv(place)),
  version: () => timed('node', [MOLT, '--version']),
  storedBytes,
};

const restic: Tool = {
  name: 'restic',
  command: 'restic',
  everyTick: false,
  prepare: (place) => void timed('restic', ['init', '-q', '-r', place], RESTIC_ENV),
  backup: (place, dir) => timed('restic', ['backup', '-q', '-r', place, dir], RESTIC_ENV),
  restore: (place, _dir, target) =>
    timed('restic', ['restore', '-q', '-r', place, 'latest', '--target', target], RESTIC_ENV),
  // restic 0.14 has neither --overwrite nor --delete: it writes every file again, and makes no backup of what is there. The id comes
  // from a listing that is not counted.
  inPlace(place, dir) {
    const { stdout } = timed('restic', ['snapshots', '-q', '--json', '-r', place, '--path', dir], RESTIC_ENV);
    const id: unknown = JSON.parse(stdout).at(-2)?.id;
    if (typeof id !== 'string') return undefined;
    return timed('restic', ['restore', '-q', '-r', place, id, '--target', '/'], RESTIC_ENV);
  },
  version: () => timed('restic', ['version']),
  storedBytes,
};

const borg: Tool = {
  name: 'borg',
  command: 'borg',
  everyTick: false,
  prepare: (place) => void timed('borg', ['init', '-e', 'repokey', place], BORG_ENV),
  backup: (place, dir, label) => timed('borg', ['create', `${place}::${label}`, dir], BORG_ENV),
  restore(place, _dir, target) {
    mkdirSync(target, { recursive: true });
    return timed('sh', ['-c', 'cd "$1" && exec borg extract "$2::first"', 'sh', target, place], BORG_ENV);
  },
  // borg, too, writes every file again, and removes none.
  inPlace(place, _dir) {
    const { stdout } = timed('borg', ['list', '--short', place], BORG_ENV);
    const archive = stdout.trim().split('\n').at(-2);
    if (archive === undefined) return undefined;
    return timed('sh', ['-c', 'cd / && exec borg extract "$1::$2"', 'sh', place, archive], BORG_ENV);
  },
  version: () => timed('borg', ['--version']),
  storedBytes,
};

const bup: Tool = {
  name: 'bup',
  command: 'bup',
  everyTick: false,
  prepare: (place) => void timed('bup', ['init'], { BUP_DIR: place }),
  backup: (place, dir) =>
    timed('sh', ['-c', 'bup index "$1" && exec bup save -q -n bench "$1"', 'sh', dir], { BUP_DIR: place }),
  restore: (place, dir, target) =>
    timed('bup', ['restore', '-q', '-C', target, `bench/latest${dir}/.`], { BUP_DIR: place }),
  inPlace: () => undefined,
  version: () => timed('bup', ['--version']),
  storedBytes,
};

/** All of them; molt first, whose ratios to the others are printed. */
export const TOOLS: readonly Tool[] = [molt, restic, borg, bup];

const RESTIC_ENV = { RESTIC_PASSWORD: 'bench' };
const BORG_ENV = { BORG_PASSPHRASE: 'bench', BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' };

/** Returns what molt needs of the surroundings. */
export function moltEnv(place: string): NodeJS.ProcessEnv {
  return { MOLT_HOME: place, MOLT_PASSPHRASE: 'bench bench bench' };
}

function storedBytes(place: string): number {
  const result = spawnSync('du', ['-sb', place], { encoding: 'utf8' });
  return Number(/^\d+/.exec(result.stdout)?.[0] ?? 0);
}
