// Places and times that won't do: a full disk, folders that can't be written or read, a read-only repository, a clock that is wrong.
// Each gives a clear error, or works; what was saved before stays whole. What needs root, mounts or another user is skipped without.

import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backUp } from '../../src/ops/backup.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { changeState, contextAt, judge, LABEL, type Machine, machineAt, makeState } from './machine.ts';
import { OPERATIONS } from './operations.ts';
import { type MoltOptions, runMolt } from './real-molt.ts';

const AS_NOBODY = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];
const READING = [
  ['log', LABEL],
  ['diff', '-a', LABEL],
  ['status', LABEL],
  ['show', 'latest', '-a', LABEL],
  ['verify', LABEL, '--read-data'],
  ['agents'],
];

interface Place {
  readonly run: CampaignRun;
  readonly tally: Tally;
  readonly machine: Machine;
}

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  const cases: Record<string, (place: Place) => Promise<void>> = {
    clock,
    'full disk': fullDisk,
    'read-only disk': readOnly,
    unwritable,
    unreadable,
  };
  for (const [name, work] of Object.entries(cases)) {
    const base = join(run.base, name.replaceAll(' ', '-'));
    const machine = machineAt(join(base, 'root'), join(base, 'state'));
    mkdirSync(machine.root, { recursive: true });
    makeState(machine.stateDir, seeded(`${run.seed} state`));
    await work({ run, tally, machine }).catch((error: unknown) => tally.fail(`${run.seed}: ${name}`, error));
  }
}

async function begin(machine: Machine): Promise<void> {
  await OPERATIONS.find(({ name }) => name === 'init')?.act(machine);
}

async function commitAt(machine: Machine, minutes: number): Promise<void> {
  changeState(machine.stateDir, `at ${minutes}`);
  await backUp(contextAt(machine, minutes), LABEL, { kind: 'incremental', trigger: 'cli' });
}

/** Runs molt; it must work, or say in words what is wrong. */
async function expectRun(
  { machine, tally }: Place,
  argv: readonly string[],
  expected: { readonly statuses: readonly number[]; readonly says?: RegExp },
  options: MoltOptions = {},
): Promise<void> {
  const { status, output } = await runMolt(machine, argv, options);
  tally.add('commands in bad places');
  const isClear = !/this is a bug|^\s+at /m.test(output) && (status === 0 || expected.says?.test(output) !== false);
  if (status === null || !expected.statuses.includes(status) || !isClear)
    throw new Error(`molt ${argv.join(' ')} ended with ${status}: ${output}`);
}

async function clock({ machine, tally }: Place): Promise<void> {
  const day = 24 * 60;
  await begin(machine);
  for (const minutes of [10, -day, 365 * day, 20, -10 * 365 * day]) {
    await commitAt(machine, minutes);
    await judge(machine, minutes);
    tally.add('jumps of the clock');
  }
  if (spawnSync('faketime', ['--version']).error !== undefined) {
    tally.skip('a real process with a wrong clock', 'there is no faketime');
    return;
  }
  const place = { machine, tally, run: { seed: '', share: 1, base: '' } };
  for (const shift of ['-1d', '+365d']) {
    changeState(machine.stateDir, shift);
    await expectRun(place, ['commit', LABEL], { statuses: [0] }, { before: ['faketime', '-f', shift] });
    await judge(machine, 0);
    tally.add('real processes with a wrong clock');
  }
}

/** Mounts something for a while; says whether it could. */
async function withMount(argv: readonly string[], dir: string, work: () => Promise<void>): Promise<boolean> {
  if (process.getuid?.() !== 0 || spawnSync('mount', [...argv, dir]).status !== 0) return false;
  try {
    await work();
  } finally {
    spawnSync('umount', [dir]);
  }
  return true;
}

async function fullDisk(place: Place): Promise<void> {
  const { machine, tally, run } = place;
  const filler = join(machine.root, 'filler');
  const random = seeded(`${run.seed} full disk`);
  const isMounted = await withMount(['-t', 'tmpfs', '-o', 'size=8m', 'molt-campaign'], machine.root, async () => {
    const rounds = Math.max(2, Math.round(20 * run.share));
    for (let round = 0; round < rounds; round += 1) {
      if (round === 1) {
        await begin(machine);
      }
      const freeBytes = Math.floor(random() * 300_000);
      fill(filler, freeBytes);
      changeState(machine.stateDir, `round ${round}`);
      writeFileSync(
        join(machine.stateDir, 'large'),
        Buffer.from(Array.from({ length: 200_000 }, () => random() * 256)),
      );
      const argv =
        round === 0
          ? ['init', LABEL, '--state', machine.stateDir, '--recovery-key-file', machine.recoveryFile]
          : round % 3 === 2
            ? ['restore', LABEL, '--to', machine.restored]
            : ['commit', LABEL];
      if (round === 0) fill(filler, 0);
      await expectRun(place, argv, { statuses: [0, 1], says: /disk is full/ });
      rmSync(filler);
      rmSync(machine.restored, { recursive: true, force: true });
      if (round === 0) continue;
      await judge(machine, round);
      await expectRun(place, ['commit', LABEL], { statuses: [0] });
      tally.add('full disks');
    }
  });
  if (!isMounted) tally.skip('a full disk', 'needs to mount a small one');
}

/** Fills the disk until so many bytes are free. */
function fill(filler: string, freeBytes: number): void {
  rmSync(filler, { force: true });
  spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096']);
  const sizeBytes = Number(spawnSync('stat', ['-c', '%s', filler]).stdout.toString());
  spawnSync('truncate', ['-s', String(Math.max(0, sizeBytes - freeBytes)), filler]);
}

async function readOnly(place: Place): Promise<void> {
  const { machine, tally } = place;
  await begin(machine);
  await commitAt(machine, 2);
  changeState(machine.stateDir, 'changed');
  const elsewhere = join(machine.root, '../elsewhere');
  const isMounted = await withMount(['--bind', machine.root], machine.root, async () => {
    if (spawnSync('mount', ['-o', 'remount,bind,ro', machine.root]).status !== 0) throw new Error('can’t remount');
    for (const argv of [...READING, ['restore', LABEL, '--to', elsewhere]]) {
      await expectRun(place, argv, { statuses: [0] });
    }
    for (const argv of [
      ['commit', LABEL],
      ['tag', 'x', '-a', LABEL],
      ['backup', 'create', LABEL, '--full'],
    ]) {
      await expectRun(place, argv, { statuses: [1], says: /read-only/ });
    }
    const init = ['init', 'other', '--state', machine.stateDir];
    await expectRun(place, init, { statuses: [1], says: /read-only/ });
  });
  if (!isMounted) tally.skip('a read-only disk', 'needs to mount one');
  await judge(machine, 3);
}

/** Says whether molt can be run as another user, whom folder modes bind; gives the machine to that user. */
function giveToNobody({ machine, tally }: Place, what: string): MoltOptions | undefined {
  if (process.getuid?.() !== 0) return {};
  const base = join(machine.root, '..');
  for (let dir = base; dir !== '/' && dir !== '/tmp'; dir = join(dir, '..')) chmodSync(dir, 0o755);
  spawnSync('chown', ['-R', '65534:65534', base]);
  const before = AS_NOBODY;
  const main = join(import.meta.dirname, '../../dist/main.js');
  const [program, ...words] = [...before, process.execPath, main, '--version'];
  if (program !== undefined && spawnSync(program, words).status === 0) return { before };
  tally.skip(what, 'another user can’t run this checkout');
  return undefined;
}

async function unwritable(place: Place): Promise<void> {
  const { machine } = place;
  await begin(machine);
  await commitAt(machine, 2);
  changeState(machine.stateDir, 'changed');
  const options = giveToNobody(place, 'an unwritable repository');
  if (options === undefined) return;
  spawnSync('chmod', ['-R', 'a-w', machine.homeDir]);
  for (const argv of READING) {
    await expectRun(place, argv, { statuses: [0] }, options);
  }
  await expectRun(place, ['commit', LABEL], { statuses: [1], says: /permission denied/ }, options);
  await expectRun(place, ['key', 'add', 'recovery'], { statuses: [1], says: /permission denied/ }, options);
  chmodSync(machine.root, 0o500);
  await expectRun(
    place,
    ['restore', LABEL, '--to', machine.restored],
    { statuses: [1], says: /permission denied/ },
    options,
  );
  chmodSync(machine.root, 0o700);
  spawnSync('chmod', ['-R', 'u+w', machine.homeDir]);
  await expectRun(place, ['commit', LABEL], { statuses: [0] }, options);
  await judge(machine, 3);
}

async function unreadable(place: Place): Promise<void> {
  const { machine } = place;
  await begin(machine);
  const options = giveToNobody(place, 'unreadable files');
  if (options === undefined) return;
  changeState(machine.stateDir, 'changed');
  chmodSync(join(machine.stateDir, 'media.bin'), 0);
  await expectRun(place, ['commit', LABEL], { statuses: [0, 3] }, options);
  chmodSync(join(machine.stateDir, 'media.bin'), 0o600);
  for (const path of ['home/device.key', `home/agents/${LABEL}.json`, 'home/agents', 'home/repositories', 'home']) {
    const full = join(machine.root, path);
    if (!existsSync(full)) throw new Error(`there is no ${path}`);
    chmodSync(full, 0);
    await expectRun(place, ['log', LABEL], { statuses: [1], says: /permission denied/ }, options);
    await expectRun(place, ['commit', LABEL], { statuses: [1], says: /permission denied/ }, options);
    chmodSync(full, 0o700);
  }
  await expectRun(place, ['commit', LABEL], { statuses: [0] }, options);
  await judge(machine, 3);
}
