// Entries that wait on this machine: sealed, durable, never lost between those who append and those who take, in one process or several.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { foldRepeats } from '../../src/catalog/fold.ts';
import { encodeRun, parseRun } from '../../src/catalog/run-codec.ts';
import { RunSpool } from '../../src/catalog/spool.ts';
import { isMoltError } from '../../src/model/error.ts';
import type { RunKey } from '../../src/model/ports.ts';
import { runText, type RunEntry } from '../../src/model/run-entry.ts';
import { newFolder } from '../storage/place.ts';
import { entry, newKey, OTHER_REPOSITORY, random, REPOSITORY, unchanged } from './entries.ts';

interface Waiting {
  readonly dir: string;
  readonly spool: RunSpool;
  readonly key: RunKey;
  append(...entries: readonly RunEntry[]): void;
}

function makeSpool(t: ExecutionContext): Waiting {
  const dir = join(newFolder(t), 'runs');
  const spool = new RunSpool(dir, REPOSITORY);
  const key = newKey();
  return {
    dir,
    spool,
    key,
    append(...entries) {
      for (const one of entries) spool.append(one, key, random);
    },
  };
}

/** Takes everything, and forgets it. */
function takeAll({ spool, key }: Waiting): RunEntry[] {
  return [...spool.take([key])].flatMap(({ entries, done }) => {
    done();
    return entries;
  });
}

test('what is appended is there, in its order, until it was taken', (t) => {
  const waiting = makeSpool(t);
  t.deepEqual(waiting.spool.peek([waiting.key]), []);
  t.deepEqual(takeAll(waiting), []);
  waiting.append(entry(1), entry(2, { result: 'failed', error: { code: 'IO', message: 'no\nline' } }), entry(3));
  const given = [entry(1), entry(2, { result: 'failed', error: { code: 'IO', message: 'no\nline' } }), entry(3)];
  t.deepEqual(waiting.spool.peek([waiting.key]), given);
  t.true(waiting.spool.sizeBytes() > 0);
  t.deepEqual(takeAll(waiting), given);
  t.deepEqual(takeAll(waiting), []);
  t.is(waiting.spool.sizeBytes(), 0);
  t.deepEqual(readdirSync(waiting.dir), []);
});

test('lines are sealed, private, and bound to their repository and key', (t) => {
  const waiting = makeSpool(t);
  waiting.append(entry(1, { detail: 'secret-word' }));
  const path = join(waiting.dir, 'waiting-repository');
  const bytes = readFileSync(path);
  t.false(bytes.includes('secret') || bytes.includes('bot'));
  t.is(statSync(path).mode & 0o777, 0o600);
  t.is(statSync(waiting.dir).mode & 0o777, 0o700);
  const elsewhere = new RunSpool(waiting.dir, OTHER_REPOSITORY);
  t.deepEqual(elsewhere.peek([waiting.key]), []);
  t.deepEqual(waiting.spool.peek([newKey()]), []);
  t.deepEqual(waiting.spool.peek([{ ...waiting.key, of: 'machine' }]), []);
});

test('what another key sealed stays until that key comes', (t) => {
  const waiting = makeSpool(t);
  waiting.append(entry(1));
  t.deepEqual([...waiting.spool.take([newKey()])], []);
  t.deepEqual(takeAll(waiting), [entry(1)]);
});

test('the machine’s key and the repository’s have a file each, so that either can be taken without the other', (t) => {
  const waiting = makeSpool(t);
  const machine = newKey('machine');
  waiting.append(entry(1));
  waiting.spool.append(entry(2), machine, random);
  t.deepEqual(takeAll({ ...waiting, key: machine }), [entry(2)]);
  t.deepEqual(takeAll(waiting), [entry(1)]);
});

test('a taker that was killed before the log had it all leaves the same entries to the next', (t) => {
  const waiting = makeSpool(t);
  waiting.append(unchanged(1), unchanged(2), entry(3));
  const first = [...waiting.spool.take([waiting.key])].flatMap(({ entries }) => entries);
  waiting.append(unchanged(4), unchanged(5));
  t.deepEqual(waiting.spool.peek([waiting.key]).length, 3);
  const second = [...waiting.spool.take([waiting.key])];
  t.deepEqual(
    second.map(({ entries }) => entries.map(({ id, count }) => [Number(`0x${id}`), count])),
    [
      [
        [1, 2],
        [3, 1],
      ],
      [[4, 2]],
    ],
  );
  t.deepEqual(second[0]?.entries, first);
});

test('a line that was torn, at any byte, costs no other', (t) => {
  const waiting = makeSpool(t);
  const path = join(waiting.dir, 'waiting-repository');
  waiting.append(entry(1), entry(2));
  const start = statSync(path).size;
  waiting.append(entry(3));
  const whole = readFileSync(path);
  for (let end = start; end < whole.length; end += 1) {
    writeFileSync(path, whole.subarray(0, end));
    waiting.append(entry(4));
    const found = waiting.spool.peek([waiting.key]).map(({ id }) => Number(`0x${id}`));
    // Of the last line only its padding and line break can be missed.
    const isWhole = end >= whole.length - 3 && found.includes(3);
    t.deepEqual(found, isWhole ? [1, 2, 3, 4] : [1, 2, 4], `${end}`);
  }
});

test('lines that anybody wrote are passed over', (t) => {
  const waiting = makeSpool(t);
  waiting.append(entry(1));
  const path = join(waiting.dir, 'waiting-repository');
  writeFileSync(path, `{"id":"x"}\n\n====\nAAAA\n${'A'.repeat(300)}\n`, { flag: 'a' });
  waiting.append(entry(2));
  t.deepEqual(takeAll(waiting), [entry(1), entry(2)]);
});

test('a folder that can’t be written is an error that says so', (t) => {
  const waiting = makeSpool(t);
  writeFileSync(waiting.dir, '');
  const error = t.throws(() => waiting.append(entry(1)));
  t.true(isMoltError(error, 'IO'));
});

test('while processes append, others take: each entry is taken, and known by its id', async (t) => {
  const WRITERS = 4;
  const TAKERS = 2;
  const EACH = 150;
  const waiting = makeSpool(t);
  const secret = waiting.key.key.export().toString('hex');
  const start = async (words: readonly string[]): Promise<string> => {
    const script = join(import.meta.dirname, 'spool-process.ts');
    const child = spawn(process.execPath, [script, waiting.dir, REPOSITORY, secret, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
    const [status] = (await once(child, 'close')) as [number];
    t.is(status, 0);
    return text;
  };
  const takers = Array.from({ length: TAKERS }, () => start(['take']));
  const writers = Array.from({ length: WRITERS }, (_, writer) =>
    start(['append', String(writer * EACH), String(EACH)]),
  );
  await Promise.all(writers);
  writeFileSync(join(waiting.dir, 'stop'), '');
  const taken = (await Promise.all(takers)).flatMap((text) => text.split('\n').filter((line) => line !== ''));
  const left = takeAll(waiting).map(({ id }) => id);
  const ids = new Set([...taken, ...left]);
  t.is(ids.size, WRITERS * EACH);
  t.true(taken.length > 0);
});

test('an entry is read as it was written, and nothing else is', (t) => {
  for (const one of [entry(1), unchanged(2), entry(3, { error: { code: 'IO', message: runText('a\0\ud800') } })])
    t.deepEqual(parseRun(encodeRun(one)), one);
  const good = JSON.parse(encodeRun(entry(1)).toString()) as Record<string, unknown>;
  const bad: readonly Record<string, unknown>[] = [
    { id: 'x' },
    { agent: 7 },
    { agent: 'a\0' },
    { agent: 'x'.repeat(501) },
    { repository: '../../etc' },
    { verb: 'rm' },
    { verb: 'backup\n' },
    { trigger: 'backup' },
    { startedMs: -1 },
    { startedMs: 2 ** 60 },
    { count: 0 },
    { durationMs: 1.5 },
    { result: 'OK' },
    { bytes: { read: 1 } },
    { requests: [] },
    { error: 'x' },
    { commit: 'short' },
  ];
  for (const change of bad) {
    const text = Buffer.from(JSON.stringify({ ...good, ...change }));
    t.true(
      isMoltError(
        t.throws(() => parseRun(text)),
        'DAMAGED',
      ),
      JSON.stringify(change),
    );
  }
});

const kinds = fc.constantFrom<Partial<RunEntry>>(
  {},
  { result: 'unchanged' },
  { result: 'unchanged', verb: 'push', remote: 'a' },
  { result: 'unchanged', verb: 'push', remote: 'b' },
  { result: 'failed', error: { code: 'IO', message: 'full' } },
  { result: 'failed', error: { code: 'IO', message: 'gone' } },
  { result: 'partial', error: { code: 'PARTIAL', message: 'one' } },
);

test('folding loses no run, no time and no byte, and folds the beginning of a row as it folds the whole', (t) => {
  fc.assert(
    fc.property(fc.array(kinds, { maxLength: 60 }), (row) => {
      const entries = row.map((differs, number) => entry(number, { ...differs, bytes: { ...entry(number).bytes } }));
      const folded = foldRepeats(entries);
      const sum = (list: readonly RunEntry[], of: (one: RunEntry) => number): number =>
        list.reduce((total, one) => total + of(one), 0);
      t.is(
        sum(folded, ({ count }) => count),
        entries.length,
      );
      for (const of of [
        (one: RunEntry) => one.bytes.read,
        (one: RunEntry) => one.bytes.stored,
        (one: RunEntry) => one.durationMs ?? 0,
      ])
        t.is(sum(folded, of), sum(entries, of));
      // Folded twice, or with what was appended twice, it is the same.
      t.deepEqual(foldRepeats([...entries, ...entries]), folded);
      t.deepEqual(foldRepeats(folded).length <= folded.length, true);
      // What succeeded is never folded.
      t.is(
        folded.filter(({ result }) => result === 'ok').length,
        entries.filter(({ result }) => result === 'ok').length,
      );
      const half = foldRepeats(entries.slice(0, Math.ceil(entries.length / 2))).map(({ id }) => id);
      t.deepEqual(
        folded.slice(0, half.length).map(({ id }) => id),
        half,
      );
    }),
    { numRuns: 300 },
  );
});

test('a year of runs by which nothing changed is one line, and a change ends it', (t) => {
  const day = Array.from({ length: 288 }, (_, number) => unchanged(number * 5));
  const folded = foldRepeats([...day.slice(0, 100), entry(499), ...day.slice(100)]);
  t.deepEqual(
    folded.map(({ result, count }) => [result, count]),
    [
      ['unchanged', 100],
      ['ok', 1],
      ['unchanged', 188],
    ],
  );
  t.is(folded[2]?.lastMs, day.at(-1)?.startedMs);
});
