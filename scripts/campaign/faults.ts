// Every operation of molt, failed at every single operation of the file system that it asks for, in every way: afterwards the
// repository opens, verifies whole, and holds the old state or the new one; the operation done again succeeds.

import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { failEverywhere } from './every-fault.ts';
import { judge, machineAt, makeState } from './machine.ts';
import { type Operation, OPERATIONS, retry } from './operations.ts';

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  if (process.platform !== 'linux') {
    tally.skip('faults', 'a power cut is simulated on Linux alone');
    return;
  }
  for (const operation of OPERATIONS) {
    await failOperation({ ...run, base: join(run.base, operation.name.replaceAll(' ', '-')) }, operation, tally);
  }
}

async function failOperation({ base, seed, share }: CampaignRun, operation: Operation, tally: Tally): Promise<void> {
  const machine = machineAt(join(base, 'root'), join(base, 'state'));
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  await operation.prepare(machine);
  const before = await judge(machine, 9);
  let after = before;
  await failEverywhere(
    {
      name: operation.name,
      seed,
      share,
      machine,
      act: () => operation.act(machine),
      succeeded: async () => {
        after = await judge(machine, 11);
      },
      judge: async ({ error, isDead, place }) => {
        const left = await judge(machine, 11);
        // A database whose private copy can't be read is left out of the commit, which says so.
        if (left !== after && place.includes('/tmp/capture-') && !isDead) return;
        if (left !== before && left !== after) throw new Error(`neither the old state nor the new one:\n${left}`);
        if (error === undefined && left !== after) throw new Error('reported as done, and is not');
        await retry(operation, machine, left === after && before !== after);
        const again = await judge(machine, 12);
        if (left === before && again !== after) throw new Error(`done again, and is not there:\n${again}`);
      },
    },
    tally,
  );
  rmSync(base, { recursive: true, force: true });
}
