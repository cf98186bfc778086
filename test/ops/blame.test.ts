// Blame: which commit wrote each line, and what was said before it.

import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { CommitId } from '../../src/model/ids.ts';
import { openBlame, type Blame, type BlameMoment, type BlameOptions } from '../../src/ops/blame.ts';
import type { PlacedTurn } from '../../src/model/turn.ts';
import { makeMachine, type Machine } from './machine.ts';

const START_MS = Date.parse('2026-03-01T00:00:00Z');
const timeOf = (tick: number): string => new Date(START_MS + tick * 300_000).toISOString();

async function blame(machine: Machine, word: string, options: Partial<BlameOptions> = {}): Promise<Blame> {
  await using opened = await openBlame(machine.context, { agent: 'bot', words: [word], ...options });
  return opened.blame;
}

const writers = ({ lines }: Blame): [string, CommitId][] => lines.map(({ text, commit }) => [text, commit]);

test('each line is of the commit that wrote it, whatever came around it', async (t) => {
  const machine = await makeMachine(t);
  const ids: CommitId[] = [];
  const versions = [
    ['a', 'b'],
    ['a', 'b', 'c'],
    ['x', 'a', 'b', 'c'],
    ['x', 'a', 'B', 'c'],
    ['a', 'B', 'c', 'd'],
  ];
  for (const [tick, lines] of versions.entries()) {
    machine.write('MEMORY.md', `${lines.join('\n')}\n`);
    ids.push((await machine.commit(timeOf(tick + 1))).id);
    // Commits that don't change the file lie between.
    await machine.commit(timeOf(tick + 1.5));
  }
  const [first, second, , fourth, fifth] = ids as [CommitId, CommitId, CommitId, CommitId, CommitId];
  const blamed = await blame(machine, 'HEAD:MEMORY.md');
  t.deepEqual(writers(blamed), [
    ['a', first],
    ['B', fourth],
    ['c', second],
    ['d', fifth],
  ]);
  t.deepEqual(
    blamed.moments.map(({ commit }) => commit),
    [fifth, fourth, second, first],
  );
  t.true(blamed.moments.every(({ mayBeEarlier, path }) => !mayBeEarlier && path === 'state/MEMORY.md'));
  t.deepEqual(writers(await blame(machine, 'HEAD:MEMORY.md', { lines: { from: 2, to: 3 } })), [
    ['B', fourth],
    ['c', second],
  ]);
  t.deepEqual(writers(await blame(machine, `${second}:MEMORY.md`)), [
    ['a', first],
    ['b', first],
    ['c', second],
  ]);
  await t.throwsAsync(() => blame(machine, 'HEAD:MEMORY.md', { lines: { from: 9, to: 9 } }), { code: 'USAGE' });
  await t.throwsAsync(() => blame(machine, 'HEAD:nothing.md'), { code: 'NOT_FOUND' });
  await t.throwsAsync(() => blame(machine, 'HEAD'), { code: 'USAGE' });
});

test('a line of a file that moved is of the commit that wrote it under its old name', async (t) => {
  const machine = await makeMachine(t);
  machine.write('old.md', 'one\ntwo\nthree\nfour\n');
  const { id: first } = await machine.commit(timeOf(1));
  renameSync(join(machine.stateDir, 'old.md'), join(machine.stateDir, 'new.md'));
  machine.write('new.md', 'one\ntwo\nthree\nfive\n');
  const { id: second } = await machine.commit(timeOf(2));
  const blamed = await blame(machine, 'HEAD:new.md');
  t.deepEqual(writers(blamed), [
    ['one', first],
    ['two', first],
    ['three', first],
    ['five', second],
  ]);
  t.is(blamed.moments.at(-1)?.path, 'state/old.md');
});

test('lines of the first commit may be older than history', async (t) => {
  const machine = await makeMachine(t);
  const blamed = await blame(machine, 'HEAD:notes.md');
  t.like(blamed.moments, { length: 1, 0: { mayBeEarlier: true, before: undefined } });
});

const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 8 });

test('a line stands in its commit’s version and every version since, and not in the one before as often', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(text, { minLength: 2, maxLength: 7 }), async (versions) => {
      const machine = await makeMachine(t);
      const saved = new Map<CommitId, string[]>();
      for (const [tick, lines] of versions.entries()) {
        if (lines.length === 0) rmSync(join(machine.stateDir, 'f.md'), { force: true });
        else machine.write('f.md', `${lines.join('\n')}\n`);
        saved.set((await machine.commit(timeOf(tick + 1))).id, lines);
      }
      const last = versions.at(-1) ?? [];
      if (last.length === 0) return;
      const blamed = await blame(machine, 'HEAD:f.md');
      t.deepEqual(
        blamed.lines.map((line) => line.text),
        last,
      );
      const ids = [...saved.keys()];
      for (const { text: line, commit } of blamed.lines) {
        const from = ids.indexOf(commit);
        for (const id of ids.slice(from)) t.true(saved.get(id)?.includes(line));
      }
      // What is taken for older than a version can't be more than the version before had.
      for (const [at, id] of ids.entries()) {
        const older = blamed.lines.filter(({ commit }) => ids.indexOf(commit) < at).map((line) => line.text);
        const had = [...(saved.get(ids[at - 1] ?? id) ?? [])];
        for (const line of older) {
          const place = had.indexOf(line);
          t.true(place >= 0);
          had.splice(place, 1);
        }
      }
    }),
    { numRuns: 12 },
  );
});

const record = (role: string, content: string, tick: number): string =>
  JSON.stringify({ type: 'message', timestamp: timeOf(tick), message: { role, content } });

test('the window of a moment has what was said since the commit before, secrets masked', async (t) => {
  const machine = await makeMachine(t);
  machine.write('sessions/s1.jsonl', `${record('user', 'hello', 0.5)}\n`);
  await machine.commit(timeOf(1));
  machine.write(
    'sessions/s1.jsonl',
    `${[record('user', 'hello', 0.5), record('user', 'remember that I like tea', 1.5), record('assistant', 'my key is sk-abcdefghijklmnop1234', 1.6)].join('\n')}\n`,
  );
  machine.write('MEMORY.md', 'likes tea\n');
  const { id } = await machine.commit(timeOf(2));
  await using opened = await openBlame(machine.context, { agent: 'bot', words: ['HEAD:MEMORY.md'] });
  const [moment] = opened.blame.moments as [BlameMoment];
  t.is(moment.commit, id);
  const turns: PlacedTurn[] = await opened.readTurns(moment);
  t.deepEqual(
    turns.map(({ role, text: said, session }) => [role, said, session]),
    [
      ['user', 'remember that I like tea', 's1'],
      ['assistant', 'my key is ********', 's1'],
    ],
  );
});
