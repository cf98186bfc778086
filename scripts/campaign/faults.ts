// Every operation of molt, failed at every single operation of the file system that it asks for, in every way: afterwards the
// repository opens, verifies whole, and holds the old state or the new one; the operation done again succeeds.

import { type Fault, FAULTS, FaultSession } from './faulty-fs.ts';
import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isMoltError } from '../../src/model/error.ts';
import { unforeseenFailure } from '../../src/model/system-error.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { judge, type Machine, machineAt, makeState } from './machine.ts';
import { type Operation, OPERATIONS, retry } from './operations.ts';

const WRITES_ONLY: readonly Fault[] = ['full', 'short', 'torn'];

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  if (process.platform !== 'linux') {
    tally.skip('faults', 'a power cut is simulated on Linux alone');
    return;
  }
  for (const operation of OPERATIONS) {
    await failEverywhere({ ...run, base: join(run.base, operation.name.replaceAll(' ', '-')) }, operation, tally);
  }
}

interface Subject {
  readonly operation: Operation;
  readonly machine: Machine;
  /** What the root is before the operation. */
  readonly before: string;
  readonly old: string;
  readonly new: string;
  readonly tally: Tally;
}

async function failEverywhere({ base, seed, share }: CampaignRun, operation: Operation, tally: Tally): Promise<void> {
  const machine = machineAt(join(base, 'root'), join(base, 'state'));
  const before = join(base, 'before');
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  await operation.prepare(machine);
  const old = await judge(machine, 9);
  cpSync(machine.root, before, { recursive: true, preserveTimestamps: true });
  const counting = new FaultSession(machine.root, () => 0);
  const error = await counting.run(() => operation.act(machine));
  if (error !== undefined) throw new Error('undisturbed it failed', { cause: error });
  const subject = { operation, machine, before, old, new: await judge(machine, 11), tally };
  tally.add(`${operation.name}: operations of the file system`, counting.operations.length);
  const pick = seeded(`${seed} ${operation.name}`);
  for (const fault of FAULTS) {
    const isPower = fault.startsWith('power');
    for (let at = 1; at <= counting.operations.length + (isPower ? 1 : 0); at += 1) {
      const isWrite = counting.operations[at - 1]?.startsWith('write') === true;
      if ((!isWrite && WRITES_ONLY.includes(fault)) || pick() >= share) continue;
      const place = `${seed}: ${operation.name}, ${fault} at ${at} (${counting.operations[at - 1] ?? 'its end'})`;
      await failOnce(subject, { at, kind: fault }, place).catch((cause: unknown) => tally.fail(place, cause));
    }
  }
  rmSync(base, { recursive: true, force: true });
}

async function failOnce(subject: Subject, fault: { at: number; kind: Fault }, place: string): Promise<void> {
  const { operation, machine, before, tally } = subject;
  rmSync(machine.root, { recursive: true, force: true });
  cpSync(before, machine.root, { recursive: true, preserveTimestamps: true });
  const session = new FaultSession(machine.root, seeded(place), fault);
  const error = await session.run(() => operation.act(machine));
  const isPower = fault.kind.startsWith('power');
  if (!session.struck && !isPower) return;
  // An error that no operation has named gets its words from the command line.
  if (error !== undefined && !session.isDead && !isMoltError(unforeseenFailure(error)))
    throw new Error(`not a MoltError: ${error instanceof Error ? error.stack : 'no Error'}`);
  // What is reported as done must survive a power cut too.
  if (isPower || error === undefined) {
    const after = `${machine.root}.after`;
    session.cutPower(after, fault.kind.endsWith('kept'));
    rmSync(machine.root, { recursive: true });
    renameSync(after, machine.root);
  }
  tally.add(`${operation.name}: ${fault.kind}`);
  const left = await judge(machine, 11);
  // A database whose private copy can't be read is left out of the commit, which says so.
  if (left !== subject.new && place.includes('/tmp/capture-') && !session.isDead) return;
  if (left !== subject.old && left !== subject.new) throw new Error(`neither the old state nor the new one:\n${left}`);
  if (error === undefined && left !== subject.new) throw new Error('reported as done, and is not');
  await retry(operation, machine, left === subject.new && subject.old !== subject.new);
  const again = await judge(machine, 12);
  if (left === subject.old && again !== subject.new) throw new Error(`done again, and is not there:\n${again}`);
}
