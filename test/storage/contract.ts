// What every storage must do, as tests: the normative behaviour behind src/storage/storage.ts. A new storage's own test file calls
// `storageContract` with a way to make an empty place, and adds only what is special about it.

import type { ExecutionContext, TestFn } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import type { ObjectStat, Storage } from '../../src/storage/storage.ts';

/** Opens one place; each call is a further opening of the same place, as another process would do it. */
export type Opener = () => Promise<Storage>;

/** Makes an empty place and returns what opens it. Clean-up goes into `t.teardown`. */
export type MakePlace = (t: ExecutionContext) => Promise<Opener>;

type Case = (t: ExecutionContext, storage: Storage, open: Opener) => Promise<void>;

const MANY = 2_100;
const LARGE_BYTES = 5 << 20;

const BAD_NAMES = [
  '',
  '/',
  '/log/1',
  'log/',
  'log//1',
  '.',
  '..',
  '../log',
  'log/../../1',
  '.hidden',
  'log/.hidden',
  'Log/1',
  'log/ü',
  'log/1 ',
  'log/1\n',
  'log\\1',
  'log/1\0',
  'log/%2e',
  'c:',
  'tmp',
  'tmp/1',
  'a'.repeat(201),
];

/** Registers the contract's tests for one kind of storage, whose name begins their titles. */
export function storageContract(test: TestFn, name: string, make: MakePlace): void {
  for (const [title, run] of Object.entries({ ...writing, ...racing, ...reading, ...listing, ...rest })) {
    test(`${name}: ${title}`, async (t) => {
      const open = await make(t);
      const storage = await open();
      t.teardown(() => storage.close());
      await run(t, storage, open);
    });
  }
}

const writing: Record<string, Case> = {
  'a created object is read back, here and through another opening': async (t, storage, open) => {
    t.true(await storage.createOnce('log/000000000001', [text('one')]));
    t.deepEqual(await storage.read('log/000000000001'), text('one'));
    await storage.close();
    const again = await open();
    t.teardown(() => again.close());
    t.deepEqual(await again.read('log/000000000001'), text('one'));
  },
  'a taken name refuses other bytes, and the same bytes too': async (t, storage) => {
    t.true(await storage.createOnce('format.json', [text('first')]));
    t.false(await storage.createOnce('format.json', [text('second')]));
    t.false(await storage.createOnce('format.json', [text('first')]));
    t.deepEqual(await storage.read('format.json'), text('first'));
  },
  'parts are joined in order, empty ones and views into larger buffers among them': async (t, storage) => {
    const parts = [text('ab'), Buffer.alloc(0), new Uint8Array(text('xcdx').buffer, 0, 0), text('xcdx').subarray(1, 3)];
    t.true(await storage.createOnce('a', parts));
    t.deepEqual(await storage.read('a'), text('abcd'));
  },
  'thousands of small parts make one object': async (t, storage) => {
    const parts = Array.from({ length: 3_000 }, (_, index) => text(`${index},`));
    t.true(await storage.createOnce('a', parts));
    t.deepEqual(await storage.read('a'), Buffer.concat(parts));
  },
  'an object may be empty': async (t, storage) => {
    t.true(await storage.createOnce('empty/none', []));
    t.true(await storage.createOnce('empty/void', [Buffer.alloc(0)]));
    t.false(await storage.createOnce('empty/none', [text('x')]));
    t.deepEqual(await storage.read('empty/none'), Buffer.alloc(0));
    t.deepEqual(await storage.read('empty/void', { start: 0, end: 9 }), Buffer.alloc(0));
    t.is((await storage.stat('empty/none'))?.sizeBytes, 0);
  },
  'an object of 5 MiB comes back byte for byte': async (t, storage) => {
    const bytes = pattern(LARGE_BYTES);
    t.true(await storage.createOnce('packs/ab/large', [bytes.subarray(0, 1_000_001), bytes.subarray(1_000_001)]));
    t.true(bytes.equals((await storage.read('packs/ab/large')) ?? text('none')));
    t.is((await storage.stat('packs/ab/large'))?.sizeBytes, LARGE_BYTES);
  },
  'changing a buffer after it was written or read changes no object': async (t, storage) => {
    const bytes = text('steady');
    await storage.createOnce('a', [bytes]);
    bytes.fill('!');
    const first = await storage.read('a');
    t.deepEqual(first, text('steady'));
    first?.fill('?');
    t.deepEqual(await storage.read('a'), text('steady'));
  },
};

const racing: Record<string, Case> = {
  'of calls in flight at once for one name exactly one wins, and its bytes are there': async (t, storage, open) => {
    const other = await open();
    t.teardown(() => other.close());
    for (let round = 0; round < 10; round += 1) {
      await raceFor(t, `log/${round}`, [storage, other, storage, other, storage, other], 100);
    }
  },
  'of large objects in flight at once for one name exactly one wins': async (t, storage, open) => {
    const other = await open();
    t.teardown(() => other.close());
    await raceFor(t, 'packs/ab/large', [storage, other, storage], LARGE_BYTES);
  },
  'a reader that looks while an object is written sees nothing or all of it': async (t, storage, open) => {
    const other = await open();
    t.teardown(() => other.close());
    const bytes = pattern(LARGE_BYTES);
    const writing = storage.createOnce('packs/ab/large', [bytes]);
    const written = writing.then(() => true);
    // A turn of the event loop between looks lets the writer's own callbacks run.
    while (!(await Promise.race([written, nextTurn().then(() => false)]))) {
      const seen = await other.read('packs/ab/large');
      if (seen !== undefined && !seen.equals(bytes)) t.fail(`saw ${seen.length} bytes that are not the object`);
    }
    t.true(await writing);
    t.true(bytes.equals((await other.read('packs/ab/large')) ?? text('none')));
  },
};

const reading: Record<string, Case> = {
  'what is not there is undefined': async (t, storage) => {
    await storage.createOnce('log/1', [text('one')]);
    for (const name of ['nothing', 'log', 'log/2', 'log/1/deeper', 'packs/ab/cd']) {
      t.is(await storage.read(name), undefined, name);
      t.is(await storage.read(name, { start: 0, end: 1 }), undefined, name);
      t.is(await storage.stat(name), undefined, name);
    }
  },
  'a range is start to before end, cut at the object’s end': async (t, storage) => {
    await storage.createOnce('a', [text('0123456789')]);
    const cases: readonly [number, number, string][] = [
      [0, 10, '0123456789'],
      [0, 1, '0'],
      [9, 10, '9'],
      [3, 7, '3456'],
      [3, 3, ''],
      [0, 0, ''],
      [8, 99, '89'],
      [10, 11, ''],
      [50, 60, ''],
      [2, Number.MAX_SAFE_INTEGER, '23456789'],
    ];
    for (const [start, end, expected] of cases) {
      t.deepEqual(await storage.read('a', { start, end }), text(expected), `${start} to ${end}`);
    }
  },
  'small and large ranges of a large object are right wherever they begin, read one after the other or at once': async (
    t,
    storage,
  ) => {
    const bytes = pattern(LARGE_BYTES);
    await storage.createOnce('packs/ab/large', [bytes]);
    const ranges = [];
    for (let start = 0; start < LARGE_BYTES; start += 700_001) {
      for (const length of [1, 65_536, 2_000_000]) ranges.push({ start, end: start + length });
    }
    for (const range of ranges) {
      t.true(
        bytes.subarray(range.start, range.end).equals((await storage.read('packs/ab/large', range)) ?? text('none')),
      );
    }
    const atOnce = await Promise.all(ranges.map((range) => storage.read('packs/ab/large', range)));
    t.true(ranges.every((range, index) => atOnce[index]?.equals(bytes.subarray(range.start, range.end))));
  },
  'ranges of a hundred objects in turn are each the right object’s': async (t, storage) => {
    for (let index = 0; index < 100; index += 1)
      await storage.createOnce(`packs/${index}`, [text(`object ${index} ends`)]);
    for (const round of [0, 1]) {
      for (let index = 0; index < 100; index += 1) {
        const end = 7 + String(index).length;
        t.deepEqual(await storage.read(`packs/${index}`, { start: 7, end }), text(`${index}`), `round ${round}`);
      }
    }
  },
  'a stat has the name, the size and a plausible time': async (t, storage) => {
    await storage.createOnce('keys/1', [text('12345')]);
    const stat = await storage.stat('keys/1');
    t.is(stat?.name, 'keys/1');
    t.is(stat?.sizeBytes, 5);
    t.true(Number.isInteger(stat?.modifiedMs) && (stat?.modifiedMs ?? 0) > Date.UTC(2020, 0, 1));
  },
};

const listing: Record<string, Case> = {
  'a list has the objects in byte order, also where a folder’s name is the beginning of a file’s': async (
    t,
    storage,
  ) => {
    const names = [
      'a-b',
      'a.b',
      'a/b',
      'a/c/d',
      'a/c-d',
      'a0',
      'a_',
      'b',
      'log/9',
      'log/10',
      'packs/ab/x',
      'packs/aa/x',
    ];
    for (const name of names) await storage.createOnce(name, [text(name)]);
    t.deepEqual(await listed(storage, ''), names.toSorted());
    t.deepEqual(await listed(storage, 'a/'), ['a/b', 'a/c-d', 'a/c/d']);
  },
  'a prefix may end anywhere in a name': async (t, storage) => {
    for (const name of ['log/10', 'log/11', 'log/2', 'logs', 'l/1', 'log-1']) await storage.createOnce(name, []);
    const cases: Record<string, string[]> = {
      log: ['log-1', 'log/10', 'log/11', 'log/2', 'logs'],
      'log/': ['log/10', 'log/11', 'log/2'],
      'log/1': ['log/10', 'log/11'],
      'log/10': ['log/10'],
      'log/100': [],
      'nowhere/': [],
      tmp: [],
      'tmp/': [],
    };
    for (const [prefix, expected] of Object.entries(cases))
      t.deepEqual(await listed(storage, prefix), expected, prefix);
  },
  'a list begins after startAfter, which need not be there': async (t, storage) => {
    for (const name of ['log/1', 'log/2', 'log/3', 'packs/aa/1', 'packs/ab/1', 'packs/ab/2'])
      await storage.createOnce(name, []);
    t.deepEqual(await listed(storage, 'log/', 'log/2'), ['log/3']);
    t.deepEqual(await listed(storage, 'log/', 'log/25'), ['log/3']);
    t.deepEqual(await listed(storage, 'log/', 'log/3'), []);
    t.deepEqual(await listed(storage, 'log/', 'a'), ['log/1', 'log/2', 'log/3']);
    t.deepEqual(await listed(storage, 'log/', 'packs'), []);
    t.deepEqual(await listed(storage, '', 'packs/ab'), ['packs/ab/1', 'packs/ab/2']);
    t.deepEqual(await listed(storage, 'packs/', 'packs/ab/1'), ['packs/ab/2']);
    t.deepEqual(await listed(storage, '', 'log/~'), ['packs/aa/1', 'packs/ab/1', 'packs/ab/2']);
    t.deepEqual(await listed(storage, '', 'ü'), []);
  },
  'thousands of objects are listed once each, with their sizes, from any point': async (t, storage) => {
    const names = Array.from({ length: MANY }, (_, index) => `log/${String(index).padStart(12, '0')}`);
    for (let first = 0; first < MANY; first += 50) {
      const created = names
        .slice(first, first + 50)
        .map((name, index) => storage.createOnce(name, [Buffer.alloc(index)]));
      t.true((await Promise.all(created)).every(Boolean));
    }
    const stats: ObjectStat[] = [];
    for await (const stat of storage.list('log/')) stats.push(stat);
    t.deepEqual(
      stats.map(({ name }) => name),
      names,
    );
    t.true(stats.every(({ sizeBytes }, index) => sizeBytes === index % 50));
    t.deepEqual(await listed(storage, 'log/', names[998]), names.slice(999));
    t.deepEqual(await listed(storage, 'log/', names[MANY - 2]), names.slice(-1));
    t.deepEqual(await listed(storage, 'log/0000000020'), names.slice(2_000, 2_100));
  },
  'a listed stat is the object’s stat': async (t, storage) => {
    await storage.createOnce('keys/1', [text('12345')]);
    for await (const stat of storage.list('')) t.deepEqual(stat, await storage.stat('keys/1'));
    t.deepEqual(await listed(storage, ''), ['keys/1']);
  },
  'a list may be left early, and deleting what it yields does not disturb it': async (t, storage) => {
    for (const name of ['a/1', 'a/2', 'a/3']) await storage.createOnce(name, []);
    for await (const { name } of storage.list('')) {
      t.is(name, 'a/1');
      break;
    }
    for await (const { name } of storage.list('a/')) await storage.delete(name);
    t.deepEqual(await listed(storage, ''), []);
  },
};

const rest: Record<string, Case> = {
  'a deleted object is gone, for ranges too, and its name is free': async (t, storage, open) => {
    const other = await open();
    t.teardown(() => other.close());
    await storage.createOnce('a/b', [text('old')]);
    t.deepEqual(await storage.read('a/b', { start: 0, end: 1 }), text('o'));
    t.deepEqual(await other.read('a/b', { start: 0, end: 1 }), text('o'));
    await storage.delete('a/b');
    for (const opened of [storage, other]) {
      t.is(await opened.read('a/b'), undefined);
      t.is(await opened.read('a/b', { start: 0, end: 1 }), undefined);
      t.is(await opened.stat('a/b'), undefined);
      t.deepEqual(await listed(opened, ''), []);
    }
    t.true(await storage.createOnce('a/b', [text('new')]));
    t.deepEqual(await other.read('a/b', { start: 0, end: 9 }), text('new'));
  },
  'deleting what is not there is no error, and deletes nothing else': async (t, storage) => {
    await storage.createOnce('a/b', [text('stays')]);
    for (const name of ['a', 'a/c', 'a/b/c', 'b/c', 'nothing']) await t.notThrowsAsync(storage.delete(name), name);
    t.deepEqual(await storage.read('a/b'), text('stays'));
  },
  'what is no object’s name is refused as hostile, by every method, and leaves no trace': async (t, storage) => {
    for (const name of BAD_NAMES) {
      const attempts = [
        () => storage.createOnce(name, [text('x')]),
        () => storage.read(name),
        () => storage.stat(name),
        () => storage.delete(name),
      ];
      for (const attempt of attempts) {
        const error = await t.throwsAsync(attempt(), undefined, JSON.stringify(name));
        t.true(isMoltError(error, 'HOSTILE'), JSON.stringify(name));
      }
    }
    t.deepEqual(await listed(storage, ''), []);
  },
  'a prefix that no name can begin with is refused as hostile': async (t, storage) => {
    for (const prefix of ['/', '../', 'a//', '.', 'a/.', 'A', 'a\\', 'a\0']) {
      const error = await t.throwsAsync(listed(storage, prefix), undefined, JSON.stringify(prefix));
      t.true(isMoltError(error, 'HOSTILE'), JSON.stringify(prefix));
    }
  },
  'the longest name can be written, listed and read': async (t, storage) => {
    const name = `packs/${'a'.repeat(194)}`;
    t.true(await storage.createOnce(name, [text('x')]));
    t.deepEqual(await listed(storage, 'packs/'), [name]);
    t.deepEqual(await storage.read(name), text('x'));
  },
  'the label says something and holds no credentials': async (t, storage) => {
    t.not(storage.label, '');
    t.notRegex(storage.label, /:[^/]*@/);
  },
  'closing twice is no error': async (t, storage) => {
    await storage.createOnce('a', [text('x')]);
    await storage.read('a', { start: 0, end: 1 });
    await storage.close();
    await t.notThrowsAsync(storage.close());
  },
};

/** Returns the names that a storage lists. */
export async function listed(storage: Storage, prefix: string, startAfter?: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.list(prefix, startAfter)) names.push(name);
  return names;
}

async function raceFor(
  t: ExecutionContext,
  name: string,
  racers: readonly Storage[],
  sizeBytes: number,
): Promise<void> {
  const offers = racers.map((_, index) => Buffer.alloc(sizeBytes + index, index + 1));
  const won = await Promise.all(racers.map((racer, index) => racer.createOnce(name, [offers[index] ?? text('')])));
  t.is(won.filter(Boolean).length, 1, name);
  const kept = (await racers[0]?.read(name)) ?? text('none');
  t.true(offers[won.indexOf(true)]?.equals(kept), name);
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function text(content: string): Buffer {
  return Buffer.from(content);
}

/** Returns bytes in which no aligned word comes twice, so that no misplaced range can look right. */
function pattern(sizeBytes: number): Buffer {
  const words = new Uint32Array(sizeBytes / 4);
  for (let index = 0; index < words.length; index += 1) words[index] = Math.imul(index, 2_654_435_761);
  return Buffer.from(words.buffer);
}
