// FileFiller: files get their content from chunks wherever they are stored, with and without threads, and nothing that is not what
// its id says.

import {
  closeSync,
  ftruncateSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { FileToFill } from '../../src/model/entry.ts';
import { isMoltError, MoltError } from '../../src/model/error.ts';
import type { BlobId } from '../../src/model/ids.ts';
import { FileFiller } from '../../src/repo/file-filler.ts';
import { gitIdOf } from '../../src/repo/objects.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { randomContent, textContent } from '../chunk/content.ts';
import { commitFiles, makeRepository, openRepository, type TestFiles } from './support.ts';

function tempDir(t: ExecutionContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'molt-filler-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Several hundred files, in packs and in segments, some of them made of deltas, some with the same content. */
async function fillRepository(repository: Repository): Promise<Map<BlobId, Buffer>> {
  const contents = [
    ...Array.from({ length: 300 }, (_, at) => textContent(`small ${at}`, at * 7)),
    randomContent('large', 3_000_001),
    textContent('text', 9_000_000),
    Buffer.alloc(5_000_000),
    Buffer.concat([textContent('text', 900_000), textContent('small 250', 250 * 7)]),
  ];
  const files: TestFiles = Object.fromEntries(contents.map((bytes, at) => [`f/${at}`, { bytes }]));
  await commitFiles(
    repository,
    { ...files, db: { bytes: randomContent('db', 400_000), chunking: 'fixed' } },
    { full: true },
  );
  let database: Buffer = randomContent('db', 400_000);
  for (let tick = 1; tick < 4; tick += 1) {
    database = Buffer.from(database);
    for (let at = 0; at < 400_000; at += 65_536) database.writeUInt32LE(tick, at);
    await commitFiles(repository, { ...files, db: { bytes: database, chunking: 'fixed' } });
  }
  return new Map([...contents, database].map((bytes) => [gitIdOf('blob', bytes), bytes]));
}

interface Filled extends FileToFill {
  readonly path: string;
}

function makeFile(dir: string, blob: BlobId, sizeBytes: number): Filled {
  const path = join(dir, blob);
  const descriptor = openSync(path, 'wx');
  return {
    path,
    descriptor,
    blob,
    sizeBytes,
    likeness: undefined,
    wrote: () => undefined,
    finish() {
      ftruncateSync(descriptor, sizeBytes);
      closeSync(descriptor);
    },
    explain: (error) => new Error(`cannot fill ${blob}`, { cause: error }),
  };
}

const fills = test.macro(async (t, workers: number, isFolder = true) => {
  const dir = tempDir(t);
  const storage = isFolder
    ? await DirectoryStorage.open(join(dir, 'storage'), { create: true })
    : new MemoryStorage({ now: () => 0 });
  const repository = await makeRepository(storage);
  const blobs = await fillRepository(repository);
  const filler = new FileFiller(await openRepository(storage), { totalBytes: 0, workers });
  const files = [...blobs].map(([blob, bytes]) => makeFile(dir, blob, bytes.length));
  for (const file of files) await filler.fillFile(file);
  await filler.drain();
  await filler.stop();
  for (const { path, blob } of files) t.true(blobs.get(blob)?.equals(readFileSync(path)), blob);
});
test('files of every kind are filled on this thread', fills, 0);
test('files of every kind are filled by one thread', fills, 1);
test('files of every kind are filled by three threads', fills, 3);
test('files of every kind are filled by threads that are handed what they need', fills, 2, false);

test('a read that fails and a pack that is gone are reported where threads are handed what they need', async (t) => {
  const storage = new MemoryStorage({ now: () => 0 });
  const repository = await makeRepository(storage);
  const blobs = await fillRepository(repository);
  const failures = {
    gone: async () => undefined,
    fails: async () => {
      throw new MoltError('REMOTE_UNREACHABLE', 'the place does not answer');
    },
  };
  for (const [code, failure] of [
    ['DAMAGED', failures.gone],
    ['REMOTE_UNREACHABLE', failures.fails],
  ] as const) {
    const there = await openRepository(storage);
    const dir = tempDir(t);
    const filler = new FileFiller(there, { totalBytes: 0, workers: 2 });
    const files = [...blobs].map(([blob, bytes]) => makeFile(dir, blob, bytes.length));
    // Records and lists are read, the first blocks too, and then the place is gone.
    let blocks = 0;
    const read = storage.read.bind(storage);
    storage.read = async (name, range) => {
      const isBlock = range !== undefined && name.startsWith('packs/') && range.end - range.start > 100_000;
      blocks += Number(isBlock);
      return isBlock && blocks > 4 ? failure() : read(name, range);
    };
    const fillAll = async (): Promise<void> => {
      for (const file of files) await filler.fillFile(file);
      await filler.drain();
    };
    const error = await t.throwsAsync(fillAll());
    t.true(isMoltError(error, code), String(error));
    await filler.stop();
    storage.read = read;
  }
});

const copies = test.macro(async (t, workers: number) => {
  const dir = tempDir(t);
  const storage = await DirectoryStorage.open(join(dir, 'storage'), { create: true });
  const repository = await makeRepository(storage);
  const bytes = randomContent('database', 640_000);
  bytes.fill(0, 131_072, 262_144);
  await commitFiles(repository, { db: { bytes, chunking: 'fixed' } }, { full: true });
  const packs = join(dir, 'storage/packs');
  const [pack = ''] = readdirSync(packs, { recursive: true, encoding: 'utf8' }).filter((name) => name.length > 60);
  const alike = join(dir, 'alike');
  const fill = async (content: Buffer): Promise<Buffer> => {
    writeFileSync(alike, content);
    const likeness = openSync(alike, 'r');
    const filler = new FileFiller(await openRepository(storage), { totalBytes: 0, workers });
    const file = makeFile(dir, gitIdOf('blob', bytes), bytes.length);
    try {
      await filler.fillFile({ ...file, likeness });
      await filler.drain();
      return readFileSync(file.path);
    } finally {
      await filler.stop();
      closeSync(likeness);
      rmSync(file.path);
    }
  };
  const changed = Buffer.from(bytes);
  changed[70_000] = (changed[70_000] ?? 0) ^ 1;
  // Zeroes in the content are holes in the file, whatever stands there in the other.
  changed.fill(1, 140_000, 150_000);
  for (const content of [changed, changed.subarray(0, 100_000), Buffer.alloc(0)])
    t.true((await fill(content)).equals(bytes));
  const descriptor = openSync(join(packs, pack), 'r+');
  writeSync(descriptor, Buffer.alloc(400_000), 0, 400_000, 4096);
  closeSync(descriptor);
  t.true((await fill(Buffer.concat([bytes, bytes]))).equals(bytes));
  t.true(isMoltError(await t.throwsAsync(fill(changed)), 'DAMAGED'));
});
test('what another file has at the same place is taken from there if it is right, on this thread', copies, 0);
test('what another file has at the same place is taken from there if it is right, by threads', copies, 2);

const changes = test.macro(async (t, workers: number) => {
  const dir = tempDir(t);
  const storage = await DirectoryStorage.open(join(dir, 'storage'), { create: true });
  const repository = await makeRepository(storage);
  const there = randomContent('database', 640_000);
  const wanted = Buffer.from(there.subarray(0, 400_000));
  wanted[70_000] = (wanted[70_000] ?? 0) ^ 1;
  wanted.fill(0, 131_072, 262_144);
  const files = { there: { bytes: there, chunking: 'fixed' }, wanted: { bytes: wanted, chunking: 'fixed' } } as const;
  await commitFiles(repository, files, { full: true });
  const fill = async (content: Buffer, present: BlobId): Promise<{ got: Buffer; wrote: number }> => {
    const filler = new FileFiller(await openRepository(storage), { totalBytes: 0, workers });
    const file = makeFile(dir, gitIdOf('blob', wanted), wanted.length);
    writeFileSync(file.path, content);
    let wrote = 0;
    await filler.fillFile({ ...file, present, wrote: (bytes) => (wrote += bytes) });
    await filler.drain();
    await filler.stop();
    const got = readFileSync(file.path);
    rmSync(file.path);
    return { got, wrote };
  };
  const blob = gitIdOf('blob', there);
  t.deepEqual(await fill(there, blob), { got: wanted, wrote: wanted.length });
  // What it has in common with what is there is not touched, whatever the file really has.
  const { got } = await fill(Buffer.alloc(640_000, 7), blob);
  for (const [from, to] of [
    [0, 65_536],
    [262_144, 327_680],
  ] as const)
    t.true(got.subarray(from, to).equals(Buffer.alloc(65_536, 7)));
  t.true(got.subarray(65_536, 262_144).equals(wanted.subarray(65_536, 262_144)));
  // Of what can't be looked up nothing is taken for granted.
  t.true((await fill(Buffer.alloc(640_000, 7), '0'.repeat(40) as BlobId)).got.equals(wanted));
});
test('of a file with known content only what differs is written, on this thread', changes, 0);
test('of a file with known content only what differs is written, by threads', changes, 2);

const refuses = test.macro(async (t, workers: number, sizeBytes: number) => {
  const dir = tempDir(t);
  const storage = await DirectoryStorage.open(join(dir, 'storage'), { create: true });
  const repository = await makeRepository(storage);
  const bytes = randomContent('large', sizeBytes);
  await commitFiles(repository, { f: bytes }, { full: true });
  const blob = gitIdOf('blob', bytes);
  const attempt = async (change: (file: Filled) => FileToFill): Promise<unknown> => {
    const filler = new FileFiller(await openRepository(storage), { totalBytes: 0, workers });
    const file = makeFile(dir, blob, bytes.length);
    try {
      await filler.fillFile(change(file));
      await filler.drain();
      return undefined;
    } catch (error) {
      return error;
    } finally {
      await filler.stop();
      rmSync(file.path);
    }
  };
  t.is(await attempt((file) => file), undefined);
  t.true(isMoltError(await attempt((file) => ({ ...file, sizeBytes: sizeBytes - 1 })), 'DAMAGED'));
  const full = openSync('/dev/full', 'w');
  const refused = await attempt((file) => ({ ...file, descriptor: full }));
  closeSync(full);
  t.true(refused instanceof Error && refused.message === `cannot fill ${blob}`);
  t.is((refused as Error & { cause: NodeJS.ErrnoException }).cause.code, 'ENOSPC');
  const pack = readdirSync(join(dir, 'storage/packs'), { recursive: true, encoding: 'utf8' }).find(
    (name) => name.length > 60,
  );
  truncateSync(join(dir, 'storage/packs', pack ?? ''), 1_000_000);
  t.true(isMoltError(await attempt((file) => file), 'TRUNCATED', 'DAMAGED'));
});
test('a full disk, a wrong length and a cut pack are refused on this thread', refuses, 0, 3_000_001);
test('a full disk, a wrong length and a cut pack are refused by threads', refuses, 2, 3_000_001);
test('a full disk, a wrong length and a cut pack are refused of a large file too', refuses, 2, 6_000_001);

test('a chunk that is not what its id says fills nothing', async (t) => {
  const dir = tempDir(t);
  const repository = await makeRepository();
  const [a, b] = [randomContent('a', 1000), randomContent('b', 1000)];
  await commitFiles(repository, { a, b });
  const blob = gitIdOf('blob', a);
  const chunkOf = async (bytes: Buffer) => {
    const { root } = await repository.objects.readBlobRecord(gitIdOf('blob', bytes));
    return Buffer.from(root ?? '', 'hex');
  };
  const [keyA, placeB] = [await chunkOf(a), await repository.index.find(await chunkOf(b))];
  const { find } = repository.index;
  repository.index.find = (key) => (key.equals(keyA) ? placeB : find.call(repository.index, key));
  const filler = new FileFiller(repository, { totalBytes: 0 });
  const file = makeFile(dir, blob, a.length);
  await filler.fillFile(file);
  t.true(isMoltError(await t.throwsAsync(filler.drain()), 'DAMAGED'));
  await filler.stop();
  t.is(readFileSync(file.path).length, 0);
});

test('zeroes become holes', async (t) => {
  const dir = tempDir(t);
  const repository = await makeRepository();
  const bytes = Buffer.alloc(8 << 20);
  bytes.write('begin');
  bytes.write('middle', 3_000_001);
  await commitFiles(repository, { f: bytes });
  const filler = new FileFiller(repository, { totalBytes: 0 });
  const file = makeFile(dir, gitIdOf('blob', bytes), bytes.length);
  await filler.fillFile(file);
  await filler.drain();
  await filler.stop();
  t.true(readFileSync(file.path).equals(bytes));
  const reopened = openSync(file.path, 'r');
  t.true(fstatSync(reopened).blocks * 512 < 1_000_000);
  closeSync(reopened);
});
