// What an agent does between the moment that most of what it will get is staged, and its stop: all of it is saved, and none of it is in
// the way.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { openAgent } from '../../src/ops/open.ts';
import { commitOf, makePodded, readNotes, writeNote } from './podded.ts';
import { restoreIt, undoIt } from './podded-copy.ts';
import { stepping } from './steps.ts';

const LARGE = 'x'.repeat(400_000);

/** A pod that runs; `wanted` has these files, and since then they changed. */
async function makeStaging(t: ExecutionContext) {
  const machine = await makePodded(t, { front: false });
  const { context, stateDir } = machine;
  await machine.target('copy');
  const dir = (await machine.agent('copy')).stateDir;
  const write = (files: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(dir, name, '..'), { recursive: true });
      writeFileSync(join(dir, name), text);
    }
  };
  write({
    'staged.md': 'then',
    'same.md': 'same',
    'gone.md': 'then',
    'deep/a.md': 'then',
    'large.bin': `${LARGE}then`,
  });
  const wanted = await commitOf(context, 'copy');
  write({ 'staged.md': 'now', 'large.bin': `${LARGE}now`, 'deep/a.md': 'now', 'extra.md': 'now' });
  rmSync(join(dir, 'gone.md'));
  await commitOf(context, 'copy');
  return { ...machine, stateDir, dir, wanted, write };
}

/** Returns the texts of some files of a folder; undefined for those that are not there. */
function textsOf(dir: string, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(
    names.map((name) => [
      name,
      existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8').slice(-4) : undefined,
    ]),
  );
}

const cases: readonly {
  readonly what: string;
  readonly act: (dir: string) => void;
  /** What it has when it is stopped, of what was acted on. */
  readonly saved: Readonly<Record<string, string | undefined>>;
  readonly notes?: readonly string[];
}[] = [
  {
    what: 'writes a file that is staged',
    act: (dir) => {
      writeFileSync(join(dir, 'staged.md'), 'late');
      writeFileSync(join(dir, 'large.bin'), `${LARGE}late`);
    },
    saved: { 'staged.md': 'late', 'large.bin': 'late' },
  },
  {
    what: 'makes a staged file what it is to be',
    act: (dir) => writeFileSync(join(dir, 'staged.md'), 'then'),
    saved: { 'staged.md': 'then' },
  },
  {
    what: 'writes a file that was right, and so is not staged',
    act: (dir) => writeFileSync(join(dir, 'same.md'), 'late'),
    saved: { 'same.md': 'late' },
  },
  {
    what: 'deletes files, staged and not',
    act: (dir) => {
      for (const name of ['staged.md', 'same.md', 'extra.md']) rmSync(join(dir, name));
      rmSync(join(dir, 'deep'), { recursive: true });
    },
    saved: { 'staged.md': undefined, 'same.md': undefined, 'extra.md': undefined, 'deep/a.md': undefined },
  },
  {
    what: 'creates files, one where a staged one goes',
    act: (dir) => {
      writeFileSync(join(dir, 'gone.md'), 'late');
      mkdirSync(join(dir, 'new/deep'), { recursive: true });
      writeFileSync(join(dir, 'new/deep/b.md'), 'late');
    },
    saved: { 'gone.md': 'late', 'new/deep/b.md': 'late' },
  },
  {
    what: 'makes a folder of a file, and a link of another',
    act: (dir) => {
      rmSync(join(dir, 'staged.md'));
      mkdirSync(join(dir, 'staged.md'));
      writeFileSync(join(dir, 'staged.md/inner.md'), 'late');
      renameSync(join(dir, 'same.md'), join(dir, 'moved.md'));
      symlinkSync('moved.md', join(dir, 'same.md'));
    },
    saved: { 'staged.md/inner.md': 'late', 'moved.md': 'same', 'same.md': 'same' },
  },
  {
    what: 'adds a row to its database',
    act: (dir) => writeNote(dir, 'late'),
    saved: {},
    notes: ['one', 'late'],
  },
];

for (const { what, act, saved, notes = ['one'] } of cases)
  test(`an agent that ${what} before it is stopped has that saved, and then what was wanted`, async (t) => {
    const { context, dir, wanted } = await makeStaging(t);
    let staged: readonly string[] = [];
    const { context: watched } = stepping(context, (_, phase) => {
      if (phase !== 'stop the pod') return;
      staged = ['staged.md', 'large.bin', 'gone.md', 'deep/a.md'].filter((name) =>
        existsSync(join(dir, '.molt-restore/early', name)),
      );
      act(dir);
    });
    const done = await restoreIt(watched, 'copy', wanted);
    t.deepEqual(staged, ['staged.md', 'large.bin', 'gone.md', 'deep/a.md'], 'staged while it ran');
    t.like(done, { lifecycle: { stopped: true, started: true }, pod: { healthy: true } });
    const names = [
      'staged.md',
      'same.md',
      'gone.md',
      'deep/a.md',
      'large.bin',
      'extra.md',
      'new/deep/b.md',
      'moved.md',
    ];
    t.deepEqual(textsOf(dir, names), {
      'staged.md': 'then',
      'same.md': 'same',
      'gone.md': 'then',
      'deep/a.md': 'then',
      'large.bin': 'then',
      'extra.md': undefined,
      'new/deep/b.md': undefined,
      'moved.md': undefined,
    });
    t.deepEqual(readNotes(dir), ['one']);
    t.false(existsSync(join(dir, '.molt-restore')));
    // The safety commit has what there was when it was stopped.
    await using open = await openAgent(context, 'copy');
    const to = join(context.cwd, 'safety');
    await applyRestore(
      context,
      open,
      await planRestore(context, open, { revision: done.safety, timestamp: undefined, dir: to }),
    );
    t.deepEqual(textsOf(join(to, 'state'), Object.keys(saved)), saved);
    t.deepEqual(readNotes(join(to, 'state')), notes);
    await undoIt(context, 'copy');
    t.deepEqual(textsOf(dir, Object.keys(saved)), saved);
    t.deepEqual(readNotes(dir), notes);
  });
