// The operations of molt that write, each with what it needs to be there.

import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalRuns, waitingRuns } from '../../src/catalog/local-runs.ts';
import { readEmbedded } from '../../src/catalog/read-runs.ts';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import { writeCheckpoint } from '../../src/repo/checkpoints.ts';
import { backUp } from '../../src/ops/backup.ts';
import { KeptAgent } from '../../src/ops/daemon-agent.ts';
import { applySchedule, planSchedule } from '../../src/ops/schedule-install.ts';
import { loadRuns } from '../../src/ops/schedule-runs.ts';
import { exportBundle } from '../../src/ops/bundle.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { addHold } from '../../src/ops/hold.ts';
import { Home } from '../../src/ops/home.ts';
import { importBundle } from '../../src/ops/import.ts';
import { initAgent } from '../../src/ops/init.ts';
import { addKey, removeKey } from '../../src/ops/key.ts';
import { openAgent, resolveAgent } from '../../src/ops/open.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../src/ops/recovery-key-file.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { openRunKey } from '../../src/ops/run-keys.ts';
import { createTag } from '../../src/ops/tag.ts';
import { changeState, contextAt, LABEL, type Machine } from './machine.ts';

/** An operation. Times are minutes, so that the same act gives the same ids. */
export interface Operation {
  readonly name: string;
  readonly prepare: (machine: Machine) => Promise<void>;
  readonly act: (machine: Machine) => Promise<void>;
}

async function init(machine: Machine): Promise<void> {
  const context = contextAt(machine, 1);
  // As the command does it.
  let isWritten = false;
  await initAgent(context, {
    label: LABEL,
    stateDir: machine.stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async (text) => {
      await writeRecoveryKeyFile(machine.recoveryFile, text);
      isWritten = true;
    },
  }).catch(async (error: unknown) => {
    const isKept = (await context.home.findAgent(LABEL).catch(() => undefined)) !== undefined;
    if (isWritten && !isKept) await dropRecoveryKeyFile(machine.recoveryFile);
    throw error;
  });
}

async function commit(machine: Machine, minutes: number, full = false): Promise<void> {
  await backUp(contextAt(machine, minutes), LABEL, { kind: full ? 'full' : 'incremental', trigger: 'cli', full });
}

/** Makes an agent with a few commits. */
export async function commits(machine: Machine): Promise<void> {
  await init(machine);
  for (let index = 2; index < 5; index += 1) {
    changeState(machine.stateDir, `before ${index}`);
    await commit(machine, index);
  }
}

async function changed(machine: Machine): Promise<void> {
  await commits(machine);
  changeState(machine.stateDir, 'now');
}

async function checkpoint(machine: Machine, minutes: number): Promise<void> {
  await using open = await openAgent(contextAt(machine, minutes), LABEL);
  await writeCheckpoint(open.repository, { atLeisure: true });
}

/** Schedules the agent, and does what the daemon does when it is due. */
async function scheduledTick(machine: Machine): Promise<void> {
  const context = contextAt(machine, 10);
  const agent = await resolveAgent(context, LABEL);
  const plan = await planSchedule(context, agent, { everyMs: 60_000 });
  await applySchedule(context, plan);
  const kept = new KeptAgent(context, {
    label: LABEL,
    schedule: plan.schedule,
    runs: await loadRuns(context.home, LABEL),
    fullSpreadMs: () => 0,
    afterFull: undefined,
    tell: () => {},
  });
  await kept.commit();
  const [failing] = kept.runs.failing;
  if (failing !== undefined) throw new MoltError('IO', failing.message);
}

/** All of them. */
export const OPERATIONS: readonly Operation[] = [
  { name: 'init', prepare: async () => {}, act: init },
  { name: 'commit', prepare: changed, act: (machine) => commit(machine, 10) },
  { name: 'a tick of the daemon', prepare: changed, act: scheduledTick },
  { name: 'full backup', prepare: changed, act: (machine) => commit(machine, 10, true) },
  {
    name: 'checkpoint that merges index runs',
    async prepare(machine) {
      await commits(machine);
      await checkpoint(machine, 6);
      changeState(machine.stateDir, 'between');
      await commit(machine, 7);
      await checkpoint(machine, 8);
      await changeAndCommit(machine);
    },
    act: (machine) => checkpoint(machine, 10),
  },
  { name: 'commit, noted in the backup log', prepare: changed, act: commitNoted },
  {
    name: 'key add',
    prepare: commits,
    async act(machine) {
      await addKey(contextAt(machine, 10), LABEL, {
        type: 'passphrase',
        label: 'second',
        passphrase: async () => 'second',
      });
    },
  },
  {
    name: 'key remove',
    prepare: commits,
    async act(machine) {
      const context = contextAt(machine, 10);
      const id = await findPassphraseSlot(machine);
      if (id === undefined) return;
      await removeKey(context, LABEL, id);
    },
  },
  {
    name: 'tag',
    prepare: commits,
    async act(machine) {
      await createTag(contextAt(machine, 10), LABEL, { name: 'kept', revision: 'latest' });
    },
  },
  {
    name: 'hold',
    prepare: commits,
    async act(machine) {
      await addHold(contextAt(machine, 10), { agent: LABEL, words: [] });
    },
  },
  {
    name: 'restore',
    prepare: commits,
    async act(machine) {
      const context = contextAt(machine, 10);
      await using open = await openAgent(context, LABEL);
      const plan = await planRestore(context, open, {
        revision: undefined,
        timestamp: undefined,
        dir: machine.restored,
      });
      await applyRestore(context, open, plan);
    },
  },
  {
    name: 'push to a folder',
    async prepare(machine) {
      await commits(machine);
      const url = `file://${machine.root}/remote`;
      await addRemote(contextAt(machine, 6), LABEL, { name: 'origin', url, singleWriter: false });
      await push(contextAt(machine, 7), LABEL);
      await changeAndCommit(machine);
    },
    async act(machine) {
      const context = contextAt(machine, 10);
      await push(context, LABEL);
      await mustBeSound(context, LABEL, 'origin');
    },
  },
  {
    name: 'import of a bundle',
    async prepare(machine) {
      await commits(machine);
      await using open = await openAgent(contextAt(machine, 6), LABEL);
      const bundle: Uint8Array[] = [];
      const write = async (bytes: Uint8Array): Promise<void> => void bundle.push(Buffer.from(bytes));
      await exportBundle(contextAt(machine, 7), open, { label: 'bundle', write });
      writeFileSync(join(machine.root, 'bundle'), Buffer.concat(bundle));
    },
    async act(machine) {
      const context = { ...contextAt(machine, 10), home: new Home(join(machine.root, 'other')) };
      await importBundle(context, { from: join(machine.root, 'bundle'), name: 'bundle', label: 'moved' });
      await mustBeSound(context, 'moved', undefined);
    },
  },
];

/** Commits with a note of it, which the log then takes in; what was noted without a warning is in the log. */
async function commitNoted(machine: Machine): Promise<void> {
  const warnings: string[] = [];
  const warn = (text: string): void => void warnings.push(text);
  const { home, clock, random, ...others } = contextAt(machine, 10);
  const outside = { homeDir: home.dir, clock, random };
  const runs = new LocalRuns({ ...outside, findUrl: async () => undefined, warn });
  const context = { ...others, home, clock, random, runs, reporter: { progress() {}, warn } };
  const { id } = await backUp(context, LABEL, { kind: 'incremental', trigger: 'cli' });
  const agent = await home.findAgent(LABEL);
  if (agent === undefined) throw new Error('the agent is gone');
  const waiting = waitingRuns(home.dir, agent.repository, [await openRunKey(context, agent)]);
  const { entries, problem } = await readEmbedded(outside, waiting, { limit: 100 }, async () => []);
  if (problem !== undefined) throw problem;
  if (warnings.length === 0 && !entries.some(({ commit }) => commit === id))
    throw new MoltError('DAMAGED', 'the backup log lacks a run that was noted');
}

async function mustBeSound(context: OpsContext, label: string, remote: string | undefined): Promise<void> {
  const { problems } = await verifyAgent(context, label, { readShare: 1, repair: false, remote });
  const [first] = problems;
  if (first !== undefined) throw new MoltError('DAMAGED', `${first.object}: ${first.problem}`);
}

async function changeAndCommit(machine: Machine): Promise<void> {
  changeState(machine.stateDir, 'after');
  await commit(machine, 9);
}

async function findPassphraseSlot(machine: Machine): Promise<string | undefined> {
  await using open = await openAgent(contextAt(machine, 10), LABEL);
  const slot = open.keyring.slots.find(({ type }) => type === 'passphrase');
  return slot === undefined ? undefined : slot.id;
}

/** Does an operation again after a fault, as a user would; what says that all is done already is no failure. */
export async function retry(operation: Operation, machine: Machine, isDone: boolean): Promise<void> {
  // A recovery key that a killed init left opens nothing, and molt never writes over one: the user deletes it.
  if (operation.name === 'init' && !isDone) rmSync(machine.recoveryFile, { force: true });
  // What a killed import left is removed by the next process; this one lives, so its leavings are not taken for anybody's.
  const other = new Home(join(machine.root, 'other'));
  if (operation.name.startsWith('import') && (await other.listAgents()).length === 0)
    for (const name of ['repositories', 'unfinished']) rmSync(join(other.dir, name), { recursive: true, force: true });
  try {
    await operation.act(machine);
  } catch (error) {
    if (!isDone || !isMoltError(error, 'EXISTS')) throw error;
  }
}
