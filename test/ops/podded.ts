// A machine whose agent `bot` is the notes agent of the examples: its state as files, its pod.json in each commit, and what runs of it.

import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ExecutionContext } from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { backUp } from '../../src/ops/backup.ts';
import { readCommitView, readRestoreEntries } from '../../src/ops/commit-files.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import type { Agent } from '../../src/ops/home.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { podDir } from '../../src/ops/pod-record.ts';
import { findMoment } from '../../src/ops/restore.ts';
import {
  applyPodRestore,
  planPodRestore,
  type PodRestoreOptions,
  type PodRestoreResult,
} from '../../src/ops/restore-pod.ts';
import { freePort, killAtEnd, notesSpec } from '../pod/agent.ts';
import { makeMachine, type Machine } from './machine.ts';

/** A machine with the notes agent. */
export interface Podded extends Machine {
  /** The port that its pod.json asks for. */
  readonly port: number;
  readonly home: string;
  agent(label?: string): Promise<Agent>;
  /** Restores a moment into a new pod; what runs of it ends with the test. */
  target(
    name: string,
    revision?: string,
    options?: Partial<PodRestoreOptions>,
    context?: OpsContext,
  ): Promise<PodRestoreResult>;
}

/** Consents to everything. */
export const yes = async (): Promise<boolean> => true;

/**
 * Makes the machine; its newest commit holds the note `one`.
 * @param more fields of its pod.json
 * @param within the folder in which all of it lies
 */
export async function makePodded(
  t: ExecutionContext,
  more: Readonly<Record<string, unknown>> = {},
  within?: string,
): Promise<Podded> {
  const machine = await makeMachine(t, undefined, within);
  const { context, stateDir } = machine;
  const port = await freePort();
  const agent = async (label = 'bot'): Promise<Agent> => {
    const found = await context.home.findAgent(label);
    if (found === undefined) throw new Error(`there is no agent ${label}`);
    return found;
  };
  await context.home.updateAgent({ ...(await agent()), pod: notesSpec(port, more) });
  writeNote(stateDir, 'one');
  await machine.commit();
  return {
    ...machine,
    port,
    home: context.home.dir,
    agent,
    async target(name, revision, options = {}, by = context) {
      killPod(t, context, name);
      await using open = await openAgent(by, 'bot');
      const moment = await findMoment(by, open, { revision, timestamp: undefined });
      const plan = await planPodRestore(by, open, moment, name);
      return await applyPodRestore(by, open, plan, { ask: yes, ...options });
    },
  };
}

/** Ends what runs of a pod with the test. */
export function killPod(t: ExecutionContext, { home }: OpsContext, name: string): void {
  killAtEnd(t, { name, dir: podDir(home, name) });
}

/** Writes a note as the agent does. */
export function writeNote(stateDir: string, text: string): void {
  mkdirSync(stateDir, { recursive: true });
  const database = new DatabaseSync(join(stateDir, 'notes.db'));
  database.exec(
    'PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, made TEXT NOT NULL)',
  );
  database.prepare('INSERT INTO notes (text, made) VALUES (?, ?)').run(text, '2026-03-01T00:00:00Z');
  database.close();
}

/** Returns the notes in a folder. */
export function readNotes(stateDir: string): string[] {
  const database = new DatabaseSync(join(stateDir, 'notes.db'), { readOnly: true });
  const rows = database.prepare('SELECT text FROM notes ORDER BY id').all();
  database.close();
  return rows.map(({ text }) => String(text));
}

/** A connection that is kept for the next question may be one that the pod has just closed: each question gets its own. */
const ONCE = { headers: { connection: 'close' } };

/** Asks an agent for its notes. */
export async function askNotes(endpoint: string | undefined): Promise<string[]> {
  const rows = (await (await fetch(`${endpoint}/notes`, ONCE)).json()) as { readonly text: string }[];
  return rows.map(({ text }) => text);
}

/** Tells an agent something. */
export async function tellNote(endpoint: string | undefined, body: string): Promise<void> {
  await fetch(`${endpoint}/notes`, { ...ONCE, method: 'POST', body });
}

/** Commits an agent. */
export async function commitOf(context: OpsContext, label: string): Promise<CommitId> {
  return (await backUp(context, label, { kind: 'incremental', trigger: 'test' })).id;
}

/** Returns the newest commit of a branch. */
export function tipOf({ repository }: OpenAgent, branch: string): CommitId | undefined {
  return repository.refs.get(`refs/heads/${branch}`);
}

/** Returns the paths of a commit. */
export async function pathsOf({ repository }: OpenAgent, commit: CommitId): Promise<string[]> {
  const entries = await readRestoreEntries(repository, await readCommitView(repository, commit));
  return entries.map(({ path }) => path);
}

/** Lists the pods' folders of a machine. */
export function podFolders(home: string): string[] {
  const dir = join(home, 'pods');
  return existsSync(dir) ? readdirSync(dir).filter((name) => !name.startsWith('.')) : [];
}

/** Deletes a state folder, as somebody would by mistake. */
export function deleteState(stateDir: string): void {
  rmSync(stateDir, { recursive: true, force: true });
}
