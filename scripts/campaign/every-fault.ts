// Something that molt does, failed at every single operation of the file system that it asks for, in every way.

import { cpSync, renameSync, rmSync } from 'node:fs';
import { isMoltError } from '../../src/model/error.ts';
import { unforeseenFailure } from '../../src/model/system-error.ts';
import { seeded, type Tally } from './campaign.ts';
import { type Fault, FAULTS, FaultSession } from './faulty-fs.ts';
import type { Machine } from './machine.ts';

const WRITES_ONLY: readonly Fault[] = ['full', 'short', 'torn'];

/** What is failed. */
export interface Failed {
  readonly name: string;
  readonly seed: string;
  /** How many of the places are tried, from 0 to 1. */
  readonly share: number;
  readonly machine: Machine;
  readonly act: () => Promise<void>;
  /** Called when it was done undisturbed, before any fault. */
  readonly succeeded: () => Promise<void>;
  /** Judges what a fault left behind. @param place where it struck, in words */
  readonly judge: (after: {
    readonly error: unknown;
    readonly isDead: boolean;
    readonly place: string;
  }) => Promise<void>;
}

/** Does something undisturbed, counts its operations, and then fails it at each. Whoever finds fault is tallied. */
export async function failEverywhere(failed: Failed, tally: Tally): Promise<void> {
  const { name, seed, share, machine, act } = failed;
  const before = `${machine.root}.before`;
  cpSync(machine.root, before, { recursive: true, preserveTimestamps: true });
  const counting = new FaultSession(machine.root, () => 0);
  const error = await counting.run(act);
  if (error !== undefined) throw new Error('undisturbed it failed', { cause: error });
  await failed.succeeded();
  tally.add(`${name}: operations of the file system`, counting.operations.length);
  const pick = seeded(`${seed} ${name}`);
  for (const fault of FAULTS) {
    const isPower = fault.startsWith('power');
    for (let at = 1; at <= counting.operations.length + (isPower ? 1 : 0); at += 1) {
      const isWrite = counting.operations[at - 1]?.startsWith('write') === true;
      if ((!isWrite && WRITES_ONLY.includes(fault)) || pick() >= share) continue;
      const place = `${seed}: ${name}, ${fault} at ${at} (${counting.operations[at - 1] ?? 'its end'})`;
      const subject = { ...failed, before, tally };
      await failOnce(subject, { at, kind: fault }, place).catch((cause: unknown) => tally.fail(place, cause));
    }
  }
}

async function failOnce(
  { name, machine, before, act, judge, tally }: Failed & { readonly before: string; readonly tally: Tally },
  fault: { readonly at: number; readonly kind: Fault },
  place: string,
): Promise<void> {
  rmSync(machine.root, { recursive: true, force: true });
  cpSync(before, machine.root, { recursive: true, preserveTimestamps: true });
  const session = new FaultSession(machine.root, seeded(place), fault);
  const error = await session.run(act);
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
  tally.add(`${name}: ${fault.kind}`);
  await judge({ error, isDead: session.isDead, place });
}
