// Real molt processes, ended by SIGKILL between their first write and their last fsync: only those count. Afterwards the repository
// opens, verifies whole, and holds the old state or the new one; the next commit works; and nothing is left that would pile up.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { backUp } from '../../src/ops/backup.ts';
import { openAgent } from '../../src/ops/open.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { changeState, contextAt, judge, LABEL, type Machine, machineAt, makeState } from './machine.ts';
import { OPERATIONS } from './operations.ts';
import { runMolt } from './real-molt.ts';

/** Kills in the whole campaign. */
const KILLS = 360;
const OLD_MS = 3 * 3_600_000;

interface Command {
  readonly name: string;
  readonly argv: (machine: Machine) => string[];
}

const COMMANDS: readonly Command[] = [
  {
    name: 'init',
    argv: ({ stateDir, recoveryFile }) => ['init', LABEL, '--state', stateDir, '--recovery-key-file', recoveryFile],
  },
  { name: 'commit', argv: () => ['commit', LABEL] },
  { name: 'backup create --full', argv: () => ['backup', 'create', LABEL, '--full'] },
  { name: 'key add', argv: ({ root }) => ['key', 'add', 'recovery', '--recovery-key-file', join(root, 'second.txt')] },
  { name: 'tag', argv: () => ['tag', 'kept', '-a', LABEL] },
  { name: 'restore', argv: ({ restored }) => ['restore', LABEL, '--to', restored, '--yes'] },
];

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  if (process.platform !== 'linux') {
    tally.skip('kills', 'the hook reads /proc');
    return;
  }
  const random = seeded(`${run.seed} kills`);
  const each = Math.ceil((KILLS * run.share) / COMMANDS.length);
  for (const command of COMMANDS) {
    const base = join(run.base, command.name.replaceAll(' ', '-'));
    await killMany({ ...run, base }, command, { each, random, tally }).catch((error: unknown) =>
      tally.fail(`${run.seed}: kills of ${command.name}`, error),
    );
  }
}

async function killMany(
  { base, seed }: CampaignRun,
  command: Command,
  { each, random, tally }: { readonly each: number; readonly random: () => number; readonly tally: Tally },
): Promise<void> {
  const machine = machineAt(join(base, 'root'), join(base, 'state'));
  const before = join(base, 'before');
  mkdirSync(machine.root, { recursive: true });
  makeState(machine.stateDir, seeded(`${seed} state`));
  if (command.name !== 'init') {
    await OPERATIONS.find(({ name }) => name === 'commit')?.prepare(machine);
    mkdirSync(dirname(machine.restored));
  }
  cpSync(machine.root, before, { recursive: true, preserveTimestamps: true });
  const old = await shapeOf(machine);
  const argv = command.argv(machine);
  let marks = '';
  const whole = await runMolt(machine, argv, { hooked: true, onMark: (mark) => (marks += mark) });
  if (whole.status !== 0) throw new Error(`undisturbed it ended with ${whole.status}: ${whole.output}`);
  const expected = { old, new: await shapeOf(machine) };
  const operations = count(marks, '+');
  const flushes = count(marks, 'f');
  let landed = 0;
  for (let tried = 0; landed < each && tried < each * 4; tried += 1) {
    rmSync(machine.root, { recursive: true });
    cpSync(before, machine.root, { recursive: true, preserveTimestamps: true });
    const at = 1 + Math.floor(random() * operations);
    const isOwnHand = tried % 2 === 0;
    let seen = '';
    const { signal } = await runMolt(machine, argv, {
      hooked: true,
      env: isOwnHand ? { MOLT_KILL_AT: String(at) } : {},
      onMark(mark, child) {
        seen += mark;
        if (!isOwnHand && count(seen, '+') === at) child.kill('SIGKILL');
      },
    });
    tally.add('processes that were to be killed');
    // A kill counts if something was begun, and not everything was flushed.
    if (signal !== 'SIGKILL' || count(seen, '+') === 0 || count(seen, 'f') >= flushes) continue;
    landed += 1;
    tally.add(`${command.name}: killed between first write and last fsync`);
    const place = `${seed}: ${command.name}, killed at ${at} ${isOwnHand ? 'by itself' : 'from outside'}`;
    await checkLeft(machine, expected, tally).catch((error: unknown) => tally.fail(place, error));
  }
  tally.add('killed between first write and last fsync', landed);
  rmSync(base, { recursive: true, force: true });
}

function count(marks: string, mark: string): number {
  return marks.split(mark).length - 1;
}

/** Returns what a machine holds, without the ids, which the real clock makes new each time. */
async function shapeOf(machine: Machine): Promise<string> {
  const lines = (await judge(machine, 0)).split('\n');
  const shapes = lines.map((line) => line.replace(/ [0-9a-f]{40}$/, '').replace(/\d{8}T\d{6}Z/, 'TIME'));
  return [...shapes, `commits ${await countCommits(machine)}`].join('\n');
}

async function countCommits(machine: Machine): Promise<number> {
  const agents = await contextAt(machine, 0).home.listAgents();
  if (agents.length === 0) return 0;
  await using open = await openAgent(contextAt(machine, 0), LABEL);
  return (await open.repository.index.listCommits()).length;
}

async function checkLeft(machine: Machine, expected: { old: string; new: string }, tally: Tally): Promise<void> {
  const left = await shapeOf(machine);
  if (left !== expected.old && left !== expected.new)
    throw new Error(`neither the old state nor the new one:\n${left}`);
  tally.add(
    left === expected.new && expected.old !== expected.new ? 'the new state was there' : 'the old state was there',
  );
  // The next run on this machine: another init where there is no agent, else a commit, with what was left grown old.
  age(machine.root);
  if (!left.includes('agent')) {
    rmSync(machine.recoveryFile, { force: true });
    await OPERATIONS.find(({ name }) => name === 'init')?.act(machine);
  }
  changeState(machine.stateDir, 'next');
  const next = contextAt(machine, 30);
  await backUp(next, LABEL, { kind: 'incremental', trigger: 'cli' });
  await judge(machine, 31);
  const litter = findLitter(machine, (await next.home.listAgents()).length);
  if (litter.length > 0) throw new Error(`left behind: ${litter.join(', ')}`);
}

/** Makes everything old enough for a sweep, which spares what is fresh. */
function age(dir: string): void {
  const then = (Date.now() - OLD_MS) / 1000;
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) utimesSync(join(dir, name), then, then);
}

function findLitter(machine: Machine, agents: number): string[] {
  const list = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
  const { homeDir, restored } = machine;
  const repositories = list(join(homeDir, 'repositories'));
  return [
    ...(repositories.length > agents ? [`${repositories.length - agents} repositories without a label`] : []),
    ...list(join(homeDir, 'unfinished')),
    ...list(join(homeDir, 'tmp')),
    ...repositories.flatMap((id) => list(join(homeDir, 'repositories', id, 'tmp'))),
    ...list(dirname(restored)).filter((name) => join(dirname(restored), name) !== restored),
    ...list(join(homeDir, 'agents')).filter((name) => !name.endsWith('.json')),
    ...list(join(homeDir, 'cache')).filter((name) => !statSync(join(homeDir, 'cache', name)).isDirectory()),
  ];
}
