// Many real processes that commit to one repository, and objects planted in a log by somebody who can write to its folder.

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSegmentName, segmentName } from '../../src/format/segment.ts';
import type { GitId } from '../../src/model/ids.ts';
import { backUp } from '../../src/ops/backup.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import { openAgent } from '../../src/ops/open.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { writeCheckpoint } from '../../src/repo/checkpoints.ts';
import { readCommit } from '../../src/repo/git.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { changeState, contextAt, judge, LABEL, type Machine, machineAt, makeState } from './machine.ts';
import { OPERATIONS } from './operations.ts';
import { runMolt } from './real-molt.ts';

/** Commits of one process in the whole campaign. */
const COMMITS = 20;

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  for (const count of [2, 8]) {
    for (const isSame of [false, true]) {
      const place = `${run.seed}: ${count} processes, ${isSame ? 'one agent' : 'agents of their own'}`;
      const base = join(run.base, `${count}-${isSame}`);
      await race({ ...run, base }, { count, isSame, tally }).catch((error: unknown) => tally.fail(place, error));
    }
  }
  await plantMany({ ...run, base: join(run.base, 'planted') }, tally).catch((error: unknown) =>
    tally.fail(`${run.seed}: planted objects`, error),
  );
  tally.skip('a folder at the next number', 'commits are refused, with a clear error, until it is removed');
  tally.skip('a pruned number', 'nothing prunes a log yet');
}

async function makeMachine(base: string, seed: string): Promise<Machine> {
  const machine = machineAt(join(base, 'root'), join(base, 'state'));
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  await OPERATIONS.find(({ name }) => name === 'init')?.act(machine);
  return machine;
}

async function race(
  { base, seed, share }: CampaignRun,
  { count, isSame, tally }: { readonly count: number; readonly isSame: boolean; readonly tally: Tally },
): Promise<void> {
  const machine = await makeMachine(base, seed);
  const { home } = contextAt(machine, 0);
  const agent = await home.findAgent(LABEL);
  if (agent === undefined) throw new Error('there is no agent');
  const labels = [LABEL];
  for (let index = 1; index < (isSame ? 1 : count); index += 1) {
    const label = `bot${index}`;
    const stateDir = join(base, `state${index}`);
    makeState(stateDir, seeded(`${seed} state ${index}`));
    await home.addAgent({ ...agent, label, branch: label, stateDir });
    labels.push(label);
  }
  const commits = Math.max(2, Math.round(COMMITS * share));
  const made = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      commitInTurn(machine, { label: labels[index % labels.length] ?? LABEL, index, commits, base }),
    ),
  );
  await judge(machine, 5);
  await using open = await openAgent(contextAt(machine, 5), LABEL);
  const { repository } = open;
  const found = new Set<string>();
  for (const [name, id] of repository.refs) {
    if (!name.startsWith('refs/heads/')) continue;
    for (let at: GitId | undefined = id; at !== undefined;) {
      if (found.has(at)) throw new Error(`${at} is on two branches, or twice on one`);
      found.add(at);
      at = (await readCommit(repository, at)).parents[0];
    }
  }
  const lost = made.flat().filter((id) => !found.has(id));
  if (lost.length > 0) throw new Error(`${lost.length} commits are lost: ${lost.join(', ')}`);
  if (found.size !== made.flat().length + 1)
    throw new Error(`${found.size} commits, but ${made.flat().length + 1} were made`);
  const numbers = readdirSync(join(repository.storage.label, 'log')).map((name) => parseSegmentName(`log/${name}`));
  if (numbers.length !== found.size || Math.max(...numbers.map(Number)) !== found.size)
    throw new Error('the log has gaps');
  tally.add(
    `commits of ${count} processes to ${isSame ? 'one branch' : 'branches of their own'}, none lost`,
    made.flat().length,
  );
  rmSync(base, { recursive: true, force: true });
}

async function commitInTurn(
  machine: Machine,
  { label, index, commits, base }: { label: string; index: number; commits: number; base: string },
): Promise<string[]> {
  const made: string[] = [];
  const stateDir = label === LABEL ? machine.stateDir : join(base, `state${index}`);
  for (let turn = 0; turn < commits; turn += 1) {
    writeFileSync(join(stateDir, `turn-${index}.md`), `${turn}\n`);
    const { status, output, stdout } = await runMolt(machine, ['commit', label, '--json']);
    if (status !== 0) throw new Error(`molt commit ended with ${status}: ${output}`);
    const document = JSON.parse(stdout) as { id?: string; commit?: string; unchanged: boolean };
    const id = document.id ?? document.commit;
    if (id === undefined) throw new Error(`no id in ${stdout}`);
    if (!document.unchanged) made.push(id);
  }
  return made;
}

/** What somebody plants, given the number that comes next and the folder of the log. */
const PLANTS: Readonly<Record<string, (next: number, dir: string) => void>> = {
  'at the next number': (next, dir) => plant(dir, next),
  'at a far number': (next, dir) => plant(dir, next + 1_000_000),
  '20 in a row': (next, dir) => {
    for (let index = 0; index < 20; index += 1) plant(dir, next + index);
  },
  'at every second number': (next, dir) => {
    for (let index = 0; index < 8; index += 1) plant(dir, next + 2 * index);
  },
  'an earlier segment at the next number': (next, dir) => cpSync(segmentPath(dir, next - 1), segmentPath(dir, next)),
  'an empty object at the next number': (next, dir) => writeFileSync(segmentPath(dir, next), ''),
};

function plant(dir: string, seq: number): void {
  writeFileSync(segmentPath(dir, seq), `planted at ${seq}`);
}

function segmentPath(dir: string, seq: number): string {
  return join(dir, segmentName(seq).slice('log/'.length));
}

async function plantMany({ base, seed }: CampaignRun, tally: Tally): Promise<void> {
  for (const [what, act] of Object.entries(PLANTS)) {
    const dir = join(base, what.replaceAll(' ', '-'));
    await plantOnce(dir, seed, act).catch((error: unknown) => tally.fail(`${seed}: planted ${what}`, error));
    tally.add('ways to squat numbers of the log');
  }
}

/** A writer with a stale view, others that committed since, and what was planted after them. */
async function plantOnce(base: string, seed: string, act: (next: number, dir: string) => void): Promise<void> {
  const machine = await makeMachine(base, seed);
  const context = contextAt(machine, 2);
  await using stale = await openAgent(context, LABEL);
  const made: string[] = [];
  for (let index = 0; index < 3; index += 1) {
    changeState(machine.stateDir, `others ${index}`);
    made.push((await backUp(contextAt(machine, 3 + index), LABEL, { kind: 'incremental', trigger: 'cli' })).id);
  }
  const logDir = join(stale.repository.storage.label, 'log');
  act(5, logDir);
  const planted = new Map(readdirSync(logDir).map((name) => [`log/${name}`, name]));
  for (let index = 0; index < 3; index += 1) {
    changeState(machine.stateDir, `stale ${index}`);
    made.push((await commitAgent(context, stale.agent, stale.repository, { kind: 'incremental', trigger: 'cli' })).id);
  }
  await writeCheckpoint(stale.repository, { atLeisure: true });
  changeState(machine.stateDir, 'last');
  made.push((await backUp(contextAt(machine, 9), LABEL, { kind: 'incremental', trigger: 'cli' })).id);
  await using open = await openAgent(contextAt(machine, 9), LABEL);
  let at: GitId | undefined = open.repository.refs.get('refs/heads/main');
  for (const id of made.toReversed()) {
    if (at !== id) throw new Error(`${id} is not where it was put`);
    at = (await readCommit(open.repository, id as GitId)).parents[0];
  }
  const { problems, commits } = await verifyAgent(contextAt(machine, 9), LABEL, { readShare: 1, repair: false });
  const others = problems.filter(({ object }) => !planted.has(object));
  if (others.length > 0 || commits.hurt.length > 0) throw new Error(`verify found ${JSON.stringify(others)}`);
  for (const name of planted.values())
    if (readSafe(join(logDir, name)).startsWith('planted')) rmSync(join(logDir, name));
}

function readSafe(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
