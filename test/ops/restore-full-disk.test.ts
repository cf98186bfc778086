// A disk that fills at any step of a restore into or of a pod: a real one, mounted for the test. What runs goes on, what was there is
// there, the message says where; and with space again the same ends right.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, realpathSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { unforeseenFailure } from '../../src/model/system-error.ts';
import { endpointOf, getPod } from '../../src/ops/pod-look.ts';
import { removePod } from '../../src/ops/pod-removal.ts';
import { listPods, stopPod } from '../../src/ops/pods.ts';
import { askNotes, makePodded, readNotes, tellNote } from './podded.ts';
import { expectBack, makeCopy, restoreIt, WAYS } from './podded-copy.ts';
import { firstStep, LONG_MS, stepping, STRIDE } from './steps.ts';

/** Large enough for the agent, its history and two generations. */
const SIZE = '64m';

/** Makes a folder and mounts a small disk there, until the test ends. */
function mountDisk(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-disk-')));
  if (!mount(dir)) throw new Error('a disk could be mounted before');
  t.teardown(() => {
    // What still runs of a pod there lets go of it as it ends.
    spawnSync('umount', ['--lazy', dir]);
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

function mount(dir: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'molt-test', dir]).status === 0;
}

/** Mounting needs rights. */
function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false;
  const dir = mkdtempSync(join(tmpdir(), 'molt-disk-'));
  const isMounted = mount(dir);
  if (isMounted) spawnSync('umount', [dir]);
  rmSync(dir, { recursive: true });
  return isMounted;
}

const onDisk = canMount() ? test.serial : test.serial.skip;

/** Fills a disk to its last block. */
function fill(disk: string): void {
  const descriptor = openSync(join(disk, 'filler'), 'a');
  for (const sizeBytes of [1 << 20, 4096]) {
    try {
      for (;;) writeSync(descriptor, Buffer.alloc(sizeBytes));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
  }
  closeSync(descriptor);
}

function empty(disk: string): void {
  rmSync(join(disk, 'filler'), { force: true });
}

for (const [way, more] of WAYS)
  onDisk(
    `a disk that fills at any step of a restore ${way} loses nothing, and with space again the same ends right`,
    async (t) => {
      t.timeout(LONG_MS);
      const disk = mountDisk(t);
      const copy = await makeCopy(t, more, disk);
      const outcomes = new Outcomes();
      let last = 'three';
      for (let at = firstStep(t), isStruck = true; isStruck; at += STRIDE) {
        isStruck = false;
        const { context } = stepping(copy.context, (step) => {
          if (step !== at) return;
          isStruck = true;
          fill(disk);
        });
        const came = await restoreIt(context, 'copy', copy.wanted).then(
          ({ lifecycle }) =>
            lifecycle?.problem === undefined ? 'it ended' : `restored, and could not be started: ${lifecycle.problem}`,
          (error: unknown) => failureOf(error, at),
        );
        outcomes.add(came);
        const [pod] = await listPods(copy.context);
        t.true(existsSync(join(pod?.dir ?? '', 'notes.db')), `at step ${at}: ${came}`);
        if (pod?.state !== 'running') t.regex(came, STOPPED, `at step ${at}`);
        empty(disk);
        await restoreIt(copy.context, 'copy', copy.wanted);
        await expectBack(t, copy, last, `at step ${at}: ${came}`);
        last = `three, ${at}`;
        await tellNote(copy.endpoint, last);
      }
      outcomes.log(t);
    },
  );

/** What is said where the agent does not run afterwards. */
const STOPPED = /copy is stopped|could not be started/;

onDisk(
  'a disk that fills at any step of a restore into a new pod leaves the agent alone, and with space again the same ends right',
  async (t) => {
    t.timeout(LONG_MS);
    const disk = mountDisk(t);
    const machine = await makePodded(t, {}, disk);
    const outcomes = new Outcomes();
    for (let at = firstStep(t), isStruck = true; isStruck; at += STRIDE) {
      isStruck = false;
      const name = `copy-${at}`;
      const { context } = stepping(machine.context, (step) => {
        if (step !== at) return;
        isStruck = true;
        fill(disk);
      });
      const came = await machine.target(name, undefined, {}, context).then(
        () => 'it ended',
        (error: unknown) => failureOf(error, at).replaceAll(name, 'copy'),
      );
      outcomes.add(came);
      const dir = join(machine.home, 'pods', name);
      if (came.endsWith('; nothing was changed')) t.false(existsSync(dir), `at step ${at}: ${came}`);
      else t.true(existsSync(join(dir, 'gen-1/state/notes.db')), `at step ${at}: ${came}`);
      empty(disk);
      t.deepEqual(readNotes(machine.stateDir), ['one']);
      if (came !== 'it ended') await machine.target(name);
      const pod = await getPod(machine.context, name);
      t.deepEqual(await askNotes(endpointOf(pod)), ['one'], `at step ${at}: ${came}`);
      await stopPod(machine.context, pod);
      await removePod(machine.context, pod);
    }
    outcomes.log(t);
  },
);

/** Returns what a failure says; on a full disk it has to be one that was foreseen. */
function failureOf(error: unknown, at: number): string {
  const known = unforeseenFailure(error);
  if (!isMoltError(known))
    throw new Error(`at step ${at}: ${error instanceof Error ? error.stack : ''}`, { cause: error });
  return known.message;
}

/** What it came to, how often. */
class Outcomes {
  readonly #counts = new Map<string, number>();

  add(outcome: string): void {
    const what = outcome
      .replaceAll(/"[^"]*"/g, '"…"')
      .replaceAll(/\/tmp\/\S*/g, '…')
      .replaceAll(/\s+/g, ' ');
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  log(t: ExecutionContext): void {
    for (const [outcome, count] of this.#counts) t.log(`${count} times: ${outcome}`);
    t.true(this.#counts.size > 1);
  }
}
