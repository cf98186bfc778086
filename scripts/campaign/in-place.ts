// A restore in place, failed at every single operation of the file system that it asks for, in every way. Afterwards the repository
// verifies whole, and of the agent itself nothing is lost: without a note of a restore its files are as they were; with one, undo
// brings them back as they were, and doing it again brings the moment back.

import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { CommitId } from '../../src/model/ids.ts';
import { findUndo, restoreInPlace } from '../../src/ops/in-place.ts';
import { openAgent } from '../../src/ops/open.ts';
import { readRestoreNote } from '../../src/ops/restore-journal.ts';
import { resolveRevision } from '../../src/ops/revision.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { failEverywhere } from './every-fault.ts';
import { changeState, contextAt, describeTree, judge, LABEL, type Machine, machineAt, makeState } from './machine.ts';
import { commits } from './operations.ts';

/** The campaign. */
export async function campaign({ base, seed, share }: CampaignRun, tally: Tally): Promise<void> {
  if (process.platform !== 'linux') {
    tally.skip('in place', 'a power cut is simulated on Linux alone');
    return;
  }
  const machine = machineAt(join(base, 'root'), join(base, 'root/state'));
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  await commits(machine);
  changeState(machine.stateDir, 'now');
  writeFileSync(join(machine.stateDir, 'media.bin'), 'no longer large');
  rmSync(join(machine.stateDir, 'empty'), { recursive: true });
  const commit = await findFirst(machine);
  const now = describe(machine);
  let first = now;
  await failEverywhere(
    {
      name: 'in place',
      seed,
      share,
      machine,
      act: () => restore(machine, commit, 10),
      succeeded: async () => {
        first = describe(machine);
      },
      judge: async ({ error }) => {
        await judge(machine, 11);
        const phase = await phaseOf(machine);
        if (error === undefined && phase !== 'done')
          throw new Error(`reported as done, and is ${phase ?? 'not begun'}`);
        if (phase === 'done') expect(machine, first, 'what is noted as done is not');
        if (phase === undefined) expect(machine, now, 'nothing is noted, and files differ');
        if (phase !== undefined) await undo(machine, 12);
        expect(machine, now, 'what was there does not come back');
        await restore(machine, commit, 13);
        expect(machine, first, 'done again, and is not there');
        await judge(machine, 14);
      },
    },
    tally,
  );
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
