// Search, held against a plain scan of every commit.

import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { foldText } from '../../src/diff/fold.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { backUp } from '../../src/ops/backup.ts';
import { listAgentFiles, readCommitView } from '../../src/ops/commit-files.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import { readLine } from '../../src/ops/first-parents.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import { getHead } from '../../src/ops/revision.ts';
import { hasIndex, loadStretches } from '../../src/ops/search-index.ts';
import { keepSearchIndex, searchHistory, type SearchAnswer, type SearchOptions } from '../../src/ops/search.ts';
import { makeMachine, type Machine } from './machine.ts';

const START_MS = Date.parse('2026-03-01T00:00:00Z');
const at = (tick: number): string => new Date(START_MS + tick * 300_000).toISOString();

type Span = readonly [path: string, from: number, gone: number | undefined];

/** Returns the answers of a search, each as it was known at last. */
async function search(machine: Machine, phrase: string, options: Partial<SearchOptions> = {}): Promise<SearchAnswer[]> {
  const answers: SearchAnswer[] = [];
  for await (const answer of searchHistory(machine.context, { agent: 'bot', phrase, ...options }))
    answers[answer.number] = answer;
  return answers;
}

/** Reads every file of every commit. */
async function scan({ repository, agent }: OpenAgent, phrase: string, isExact = false): Promise<Span[]> {
  const line = [...(await readLine(repository, getHead({ repository, agent })))];
  const open = new Map<string, number>();
  const spans: Span[] = [];
  for (const [place, { id }] of line.entries()) {
    const having = new Set<string>();
    for await (const { path, blob } of listAgentFiles(repository, await readCommitView(repository, id))) {
      const text = (await repository.objects.readBlobWhole(blob, 1 << 26)).toString('utf8');
      const folded = text.split('\n').map((one) => foldText(one, { isExact }));
      if (!text.includes('\0') && folded.some((one) => one.includes(foldText(phrase, { isExact })))) having.add(path);
    }
    for (const path of having) if (!open.has(path)) open.set(path, place);
    for (const [path, from] of open) {
      if (having.has(path)) continue;
      spans.push([path, from, place]);
      open.delete(path);
    }
  }
  for (const [path, from] of open) spans.push([path, from, undefined]);
  return sorted(spans);
}

const sorted = (spans: readonly Span[]): Span[] => spans.toSorted((a, b) => (a[0] < b[0] ? -1 : 1) || a[1] - b[1]);

async function spansOf(open: OpenAgent, answers: readonly SearchAnswer[]): Promise<Span[]> {
  const line = [...(await readLine(open.repository, getHead(open)))];
  const place = new Map(line.map(({ id }, index) => [id, index]));
  const spans = answers.map(({ path, appeared, gone }): Span => {
    if (gone === 'pending') throw new Error('its end was not looked for');
    return [path, place.get(appeared.commit) ?? -1, gone === undefined ? undefined : place.get(gone.commit)];
  });
  return spans.toSorted((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1));
}

const WORDS = ['tea', 'Gunpowder', 'green', 'heron', 'plan', 'Ünïcode', '茶', 'a', '\u{1F375}'];
const lineOf = fc.array(fc.constantFrom(...WORDS), { minLength: 0, maxLength: 4 }).map((words) => words.join(' '));
const FILES = ['notes/a.md', 'notes/b.md', 'log.jsonl', 'data.bin'];
const change = fc.oneof(
  { weight: 6, arbitrary: fc.record({ file: fc.constantFrom(...FILES), lines: fc.array(lineOf, { maxLength: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ file: fc.constantFrom(...FILES), lines: fc.constant(undefined) }) },
);
const big = fc.record({ file: fc.constant('big.txt'), lines: fc.array(lineOf, { minLength: 3000, maxLength: 3000 }) });

test('search answers as a scan of every commit does, whatever was written, and however much of it is indexed', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 9, arbitrary: change }, { weight: 1, arbitrary: big }), {
        minLength: 4,
        maxLength: 14,
      }),
      fc.array(fc.constantFrom('tea', 'gunpowder green', 'HERON plan', 'ünïcode', '茶', 'tea  tea'), {
        minLength: 2,
        maxLength: 3,
      }),
      async (changes, phrases) => {
        const machine = await makeMachine(t);
        const half = Math.floor(changes.length / 2);
        for (const [tick, { file, lines }] of changes.entries()) {
          if (lines === undefined) rmSync(join(machine.stateDir, file), { force: true });
          else machine.write(file, (file === 'data.bin' ? '\0' : '') + lines.join('\n'));
          await machine.commit(at(tick + 1));
          if (tick === half) await search(machine, phrases[0] ?? 'tea');
        }
        await using open = await openAgent(machine.context, 'bot');
        for (const phrase of phrases) {
          for (const isExact of [false, true]) {
            const found = await spansOf(open, await search(machine, phrase, { isExact }));
            t.deepEqual(found, await scanSorted(open, phrase, isExact), `${phrase} ${isExact}`);
          }
        }
      },
    ),
    { numRuns: 12 },
  );
});

async function scanSorted(open: OpenAgent, phrase: string, isExact: boolean): Promise<Span[]> {
  const spans = await scan(open, phrase, isExact);
  return spans.toSorted((a, b) => (a[0] === b[0] ? a[1] - b[1] : a[0] < b[0] ? -1 : 1));
}

/** Makes a history in which a phrase comes at 3, goes at 6 and comes again at 8. */
async function makeHistory(machine: Machine): Promise<CommitId[]> {
  const ids: CommitId[] = [];
  for (let tick = 1; tick <= 10; tick += 1) {
    const has = (tick >= 3 && tick < 6) || tick >= 8;
    machine.write(
      'MEMORY.md',
      `# Memory\n\nTick ${Math.floor(tick / 2)}\n${has ? 'The tea is gunpowder green.\n' : ''}`,
    );
    ids.push((await machine.commit(at(tick))).id);
  }
  return ids;
}

const indexFiles = (machine: Machine): string[] => {
  const dir = join(machine.context.home.dir, 'cache');
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.search\/./.test(name))
    .map((name) => join(dir, name));
};

const briefly = (answers: readonly SearchAnswer[]): unknown[] =>
  answers.map(({ path, appeared, gone, line, excerpt }) => ({
    path,
    appeared: appeared.commit,
    gone: gone === 'pending' ? gone : gone?.commit,
    line,
    excerpt,
  }));

test('an answer names the commits, the line and the words around, and the first one alone if that is asked', async (t) => {
  const machine = await makeMachine(t);
  const ids = await makeHistory(machine);
  const excerpt = 'The tea is gunpowder green.';
  const first = { path: 'state/MEMORY.md', appeared: ids[2], gone: ids[5], line: 4, excerpt };
  t.deepEqual(briefly(await search(machine, 'GUNPOWDER  green')), [
    first,
    { ...first, appeared: ids[7], gone: undefined },
  ]);
  t.deepEqual(briefly(await search(machine, 'gunpowder green', { isFirstOnly: true })), [first]);
  t.deepEqual(await search(machine, 'GUNPOWDER', { isExact: true }), []);
  t.deepEqual(await search(machine, 'gunpowder', { paths: ['notes'] }), []);
  t.is((await search(machine, 'gunpowder', { paths: ['MEMORY.md'] })).length, 2);
  t.is((await search(machine, 'gunpowder', { revision: `${ids[3]}` })).length, 1);
  await t.throwsAsync(() => search(machine, ' t '), { code: 'USAGE' });
});

test('the first answer comes before its end is looked for', async (t) => {
  const machine = await makeMachine(t);
  await makeHistory(machine);
  const seen: SearchAnswer['gone'][] = [];
  for await (const { gone } of searchHistory(machine.context, { agent: 'bot', phrase: 'gunpowder' })) seen.push(gone);
  t.is(seen[0], 'pending');
  t.not(seen.at(-1), 'pending');
});

test('answers come in the order in which the phrase appeared, also where the index takes other words for it', async (t) => {
  const machine = await makeMachine(t);
  machine.write('a.md', 'heron\n');
  machine.write('b.md', 'x\n');
  await machine.commit(at(1));
  machine.write('b.md', 'Heron\n');
  const { id: second } = await machine.commit(at(2));
  machine.write('a.md', 'heron\nHeron\n');
  const { id: third } = await machine.commit(at(3));
  const answers = await search(machine, 'Heron', { isExact: true });
  t.deepEqual(
    answers.map(({ path, appeared }) => [path, appeared.commit]),
    [
      ['state/b.md', second],
      ['state/a.md', third],
    ],
  );
  t.deepEqual(
    (await search(machine, 'Heron', { isExact: true, isFirstOnly: true })).map(({ path }) => path),
    ['state/b.md'],
  );
});

test('a search that is given up keeps what it has indexed, and says why it ended', async (t) => {
  const machine = await makeMachine(t);
  await makeHistory(machine);
  const controller = new AbortController();
  const reporter = {
    progress: ({ doneFiles }: { doneFiles?: number }) => {
      if (doneFiles === 4) controller.abort(new Error('enough'));
    },
    warn: () => {},
  };
  const given = machine.context;
  await t.throwsAsync(
    () => search({ ...machine, context: { ...given, reporter } }, 'gunpowder', { signal: controller.signal }),
    { message: 'enough' },
  );
  t.is(indexFiles(machine).length, 1);
  t.is((await search(machine, 'gunpowder')).length, 2);
});

test('an index that is lost, damaged, cut off or another repository’s is made anew, and the answers are the same', async (t) => {
  const machine = await makeMachine(t);
  await makeHistory(machine);
  const answers = briefly(await search(machine, 'gunpowder'));
  for (const spoil of [
    (file: string) => rmSync(file),
    (file: string) => writeFileSync(file, ''),
    (file: string) => writeFileSync(file, readFileSync(file).subarray(0, -100)),
    (file: string) => {
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      writeFileSync(file, bytes);
    },
  ]) {
    const files = indexFiles(machine);
    t.true(files.length > 0);
    for (const file of files) spoil(file);
    t.deepEqual(briefly(await search(machine, 'gunpowder')), answers);
  }
});

test('what was committed since the last search is found, by several searches at once too', async (t) => {
  const machine = await makeMachine(t);
  await makeHistory(machine);
  await search(machine, 'gunpowder');
  machine.write('later.md', 'sencha\n');
  const { id } = await machine.commit(at(20));
  const found = await Promise.all([search(machine, 'sencha'), search(machine, 'sencha'), search(machine, 'sencha')]);
  for (const answers of found)
    t.deepEqual(
      answers.map(({ appeared }) => appeared.commit),
      [id],
    );
  t.is((await search(machine, 'gunpowder')).length, 2);
});

test('hostile files are searched as far as they are text, and keep nothing else from being found', async (t) => {
  const machine = await makeMachine(t);
  const write = (file: string, content: Buffer | string): void => {
    machine.write(file, '');
    writeFileSync(join(machine.stateDir, file), content);
  };
  const noise = Buffer.from(Array.from({ length: 9000 }, (_, at) => (at * 7919 + 13) % 251));
  const database = Buffer.concat([Buffer.from('SQLite format 3\0', 'latin1'), noise]);
  // A page size, so that it looks like a database for longer.
  database.writeUInt16BE(4096, 16);
  write('a/openclaw-agent.sqlite', database);
  write('b/openclaw-agent.sqlite', Buffer.alloc(0));
  write('c/openclaw-agent.sqlite', 'gunpowder in no database\n');
  write('long.txt', `${'x '.repeat(300_000)}gunpowder green${' y'.repeat(300_000)}`);
  write('bytes.md', Buffer.concat([Buffer.from([0xff, 0xfe, 0x20]), Buffer.from('gunpowder green\n')]));
  write('new\nline\t\u001b[31m.md', 'gunpowder green\n');
  write('deep.jsonl', `${'['.repeat(50_000)}\n{"role":"user","content":{"text":{"text":"gunpowder green"}}}\n`);
  write('turns.jsonl', `{"type":"message","message":{"role":"user","content":"gunpowder \\"green\\""}}\n`);
  symlinkSync('gunpowder green', join(machine.stateDir, 'link'));
  const { id } = await machine.commit(at(1));
  write('long.txt', `${'x '.repeat(300_000)}gunpowder greed${' y'.repeat(300_000)}`);
  const { id: second } = await machine.commit(at(2));
  const found = async (phrase: string) =>
    (await search(machine, phrase)).map(({ path, appeared, gone }) => [
      path,
      appeared.commit,
      gone === 'pending' ? gone : gone?.commit,
    ]);
  t.deepEqual(
    (await found('gunpowder green')).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    [
      ['state/deep.jsonl', id, undefined],
      ['state/long.txt', id, second],
      ['state/new%0Aline%09%1B[31m.md', id, undefined],
    ],
  );
  t.deepEqual(await found('gunpowder "green"'), [['state/turns.jsonl', id, undefined]]);
  t.deepEqual(await found('gunpowder greed'), [['state/long.txt', second, undefined]]);
});

test('nothing of the index can be read without the key, and it does not hold what a profile marks as a secret', async (t) => {
  const machine = await makeMachine(t);
  await makeHistory(machine);
  await search(machine, 'gunpowder');
  for (const file of indexFiles(machine)) t.false(readFileSync(file).includes('gunpowder'));
});

/** Makes thirty full backups of which the twelfth brings a phrase, searches, and prunes. */
async function makePruned(
  machine: Machine,
  keep: { keepWeekly: number } | { keepLast: number },
): Promise<SearchAnswer> {
  const open = await openAgent(machine.context, 'bot');
  for (let tick = 1; tick <= 30; tick += 1) {
    machine.at(new Date(START_MS + tick * 86_400_000).toISOString());
    machine.write('MEMORY.md', `${tick >= 12 ? 'gunpowder\n' : ''}${tick}\n`);
    await commitAgent(machine.context, open.agent, open.repository, { kind: 'full', trigger: 'test', full: true });
  }
  const [before] = await search(machine, 'gunpowder');
  if (before === undefined) throw new Error('it is not found');
  await open[Symbol.asyncDispose]();
  await prune(machine.context, 'bot', { keep, isDryRun: false, isLocal: true });
  return before;
}

test('a phrase that may be older than what is kept is told as such, and the index forgets what was pruned', async (t) => {
  const machine = await makeMachine(t);
  const before = await makePruned(machine, { keepWeekly: 6 });
  t.false(before.mayBeEarlier);
  t.deepEqual(indexFiles(machine), []);
  const [answer] = await search(machine, 'gunpowder');
  t.true(answer?.mayBeEarlier);
  t.true((answer?.before?.timeMs ?? 0) < before.appeared.timeMs);
  t.true((answer?.appeared.timeMs ?? 0) >= before.appeared.timeMs);
});

test('where nothing is kept of the time before, there is no moment without the phrase', async (t) => {
  const machine = await makeMachine(t);
  await makePruned(machine, { keepLast: 3 });
  const [answer] = await search(machine, 'gunpowder');
  t.true(answer?.mayBeEarlier);
  t.is(answer?.before, undefined);
});

test('an index that is there is kept up to date, also what a prune took of it; where nobody searched none is made', async (t) => {
  const machine = await makeMachine(t, at(0));
  const { context } = machine;
  const commit = async (tick: number): Promise<void> => {
    machine.at(at(tick * 288));
    machine.write('notes/a.md', `tea of day ${tick}\n`);
    await backUp(context, 'bot', {
      kind: tick % 5 === 0 ? 'full' : 'incremental',
      full: tick % 5 === 0,
      trigger: 'test',
    });
  };
  const covered = async (): Promise<{ indexed: number; commits: number } | undefined> => {
    await using open = await openAgent(context, 'bot');
    if (!(await hasIndex(context.home, open.repository))) return undefined;
    const line = await readLine(open.repository, getHead(open));
    const stretches = await loadStretches(context.home, open.repository, line);
    const places = new Set(stretches.flatMap(({ places: own }) => [...own].filter((place) => place >= 0)));
    return { indexed: places.size, commits: line.length };
  };
  for (let tick = 1; tick <= 12; tick += 1) await commit(tick);
  await keepSearchIndex(context, 'bot');
  t.is(await covered(), undefined);
  t.is((await search(machine, 'tea of day 7')).length, 1);
  await commit(13);
  await keepSearchIndex(context, 'bot');
  const whole = await covered();
  t.is(whole?.indexed, whole?.commits);
  machine.at(at(14 * 288));
  const { backups } = await prune(context, 'bot', { retention: '5d', isDryRun: false, isLocal: true });
  t.true(backups.some(({ kept }) => !kept));
  t.is((await covered())?.indexed, 0, 'it tells of what is gone');
  await keepSearchIndex(context, 'bot');
  const after = await covered();
  t.true((after?.commits ?? 0) > 0);
  t.is(after?.indexed, after?.commits);
});

test('an interface in the same process hears keys while a history is indexed and searched', async (t) => {
  const machine = await makeMachine(t, at(0));
  const commits = 20;
  for (let tick = 1; tick <= commits; tick += 1) {
    machine.at(at(tick));
    machine.write('notes/a.md', `tea ${tick}\n`.repeat(tick));
    await backUp(machine.context, 'bot', { kind: 'incremental', trigger: 'test' });
  }
  let [turns, isDone] = [0, false];
  const turn = (): void => {
    turns += 1;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  await search(machine, 'tea');
  isDone = true;
  t.true(turns > commits, `${turns} turns`);
});
