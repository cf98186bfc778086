// A recorded OpenClaw state as a restore puts it down: whole databases and nothing beside them, in a folder that is not its own.

import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openclawProfile } from '../../src/agent/openclaw.ts';
import type { RebindOptions, Relocation } from '../../src/agent/revival.ts';
import { unpackFixture } from './support.ts';

/** The parts of a database's rows that the tests ask for. */
export type Row = Readonly<Record<string, unknown>>;

/** Unpacks a recorded state, and merges its logs as a capture does. */
export function restoreFixture(version: '2026.9.6' | '2026.5.28', dir: string): Relocation {
  const state = unpackFixture(version, dir);
  for (const name of readdirSync(state, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.sqlite') || !existsSync(join(state, `${name}-wal`))) continue;
    const database = new DatabaseSync(join(state, name));
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    for (const suffix of ['-wal', '-shm']) rmSync(join(state, name + suffix), { force: true });
  }
  const from = version === '2026.9.6' ? '/home/agent/.openclaw' : '/home/agent/.openclaw-2026.5';
  return { from: new Map([['state', from]]), to: new Map([['state', state]]) };
}

/** Returns where a restored state is. */
export function stateOf({ to }: Relocation): string {
  return to.get('state') ?? '';
}

/** Re-binds to port 18801. */
export function rebind(relocation: Relocation, options: Partial<RebindOptions> = {}) {
  return openclawProfile.rebind({ ...relocation, ports: { http: 18801 }, ...options });
}

/** Runs SQL on a restored database, and leaves nothing beside it. */
export function change(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

/** Reads rows of a database that nobody writes. */
export function query(file: string, sql: string): Row[] {
  const database = new DatabaseSync(new URL(`file://${file}?immutable=1`), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

/** Lists all files of a folder, sorted. */
export function listFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort();
}

/** Returns what a grep for a text finds in the configuration files. */
export function filesWith(dir: string, text: string, names: readonly string[]): string[] {
  return names.filter((name) => existsSync(join(dir, name)) && readFileSync(join(dir, name), 'utf8').includes(text));
}
