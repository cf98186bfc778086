// A restore in place, failed at every single operation of the file system that it asks for, in every way. Afterwards the repository
// verifies whole, and of the agent itself nothing is lost: without a note of a restore its files are as they were; with one, undo
// brings them back as they were, and doing it again brings the moment back.

import { type Fault, FAULTS, FaultSession } from './faulty-fs.ts';
import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isMoltError } from '../../src/model/error.ts';
import { unforeseenFailure } from '../../src/model/system-error.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { findUndo, restoreInPlace } from '../../src/ops/in-place.ts';
import { openAgent } from '../../src/ops/open.ts';
import { readRestoreNote } from '../../src/ops/restore-journal.ts';
import { resolveRevision } from '../../src/ops/revision.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { changeState, contextAt, describeTree, judge, LABEL, type Machine, machineAt, makeState } from './machine.ts';
import { commits } from './operations.ts';

const WRITES_ONLY: readonly Fault[] = ['full', 'short', 'torn'];

/** The campaign. */
export async function campaign({ base, seed, share }: CampaignRun, tally: Tally): Promise<void> {
  if (process.platform !== 'linux') {
    tally.skip('in place', 'a power cut is simulated on Linux alone');
    return;
  }
  const machine = machineAt(join(base, 'root'), join(base, 'root/state'));
  const before = join(base, 'before');
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  await commits(machine);
  changeState(machine.stateDir, 'now');
  writeFileSync(join(machine.stateDir, 'media.bin'), 'no longer large');
  rmSync(join(machine.stateDir, 'empty'), { recursive: true });
  const commit = await findFirst(machine);
  const now = describe(machine);
  cpSync(machine.root, before, { recursive: true, preserveTimestamps: true });
  const counting = new FaultSession(machine.root, () => 0);
  const error = await counting.run(() => restore(machine, commit, 10));
  if (error !== undefined) throw new Error('undisturbed it failed', { cause: error });
  const subject = { machine, commit, before, now, first: describe(machine), tally };
  tally.add('in place: operations of the file system', counting.operations.length);
  const pick = seeded(`${seed} in place`);
  for (const fault of FAULTS) {
    const isPower = fault.startsWith('power');
    for (let at = 1; at <= counting.operations.length + (isPower ? 1 : 0); at += 1) {
      const isWrite = counting.operations[at - 1]?.startsWith('write') === true;
      if ((!isWrite && WRITES_ONLY.includes(fault)) || pick() >= share) continue;
      const place = `${seed}: in place, ${fault} at ${at} (${counting.operations[at - 1] ?? 'its end'})`;
      await failOnce(subject, { at, kind: fault }, place).catch((cause: unknown) => tally.fail(place, cause));
    }
  }
}

interface Subject {
  readonly machine: Machine;
  readonly commit: CommitId;
  /** What the root is before the restore. */
  readonly before: string;
  /** The agent's files before and after it. */
  readonly now: string;
  readonly first: string;
  readonly tally: Tally;
}

async function failOnce(subject: Subject, fault: { at: number; kind: Fault }, place: string): Promise<void> {
  const { machine, commit, before, now, first, tally } = subject;
  rmSync(machine.root, { recursive: true, force: true });
  cpSync(before, machine.root, { recursive: true, preserveTimestamps: true });
  const session = new FaultSession(machine.root, seeded(place), fault);
  const error = await session.run(() => restore(machine, commit, 10));
  const isPower = fault.kind.startsWith('power');
  if (!session.struck && !isPower) return;
  if (error !== undefined && !session.isDead && !isMoltError(unforeseenFailure(error)))
    throw new Error(`not a MoltError: ${error instanceof Error ? error.stack : 'no Error'}`);
  if (isPower || error === undefined) {
    const after = `${machine.root}.after`;
    session.cutPower(after, fault.kind.endsWith('kept'));
    rmSync(machine.root, { recursive: true });
    renameSync(after, machine.root);
  }
  tally.add(`in place: ${fault.kind}`);
  await judge(machine, 11);
  const phase = await phaseOf(machine);
  if (error === undefined && phase !== 'done') throw new Error(`reported as done, and is ${phase ?? 'not begun'}`);
  if (phase === 'done') expect(machine, first, 'what is noted as done is not');
  if (phase === undefined) expect(machine, now, 'nothing is noted, and files differ');
  if (phase !== undefined) await undo(machine, 12);
  expect(machine, now, 'what was there does not come back');
  await restore(machine, commit, 13);
  expect(machine, first, 'done again, and is not there');
  await judge(machine, 14);
}

function describe(machine: Machine): string {
  return describeTree(machine.stateDir, 'state')
    .filter((line) => !line.startsWith('state/.molt-restore'))
    .map((line) => line.replace(/^(state\/memory\.db \d+) .*$/, (_, head: string) => `${head} ${readRows(machine)}`))
    .join('\n');
}

/** Reads what the database holds. Its bytes tell more than that: how it was read when it was saved is in its header. */
function readRows(machine: Machine): string {
  const copy = `${machine.root}.memory.db`;
  cpSync(join(machine.stateDir, 'memory.db'), copy);
  const database = new DatabaseSync(copy);
  try {
    return JSON.stringify(database.prepare('SELECT * FROM memory ORDER BY id').all());
  } finally {
    database.close();
    rmSync(copy);
  }
}

function expect(machine: Machine, wanted: string, otherwise: string): void {
  const found = describe(machine);
  if (found !== wanted) throw new Error(`${otherwise}:\n${found}\nand not\n${wanted}`);
}

async function findFirst(machine: Machine): Promise<CommitId> {
  const context = contextAt(machine, 9);
  await using open = await openAgent(context, LABEL);
  return await resolveRevision(context, open, 'HEAD~3');
}

async function restore(machine: Machine, commit: CommitId, minutes: number): Promise<void> {
  const context = contextAt(machine, minutes);
  await using open = await openAgent(context, LABEL);
  await restoreInPlace(context, open, commit);
}

async function undo(machine: Machine, minutes: number): Promise<void> {
  const context = contextAt(machine, minutes);
  await using open = await openAgent(context, LABEL);
  await restoreInPlace(context, open, await findUndo(context, open));
}

async function phaseOf(machine: Machine): Promise<string | undefined> {
  const context = contextAt(machine, 11);
  const agent = await context.home.findAgent(LABEL);
  return agent && (await readRestoreNote(context.home, agent))?.phase;
}
