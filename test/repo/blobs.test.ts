// Blobs through the whole stack: chunked, packed, sealed, and back.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { chunkId } from '../../src/crypto/ids.ts';
import { encodeBlobRecord } from '../../src/format/blob.ts';
import { gitIdOf } from '../../src/repo/objects.ts';
import { ENCODING, OBJECT, PACK_BYTES } from '../../src/format/layout.ts';
import type { BlobId, ChunkId } from '../../src/model/ids.ts';
import { isDamage } from '../../src/repo/storage-failure.ts';
import { chunkKey, gitKey } from '../../src/repo/keys.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { randomContent, textContent } from '../chunk/content.ts';
import {
  commitFiles,
  flipMiddle,
  listBlobs,
  listNames,
  MAIN,
  makeRepository,
  must,
  openRepository,
  readFiles,
  replaceObject,
  type TestFile,
  type TestFiles,
} from './support.ts';

const KIB = 1024;
const SIZES = [
  0,
  1,
  2,
  511,
  512,
  16 * KIB - 1,
  16 * KIB,
  64 * KIB - 1,
  64 * KIB,
  64 * KIB + 1,
  128 * KIB,
  256 * KIB,
  256 * KIB + 1,
  3_000_003,
];

function filesOfAllSizes(): TestFiles {
  const files: TestFiles = {};
  for (const size of SIZES) {
    for (const chunking of ['content', 'fixed'] as const) {
      files[`text/${chunking}/${size}`] = { bytes: textContent(`${chunking} ${size}`, size), chunking };
      files[`random/${chunking}/${size}`] = { bytes: randomContent(`${chunking} ${size}`, size), chunking };
      // One byte a chunking: one content cut in both ways in one commit would be taken for a collision.
      files[`zeros/${chunking}/${size}`] = { bytes: Buffer.alloc(size, chunking === 'content' ? 0 : 1), chunking };
      files[`secret/${chunking}/${size}`] = {
        bytes: textContent(`secret ${chunking} ${size}`, Math.min(size, 70_000)),
        chunking,
        secret: true,
      };
    }
  }
  return files;
}

/** Lists the chunks of a file of the newest commit, with the place of each. */
async function placesOf(repository: Repository, path: string) {
  const head = repository.refs.get(MAIN);
  const blob = head === undefined ? undefined : (await listBlobs(repository, head)).get(path);
  if (blob === undefined) throw new Error(`there is no ${path}`);
  const places = [];
  for await (const { id } of repository.objects.listChunks(await repository.objects.readBlobRecord(blob))) {
    const key = chunkKey(id);
    const place = await repository.index.find(key);
    if (place === undefined) throw new Error(`chunk ${id} is missing`);
    places.push({ key, id, place });
  }
  return places;
}

for (const where of ['memory', 'a folder']) {
  test(`files of 0 bytes to 3 MB, cut either way, come back from ${where} with Git's own ids`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'molt-repo-'));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const repository = await makeRepository(where === 'memory' ? undefined : await DirectoryStorage.open(dir));
    const files = filesOfAllSizes();
    const id = await commitFiles(repository, files);
    const again = await openRepository(repository.storage);
    t.deepEqual(again.problems, []);
    const blobs = await listBlobs(again, id);
    const read = await readFiles(again, id);
    t.is(read.size, Object.keys(files).length);
    for (const [path, file] of Object.entries(files)) {
      const { bytes } = file as TestFile;
      t.true(read.get(path)?.equals(bytes), path);
      t.is(blobs.get(path), gitIdOf('blob', bytes));
    }
  });
}

test('a full backup of the same files comes back from packs alone', async (t) => {
  const repository = await makeRepository();
  const files = filesOfAllSizes();
  const id = await commitFiles(repository, files, { full: true });
  const again = await openRepository(repository.storage);
  for (const [path, bytes] of await readFiles(again, id)) t.true(bytes.equals((files[path] as TestFile).bytes), path);
  for (const path of ['text/content/3000003', 'random/fixed/1', 'secret/content/512']) {
    for (const { place } of await placesOf(again, path)) t.true('pack' in place.container, path);
  }
});

test('a file of more than 1,024 chunks has a chunk list of two levels, and changing one chunk stores little', async (t) => {
  const repository = await makeRepository();
  const seed = randomContent('deep', 64 * KIB);
  const parts: Buffer[] = Array.from({ length: 1100 }, (_, index) => {
    const part = Buffer.from(seed);
    part.writeUInt32LE(index);
    return part;
  });
  // Compressible as a whole: each chunk is its predecessor but for four bytes, so that blocks stay small.
  await commitFiles(repository, { db: { bytes: Buffer.concat(parts), chunking: 'fixed' } });
  const blobs = await listBlobs(repository, must(repository.refs.get(MAIN)));
  const record = await repository.objects.readBlobRecord(must(blobs.get('db')));
  t.is(record.depth, 2);
  parts[1050] = randomContent('changed', 64 * KIB);
  const before = await storedBytes(repository);
  const id = await commitFiles(repository, { db: { bytes: Buffer.concat(parts), chunking: 'fixed' } });
  t.true((await storedBytes(repository)) - before < 300 * KIB);
  const again = await openRepository(repository.storage);
  t.true((await readFiles(again, id)).get('db')?.equals(Buffer.concat(parts)));
});

test('content that is there already is not stored again, neither in one commit nor across several', async (t) => {
  const repository = await makeRepository();
  const bytes = randomContent('dedup', 1_000_000);
  await commitFiles(repository, { a: bytes, b: bytes });
  const before = await storedBytes(repository);
  t.true(before < 1_250_000);
  await commitFiles(repository, { c: bytes, d: Buffer.concat([bytes, Buffer.from('and more')]) });
  t.true((await storedBytes(repository)) - before < 300_000);
});

test('a file that changes a little with each commit is stored as deltas on whole chunks, and every version comes back', async (t) => {
  const repository = await makeRepository();
  const versions: Buffer[] = [];
  const ids = [];
  let bytes: Buffer = randomContent('versions', 200_000);
  for (let tick = 0; tick < 40; tick += 1) {
    bytes = Buffer.from(bytes);
    bytes.writeUInt32LE(tick, (tick * 4099) % 190_000);
    versions.push(bytes);
    ids.push(await commitFiles(repository, { db: { bytes, chunking: 'fixed' } }));
  }
  let deltas = 0;
  for (const { key, place } of await placesOf(repository, 'db')) {
    if (place.encoding !== ENCODING.deltas) continue;
    deltas += 1;
    const base = await repository.index.find(await repository.objects.findBase(key, place));
    t.not(base?.encoding, ENCODING.deltas);
  }
  t.true(deltas > 0, 'no chunk is a delta');
  const again = await openRepository(repository.storage);
  for (const [index, id] of ids.entries()) {
    t.true((await readFiles(again, id)).get('db')?.equals(must(versions[index])), `version ${index}`);
  }
});

test('a full backup after deltas holds every object whole in packs', async (t) => {
  const repository = await makeRepository();
  let bytes: Buffer = randomContent('promote', 200_000);
  for (let tick = 0; tick < 3; tick += 1) {
    bytes = Buffer.from(bytes);
    bytes.writeUInt32LE(tick + 1, tick * 70_000);
    await commitFiles(repository, { db: { bytes, chunking: 'fixed' } });
  }
  await repository.transact({ packs: true }, async (transaction) => {
    for (const { key } of await placesOf(repository, 'db')) {
      await transaction.promote(key);
    }
    await transaction.publish([], []);
  });
  for (const { place } of await placesOf(await openRepository(repository.storage), 'db')) {
    t.true('pack' in place.container);
    t.not(place.encoding, ENCODING.deltas);
  }
});

test('a secret is never a delta and never compressed, neither when it changes nor in a full backup', async (t) => {
  const repository = await makeRepository();
  const secret = (text: string): TestFiles => ({ key: { bytes: Buffer.from(text.repeat(2000)), secret: true } });
  await commitFiles(repository, secret('token one '));
  await commitFiles(repository, secret('token two '));
  const [first] = await placesOf(repository, 'key');
  t.is(first?.place.encoding, ENCODING.raw);
  await repository.transact({ packs: true }, async (transaction) => {
    await transaction.promote(must(first).key);
    await transaction.publish([], []);
  });
  const [promoted] = await placesOf(await openRepository(repository.storage), 'key');
  t.true('pack' in must(promoted).place.container);
  t.is(promoted?.place.encoding, ENCODING.raw);
});

test('a large transaction spills into packs of exactly 16 MiB but each thread’s last', async (t) => {
  const repository = await makeRepository();
  const bytes = randomContent('large', 70_000_000);
  const id = await commitFiles(repository, { large: bytes, small: 'small' });
  const sizes = [];
  for await (const { sizeBytes } of repository.storage.list('packs/')) sizes.push(sizeBytes);
  const full = sizes.filter((size) => size === PACK_BYTES).length;
  // Each of at most two threads ends with a pack that is not full.
  t.true(full >= 3 && full >= sizes.length - 2 && sizes.every((size) => size <= PACK_BYTES), String(sizes));
  const segment = await repository.storage.stat('log/000000000001');
  t.true((segment?.sizeBytes ?? 0) < 10_000);
  const read = await readFiles(await openRepository(repository.storage), id);
  t.true(read.get('large')?.equals(bytes));
  t.is(String(read.get('small')), 'small');
});

test('a transaction that is given up leaves nothing that anybody sees', async (t) => {
  const repository = await makeRepository();
  await repository.transact({ packs: false }, async (transaction) => {
    await transaction.writeBlob(Buffer.from('never published'));
  });
  t.deepEqual(await listNames(repository.storage), ['format.json']);
});

test('a damaged earlier version does not keep a file from being saved', async (t) => {
  const repository = await makeRepository();
  const bytes = randomContent('earlier', 150_000);
  await commitFiles(repository, { db: { bytes, chunking: 'fixed' } });
  await commitFiles(repository, { other: 'x', db: { bytes, chunking: 'fixed' } });
  const damaged = await openRepository(repository.storage);
  await replaceObject(repository.storage, 'log/000000000001', flipMiddle);
  const changed = Buffer.from(bytes);
  changed.writeUInt32LE(7, 5);
  const blob = gitIdOf('blob', bytes) as BlobId;
  await damaged.transact({ packs: false }, async (transaction) => {
    const writer = transaction.openBlob({ chunking: 'fixed', sizesBytes: [changed.length], previous: blob });
    await writer.write(changed);
    const { id } = await writer.finish();
    await transaction.publish([], []);
    const { root } = await damaged.objects.readBlobRecord(id);
    t.truthy(root);
  });
  const [first] = await damaged.objects
    .readChunkList(await damaged.objects.readBlobRecord(gitIdOf('blob', changed) as BlobId))
    .then(({ ids }) => ids);
  t.true((await damaged.objects.readChunk(first as ChunkId)).equals(changed.subarray(0, 64 * KIB)));
});

test("an object under another object's key is never handed out", async (t) => {
  const repository = await makeRepository();
  await commitFiles(repository, { a: randomContent('a', 5000), b: randomContent('b', 5000) });
  const [a] = await placesOf(repository, 'a');
  const [b] = await placesOf(repository, 'b');
  const error = await t.throwsAsync(repository.objects.readPlace(must(a).key, must(b).place));
  t.true(isDamage(error));
  const commit = must(repository.refs.get(MAIN));
  const place = await repository.index.find(gitKey(commit));
  t.is(place?.type, OBJECT.commit);
});

async function storedBytes(repository: Repository): Promise<number> {
  let total = 0;
  for await (const { name, sizeBytes } of repository.storage.list(''))
    if (/^(log|packs)\//.test(name)) total += sizeBytes;
  return total;
}

test('a content whose Git id another content has already is refused, and the same content cut otherwise is not', async (t) => {
  const repository = await makeRepository();
  const planted = randomContent('planted', 300_000);
  const victim = randomContent('victim', 300_000);
  const victimId = gitIdOf('blob', victim) as BlobId;
  // No two contents with one SHA-1 as Git blobs are known, so the record of one is written under the other's id.
  await repository.transact({ packs: false }, async (transaction) => {
    const key = chunkId(repository.keys.idKey, planted);
    await transaction.put({ key, type: OBJECT.chunk, bytes: planted }, 'content', undefined);
    const root = key.toString('hex') as ChunkId;
    const record = encodeBlobRecord({ sizeBytes: planted.length, depth: 0, root }, victimId);
    await transaction.put({ key: gitKey(victimId), type: OBJECT.blob, bytes: record }, 'metadata', undefined);
    await transaction.publish([], []);
  });
  await repository.transact({ packs: false }, async (transaction) => {
    const sink = transaction.openBlob({ chunking: 'content', sizesBytes: [victim.length] });
    await sink.write(victim);
    await t.throwsAsync(sink.finish(), { name: 'MoltError', code: 'COLLISION' });
  });
  const same = textContent('same', 300_000);
  for (const chunking of ['content', 'fixed'] as const) {
    await repository.transact({ packs: false }, async (transaction) => {
      const sink = transaction.openBlob({ chunking, sizesBytes: [same.length] });
      await sink.write(same);
      t.is((await sink.finish()).id, gitIdOf('blob', same));
      await transaction.publish([], []);
    });
  }
});
