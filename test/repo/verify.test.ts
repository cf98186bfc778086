// What a check of a storage finds: every kind of damage, by its own code, and which commits it hurts.

import test from 'ava';
import { encodeFormatFile } from '../../src/format/format-file.ts';
import { HEADER_BYTES } from '../../src/format/layout.ts';
import { encodeTrailer, parseTrailer, StripeCrc } from '../../src/format/trailer.ts';
import { isMoltError, type ErrorCode } from '../../src/model/error.ts';
import type { StorageId } from '../../src/model/ids.ts';
import { Repository } from '../../src/repo/repository.ts';
import { checkStorage, type StorageCheck } from '../../src/repo/verify.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { copyStorage, makeSmallRepository, namesOf, type SmallRepository } from './small-repository.ts';

const EVERYTHING = { readShare: 1, random: () => 0 };

const small = await makeSmallRepository();
const names = await namesOf(small.storage);
const PACK = nameOf('packs/');
const INDEX = nameOf('index/');
const CHECKPOINT = nameOf('checkpoint/');

function nameOf(prefix: string): string {
  const name = names.find((name) => name.startsWith(prefix));
  if (name === undefined) throw new Error(`the small repository has nothing below ${prefix}`);
  return name;
}

async function bytesOf(name: string, from: Storage = small.storage): Promise<Buffer> {
  const bytes = await from.read(name);
  if (bytes === undefined) throw new Error(`there is no ${name}`);
  return bytes;
}

async function check(
  changes: readonly (readonly [string, Buffer | undefined])[],
  options = EVERYTHING,
): Promise<StorageCheck> {
  const storage = await copyStorage(small.storage, new Map(changes));
  return checkStorage({ ...small, storage }, options);
}

/** Returns what was said of an object, code by code. */
function codesOf({ report }: StorageCheck, object: string): ErrorCode[] {
  return report.problems.filter((problem) => problem.object === object).map(({ code }) => code);
}

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
  return changed;
}

/** Changes a container's body and makes its checksums fit again, as somebody could who has no key. */
function forged(bytes: Buffer, change: (body: Buffer) => Buffer): Buffer {
  const trailer = parseTrailer(bytes, bytes.length, 'the container');
  const body = change(Buffer.from(bytes.subarray(0, trailer.bodyBytes)));
  const crc = new StripeCrc();
  crc.push(body);
  return Buffer.concat([body, encodeTrailer({ ...trailer, stripes: crc.finish() })]);
}

test('a sound repository has no problems, whether its content is read or not', async (t) => {
  for (const readShare of [0, 0.1, 1]) {
    const found = await check([], { readShare, random: () => 0 });
    t.deepEqual(found.report.problems, []);
    t.deepEqual(found.report.notes, []);
    t.deepEqual(found.hurt, []);
    t.true(found.cachesAreSound);
    t.is(found.commitCount, small.commits.length);
    t.is(found.report.checked.segments, small.commits.length);
    t.is(found.report.checked.packs, 1);
  }
});

test('a flipped byte is found wherever it is', async (t) => {
  for (const name of names) {
    const bytes = await bytesOf(name);
    const step = Math.max(1, Math.floor(bytes.length / 24));
    for (let at = names.indexOf(name); at < bytes.length; at += step) {
      const found = await check([[name, flipped(bytes, at)]]);
      t.true(codesOf(found, name).length > 0, `${name} at ${at}`);
    }
  }
});

test('a file that is cut off is called truncated, also in the middle of its header', async (t) => {
  for (const name of [PACK, INDEX, CHECKPOINT, 'log/000000000002']) {
    const bytes = await bytesOf(name);
    for (const length of [100, Math.floor(bytes.length / 2), bytes.length - 1]) {
      const found = await check([[name, bytes.subarray(0, length)]]);
      t.deepEqual(codesOf(found, name), ['TRUNCATED'], `${name} cut to ${length}`);
    }
  }
});

const wrongPlace = test.macro({
  exec: async (t, name: string, make: () => Promise<Buffer>, code: ErrorCode) => {
    const found = await check([[name, await make()]]);
    t.true(codesOf(found, name).includes(code), JSON.stringify(found.report.problems));
  },
  title: (title = '') => title,
});

test(
  'a segment under another number is called renamed',
  wrongPlace,
  'log/000000000003',
  () => bytesOf('log/000000000002'),
  'RENAMED',
);
test(
  'a pack under the name of a segment is called renamed',
  wrongPlace,
  'log/000000000003',
  () => bytesOf(PACK),
  'RENAMED',
);
test(
  'an index run under a name that is not its hash is called renamed',
  wrongPlace,
  `index/${'ab'.repeat(32)}`,
  () => bytesOf(INDEX),
  'RENAMED',
);
test(
  'a checkpoint of another segment is called renamed',
  wrongPlace,
  `checkpoint/000000000002-${'ab'.repeat(32)}`,
  () => bytesOf(CHECKPOINT),
  'RENAMED',
);
test(
  'a container under a name of no kind is called renamed',
  wrongPlace,
  'elsewhere/copy',
  () => bytesOf(PACK),
  'RENAMED',
);
test(
  'a keyring under another generation is called renamed',
  wrongPlace,
  'keys/000002',
  () => bytesOf('keys/000001'),
  'RENAMED',
);

test(
  'a segment of another repository is called that',
  wrongPlace,
  'log/000000000002',
  async () => bytesOf('log/000000000002', (await makeSmallRepository({ seed: 2 })).storage),
  'WRONG_REPOSITORY',
);

test(
  'a pack of another repository is called that',
  wrongPlace,
  PACK,
  async () => {
    const other = await makeSmallRepository({ seed: 2 });
    return bytesOf((await namesOf(other.storage, 'packs/')).join(), other.storage);
  },
  'WRONG_REPOSITORY',
);

test(
  'a segment of another storage of the repository is called that',
  wrongPlace,
  'log/000000000002',
  async () => bytesOf('log/000000000002', (await makeSibling(small)).storage),
  'WRONG_STORAGE',
);

test(
  'a container that another key sealed under this repository’s name is called that',
  wrongPlace,
  'log/000000000002',
  async () => {
    const bytes = await bytesOf('log/000000000002');
    return forged(bytes, (body) => flipped(body, 100));
  },
  'WRONG_KEY',
);

test('blocks that changed places are damage although every checksum holds', async (t) => {
  const name = 'log/000000000002';
  const found = await check([
    [
      name,
      forged(await bytesOf(name), (body) =>
        Buffer.concat([
          body.subarray(0, HEADER_BYTES),
          body.subarray(300, 500),
          body.subarray(HEADER_BYTES, 300),
          body.subarray(500),
        ]),
      ),
    ],
  ]);
  t.deepEqual(codesOf(found, name), ['DAMAGED']);
});

test('a missing segment is found between those that are there, with the commit that is lost', async (t) => {
  const found = await check([['log/000000000002', undefined]]);
  t.deepEqual(codesOf(found, 'log/000000000002'), ['DAMAGED']);
  t.deepEqual(
    found.hurt.map(({ id }) => id),
    [small.commits[1]],
  );
});

test('two missing segments in a row are found', async (t) => {
  const found = await check([
    ['log/000000000002', undefined],
    ['log/000000000003', undefined],
  ]);
  t.deepEqual(codesOf(found, 'log/000000000002'), ['DAMAGED']);
  t.deepEqual(codesOf(found, 'log/000000000003'), ['DAMAGED']);
});

test('a missing pack hurts the commits that need it, and says which by their tags', async (t) => {
  const found = await check([[PACK, undefined]]);
  t.deepEqual(codesOf(found, PACK), ['DAMAGED']);
  t.deepEqual(new Set(found.hurt.map(({ id }) => id)), new Set(small.commits));
  t.deepEqual(found.hurt.find(({ id }) => id === small.commits[0])?.tags, ['full/1']);
});

test('a damaged block hurts only the commits that need what is in it', async (t) => {
  const name = 'log/000000000004';
  const found = await check([[name, flipped(await bytesOf(name), HEADER_BYTES + 10)]]);
  t.deepEqual(codesOf(found, name), ['DAMAGED']);
  t.deepEqual(
    found.hurt.map(({ id }) => id),
    [small.commits[3]],
  );
  const pack = await check([[PACK, flipped(await bytesOf(PACK), HEADER_BYTES + 10)]]);
  t.deepEqual(codesOf(pack, PACK), ['DAMAGED']);
  t.true(pack.hurt.length > 0);
});

test('a missing newest checkpoint is no problem', async (t) => {
  const found = await check([[CHECKPOINT, undefined]]);
  t.deepEqual(found.report.problems, []);
});

test('a checkpoint without its index run is a problem, and hurts no commit', async (t) => {
  const found = await check([[INDEX, undefined]]);
  t.deepEqual(codesOf(found, CHECKPOINT), ['DAMAGED']);
  t.deepEqual(found.hurt, []);
  t.false(found.cachesAreSound);
});

test('a checkpoint whose segment is gone tells that the log lost its end', async (t) => {
  const cut = small.commits.map((_, index): [string, undefined] => [
    `log/${String(index + 1).padStart(12, '0')}`,
    undefined,
  ]);
  const found = await check(cut);
  t.regex(found.report.problems.find(({ object }) => object === CHECKPOINT)?.problem ?? '', /set back/);
});

test('a missing keyring that the log was written with is a problem', async (t) => {
  const found = await check([['keys/000001', undefined]]);
  t.deepEqual(codesOf(found, 'keys/000001'), ['DAMAGED']);
});

test('a pack that no segment names and a file of somebody else are only noted', async (t) => {
  const orphan = `packs/ab/${'ab'.repeat(32)}`;
  const found = await check([
    [orphan, await bytesOf(PACK)],
    ['readme.txt', Buffer.from('hello')],
  ]);
  t.deepEqual(found.report.problems, []);
  t.deepEqual(found.report.notes.map(({ object }) => object).toSorted(), [orphan, 'readme.txt']);
});

test('a hole that the log declared is noted, unless a segment of this storage stood there', async (t) => {
  const write = async (squatter: Buffer): Promise<StorageCheck> => {
    const storage = await copyStorage(small.storage);
    await storage.createOnce('log/000000000005', [squatter]);
    const repository = await Repository.open(storage, small.opened, {
      clock: { now: () => 0 },
      random: { bytes: (length) => Buffer.alloc(length, 5) },
    });
    await repository.transact({ packs: false }, (transaction) => transaction.publish([], []));
    return checkStorage({ ...small, storage }, EVERYTHING);
  };
  const foreign = await write(Buffer.from('somebody else’s'));
  t.deepEqual(foreign.report.problems, []);
  t.deepEqual(
    foreign.report.notes.map(({ object }) => object),
    ['log/000000000005'],
  );
});

test('a segment that was damaged before the log went on stays a problem', async (t) => {
  const storage = await copyStorage(
    small.storage,
    new Map([['log/000000000004', flipped(await bytesOf('log/000000000004'), 70)]]),
  );
  const repository = await Repository.open(storage, small.opened, {
    clock: { now: () => 0 },
    random: { bytes: (length) => Buffer.alloc(length, 5) },
  });
  await repository.transact({ packs: false }, (transaction) => transaction.publish([], []));
  const found = await checkStorage({ ...small, storage }, EVERYTHING);
  t.regex(
    found.report.problems.find(({ object }) => object === 'log/000000000004')?.problem ?? '',
    /the log went on without it/,
  );
});

test('opening names damage as damage, not as a container of somebody else', async (t) => {
  const bytes = await bytesOf('log/000000000001');
  const storage = await copyStorage(
    small.storage,
    new Map([
      ['log/000000000001', flipped(bytes, 20)],
      [CHECKPOINT, undefined],
    ]),
  );
  const ports = { clock: { now: () => 0 }, random: { bytes: (length: number) => Buffer.alloc(length) } };
  const repository = await Repository.open(storage, small.opened, ports);
  t.regex(repository.problems.map(({ problem }) => problem).join(), /log\/000000000001 is damaged in MiB 0/);
});

test('a newer format.json is refused, and nothing is touched', async (t) => {
  const newer = encodeFormatFile(small).toString('utf8').replace('"version":1', '"version":2');
  const storage = await copyStorage(small.storage, new Map([['format.json', Buffer.from(newer)]]));
  const ports = { clock: { now: () => 0 }, random: { bytes: (length: number) => Buffer.alloc(length) } };
  const error = await t.throwsAsync(Repository.open(storage, small.opened, ports));
  t.true(isMoltError(error, 'NEWER_FORMAT'));
  for (const name of await namesOf(storage)) {
    if (name !== 'format.json') t.deepEqual(await bytesOf(name, storage), await bytesOf(name));
  }
  t.deepEqual(await namesOf(storage), names);
});

/** Makes another storage of the same repository: same keys and repository id, its own storage id. */
async function makeSibling(of: SmallRepository): Promise<SmallRepository> {
  return makeSmallRepository({
    seed: 1,
    ids: { repositoryId: of.repositoryId, storageId: 'ab'.repeat(16) as StorageId },
    roots: of.opened.roots,
  });
}
