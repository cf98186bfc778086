// Recorded states of a real OpenClaw, unpacked and put right for the place where they are now. This is done without molt, since what molt
// brings back is compared with it. Where nothing is moved, OpenClaw itself asks for the folder that the state was recorded in.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures');
const RECORDED = {
  '2026.9.6': { stateDir: '/home/agent/.openclaw', modelPort: 18_900 },
  '2026.5.28': { stateDir: '/home/agent/.openclaw-2026.5', modelPort: 18_900 },
} as const;

const run = promisify(execFile);

/** Where a recorded state is put, and what is entered into its configuration. */
export interface Place {
  /** The state folder; it must not exist. */
  readonly stateDir: string;
  readonly port: number;
  readonly token: string;
  readonly modelPort: number;
}

/** Unpacks a recorded state into its place, so that OpenClaw runs there as where it was recorded. */
export async function unpackRecorded(version: keyof typeof RECORDED, place: Place): Promise<void> {
  const recorded = RECORDED[version];
  const { stateDir } = place;
  const parent = `${stateDir}.unpacked`;
  await mkdir(parent, { recursive: true });
  await run('tar', ['-xzf', path.join(FIXTURES, `openclaw-${version}.tar.gz`), '-C', parent]);
  await rename(path.join(parent, 'state'), stateDir);
  await rm(parent, { recursive: true });
  await moveTexts(stateDir, [
    [`${recorded.stateDir}/`, `${stateDir}/`],
    [`127.0.0.1:${recorded.modelPort}/`, `127.0.0.1:${place.modelPort}/`],
  ]);
  const file = path.join(stateDir, 'openclaw.json');
  const config = JSON.parse(await readFile(file, 'utf8'));
  Object.assign(config.gateway, {
    port: place.port,
    auth: { mode: 'token', token: place.token },
    http: { endpoints: { chatCompletions: { enabled: true } } },
  });
  await writeFile(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  const database = path.join(stateDir, 'state/openclaw.sqlite');
  if (existsSync(database)) moveDatabase(database, recorded.stateDir, stateDir);
}

/** The older layout keeps its conversations in text files, which name each other by their paths. */
async function moveTexts(dir: string, changes: readonly (readonly [string, string])[]): Promise<void> {
  const names = await readdir(dir, { recursive: true });
  for (const name of names.filter((one) => /\.jsonl?$/.test(one))) {
    const file = path.join(dir, name);
    const text = await readFile(file, 'utf8');
    const moved = changes.reduce((sofar, [from, to]) => sofar.replaceAll(from, to), text);
    if (moved !== text) await writeFile(file, moved);
  }
}

/** What `OpenClaw` finds again only under the folder it runs in: its cron jobs, and that its workspaces were set up. */
function moveDatabase(file: string, from: string, to: string): void {
  const database = new DatabaseSync(file);
  const move = (value: string): string => value.replace(`${from}/`, `${to}/`);
  const keyOf = (folder: string): string => createHash('sha256').update(folder).digest('hex');
  database.exec('PRAGMA foreign_keys = OFF; BEGIN');
  for (const table of ['cron_jobs', 'cron_run_receipts'])
    database.prepare(`UPDATE ${table} SET store_key = ?`).run(`${to}/cron/jobs.json`);
  for (const { workspace_path: workspace } of database
    .prepare('SELECT workspace_path FROM workspace_setup_state')
    .all()) {
    const [old, now] = [String(workspace), move(String(workspace))];
    database
      .prepare('UPDATE workspace_setup_state SET workspace_path = ?, workspace_key = ? WHERE workspace_path = ?')
      .run(now, keyOf(now), old);
    database
      .prepare('UPDATE workspace_generated_bootstrap_hashes SET workspace_key = ? WHERE workspace_key = ?')
      .run(keyOf(now), keyOf(old));
    database
      .prepare(
        'UPDATE workspace_path_aliases SET alias_path = ?, alias_key = ?, workspace_path = ?, workspace_key = ? WHERE workspace_path = ?',
      )
      .run(now, keyOf(now), now, keyOf(now), old);
  }
  for (const { raw_json: json } of database.prepare('SELECT raw_json FROM exec_approvals_config').all())
    database
      .prepare('UPDATE exec_approvals_config SET raw_json = ?, socket_path = ?')
      .run(move(String(json)), `${to}/exec-approvals.sock`);
  database.exec('DELETE FROM state_leases; DELETE FROM agent_database_leases; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  database.close();
}
