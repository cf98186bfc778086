// Containers: what was sealed comes back, and whatever was changed, cut, swapped or put elsewhere is refused.

import { createSecretKey } from 'node:crypto';
import test from 'ava';
import { ContainerReader, ContainerWriter } from '../../src/format/container.ts';
import { encodeFooter, type BlockEntry } from '../../src/format/footer.ts';
import { BLOCK, ENCODING, HEADER_BYTES, KIND, PACK_BYTES, TAG_BYTES } from '../../src/format/layout.ts';
import { padme } from '../../src/format/padding.ts';
import { isMoltError } from '../../src/model/error.ts';
import type { RepositoryId, StorageId } from '../../src/model/ids.ts';
import { randomContent } from '../chunk/content.ts';
import { EXPECTED, keys, objectOf, openWhole, rejectsWith, sealBlocks, sealByHand, specOf } from './support.ts';

const PLAINS = [Buffer.from('first block'), Buffer.alloc(0), Buffer.from('third block')];

test('every block of a container comes back as it was sealed', async (t) => {
  const bytes = sealBlocks(PLAINS);
  const footer = await openWhole(bytes);
  const reader = ContainerReader.open(bytes, EXPECTED, keys);
  t.deepEqual(footer.record, { test: true });
  t.is(footer.objects.length, PLAINS.length);
  for (const [number, block] of footer.blocks.entries()) {
    const sealed = bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes);
    t.deepEqual(reader.openBlock(number, block.type, sealed), PLAINS[number]);
  }
});

test('a container without blocks is whole', async (t) => {
  const footer = await openWhole(sealBlocks([]));
  t.deepEqual(footer.blocks, []);
});

test('containers of every size below the first stripes are whole, and padded by Padmé', async (t) => {
  for (let length = 0; length < 600; length += 7) {
    const bytes = sealBlocks([randomContent(length, length)]);
    await openWhole(bytes);
    t.is(padme(bytes.length), bytes.length);
  }
});

test('containers around the bounds of stripes are whole', async (t) => {
  for (const length of [(1 << 20) - 900, (1 << 20) - 700, 1 << 20, (2 << 20) - 800, (3 << 20) + 5]) {
    const footer = await openWhole(sealBlocks([randomContent(length, length)]));
    t.is(footer.blocks[0]?.plainBytes, length);
  }
});

test('any flipped byte of a container is rejected with a MoltError', async (t) => {
  const bytes = sealBlocks(PLAINS);
  for (let index = 0; index < bytes.length; index += 1) {
    for (const mask of [1 << (index % 8), 0xff]) {
      const changed = Buffer.from(bytes);
      changed[index] = (changed[index] ?? 0) ^ mask;
      const error = await openWhole(changed).catch((cause: unknown) => cause);
      t.true(isMoltError(error), `byte ${index} ^ ${mask}: ${String(error)}`);
    }
  }
});

test('a flipped byte is also found by whoever reads only footer and blocks, without the checksums', async (t) => {
  const bytes = sealBlocks(PLAINS);
  const { footer, trailer } = await ContainerReader.open(bytes, EXPECTED, keys).readFooter(
    async (start, end) => bytes.subarray(start, end),
    bytes.length,
  );
  for (let index = 0; index < trailer.footerOffset + trailer.footerBytes; index += 1) {
    const changed = Buffer.from(bytes);
    changed[index] = (changed[index] ?? 0) ^ 0x10;
    t.throws(
      () => {
        const reader = ContainerReader.open(changed, EXPECTED, keys);
        reader.openBlock(
          trailer.footerBlock,
          BLOCK.footer,
          changed.subarray(trailer.footerOffset, trailer.footerOffset + trailer.footerBytes),
        );
        for (const [number, block] of footer.blocks.entries()) {
          reader.openBlock(
            number,
            block.type,
            changed.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes),
          );
        }
      },
      { name: 'MoltError' },
      `byte ${index}`,
    );
  }
});

test('a container cut at any length is rejected with a MoltError', async (t) => {
  const bytes = sealBlocks(PLAINS);
  for (let length = 0; length < bytes.length; length += 1) {
    const error = await openWhole(bytes.subarray(0, length)).catch((cause: unknown) => cause);
    t.true(isMoltError(error, 'TRUNCATED', 'DAMAGED'), `${length} bytes: ${String(error)}`);
  }
});

test('a container with something behind its end is rejected', async (t) => {
  const bytes = sealBlocks(PLAINS);
  await rejectsWith(t, () => openWhole(Buffer.concat([bytes, Buffer.alloc(1)])), 'TRUNCATED');
  await rejectsWith(t, () => openWhole(Buffer.concat([bytes, bytes.subarray(-32)])), 'DAMAGED');
});

test('two blocks of equal length that change places are rejected', async (t) => {
  const bytes = sealBlocks([Buffer.from('block one'), Buffer.from('block two')]);
  const length = 'block one'.length + TAG_BYTES;
  const swapped = Buffer.concat([
    bytes.subarray(0, HEADER_BYTES),
    bytes.subarray(HEADER_BYTES + length, HEADER_BYTES + 2 * length),
    bytes.subarray(HEADER_BYTES, HEADER_BYTES + length),
    bytes.subarray(HEADER_BYTES + 2 * length),
  ]);
  await rejectsWith(t, () => openWhole(swapped), 'DAMAGED');
  const reader = ContainerReader.open(swapped, EXPECTED, keys);
  await rejectsWith(
    t,
    () => reader.openBlock(0, BLOCK.data, swapped.subarray(HEADER_BYTES, HEADER_BYTES + length)),
    'DAMAGED',
  );
});

test('a block does not open as another type, number, or in another container', async (t) => {
  const random = { bytes: (length: number) => Buffer.alloc(length, 9) };
  const bytes = sealBlocks(PLAINS);
  const sealed = bytes.subarray(HEADER_BYTES, HEADER_BYTES + (PLAINS[0]?.length ?? 0) + TAG_BYTES);
  const reader = ContainerReader.open(bytes, EXPECTED, keys);
  await rejectsWith(t, () => reader.openBlock(0, BLOCK.footer, sealed), 'DAMAGED');
  await rejectsWith(t, () => reader.openBlock(1, BLOCK.data, sealed), 'DAMAGED');
  const other = sealBlocks(PLAINS, specOf({ entropy: { ...specOf().entropy, random } }));
  await rejectsWith(t, () => ContainerReader.open(other, EXPECTED, keys).openBlock(0, BLOCK.data, sealed), 'DAMAGED');
});

test('a container of another key, repository, storage, number or kind says which', async (t) => {
  const bytes = sealBlocks(PLAINS);
  const other = createSecretKey(Buffer.alloc(32, 8));
  const open =
    (change: object, epochKeys = keys) =>
    () =>
      openWhole(bytes, { ...EXPECTED, ...change }, epochKeys);
  await rejectsWith(
    t,
    open({}, () => other),
    'WRONG_KEY',
  );
  await rejectsWith(
    t,
    open({}, () => undefined),
    'WRONG_KEY',
  );
  await rejectsWith(t, open({ repositoryId: 'f'.repeat(32) as RepositoryId }), 'WRONG_REPOSITORY');
  await rejectsWith(t, open({ storageId: 'f'.repeat(32) as StorageId }), 'WRONG_STORAGE');
  await rejectsWith(t, open({ storageId: undefined }), 'WRONG_STORAGE');
  await rejectsWith(t, open({ seq: 6 }), 'RENAMED');
  await rejectsWith(t, open({ kind: KIND.checkpoint }), 'RENAMED');
});

test('padding that is not all zeros is rejected although it is sealed', async (t) => {
  const footer = encodeFooter({ record: {}, blocks: [], objects: [] });
  await openWhole(sealByHand({ footer }));
  await rejectsWith(t, () => openWhole(sealByHand({ footer, padding: Buffer.from('smuggled') })), 'DAMAGED');
});

test('a block table that leaves bytes of the body out, or claims more than there are, is rejected although it is sealed', async (t) => {
  const plain = Buffer.from('a block');
  const sealedBytes = plain.length + TAG_BYTES;
  const entry = {
    offsetBytes: HEADER_BYTES,
    sealedBytes,
    plainBytes: plain.length,
    type: BLOCK.data,
    encoding: ENCODING.raw,
  };
  const seal = (blocks: readonly BlockEntry[]) => async () => {
    const bytes = sealByHand({ blocks: [plain], footer: encodeFooter({ record: {}, blocks, objects: [] }) });
    await ContainerReader.open(bytes, EXPECTED, keys).readFooter(
      async (start, end) => bytes.subarray(start, end),
      bytes.length,
    );
  };
  await seal([entry])();
  const wrong: readonly (readonly BlockEntry[])[] = [
    [],
    [entry, entry],
    [{ ...entry, offsetBytes: 0 }],
    [{ ...entry, sealedBytes: sealedBytes + 1 }],
    [{ ...entry, sealedBytes: 15 }],
    [{ ...entry, sealedBytes: 0xffff_ffff }],
    [{ ...entry, encoding: 3 as BlockEntry['encoding'] }],
  ];
  for (const blocks of wrong) await rejectsWith(t, seal(blocks), 'DAMAGED');
});

test('a newer version is believed only if the container was sealed in it', async (t) => {
  const footer = encodeFooter({ record: {}, blocks: [], objects: [] });
  await rejectsWith(t, () => openWhole(sealByHand({ footer, version: 2 })), 'NEWER_FORMAT');
  const changed = sealByHand({ footer });
  changed.writeUInt8(2, 8);
  await rejectsWith(t, () => ContainerReader.open(changed, EXPECTED, keys), 'WRONG_KEY');
});

test('equal content sealed twice has no bytes of its body in common, even from a random source that is stuck', (t) => {
  const random = { bytes: (length: number) => Buffer.alloc(length, 9) };
  const entropy = { ...specOf().entropy, random };
  const first = sealBlocks(PLAINS, specOf({ entropy }));
  const later = sealBlocks(PLAINS, specOf({ entropy: { ...entropy, timeMs: entropy.timeMs + 1 } }));
  t.notDeepEqual(first.subarray(64, 96), later.subarray(64, 96));
  t.notDeepEqual(first.subarray(HEADER_BYTES, HEADER_BYTES + 27), later.subarray(HEADER_BYTES, HEADER_BYTES + 27));
});

test('a full pack has exactly 16 MiB, whatever its last block is', async (t) => {
  const spec = specOf({ kind: KIND.pack, storageId: undefined, seq: 0 });
  for (const blockBytes of [(511 << 10) + 3, 300_001]) {
    const writer = new ContainerWriter(spec);
    const bytes = randomContent(blockBytes, blockBytes);
    const objects = [];
    while (writer.fitsPack(blockBytes, objects.length + 1)) {
      objects.push(
        objectOf(writer.add({ type: BLOCK.data, encoding: ENCODING.raw, bytes, plainBytes: blockBytes }), blockBytes),
      );
    }
    const pack = Buffer.concat(writer.finish({}, objects, PACK_BYTES).parts);
    t.is(pack.length, PACK_BYTES);
    t.true(objects.length * blockBytes > PACK_BYTES - 2 * blockBytes, 'a full pack is nearly full of blocks');
    await openWhole(pack, { ...EXPECTED, kind: KIND.pack, storageId: undefined, seq: 0 });
  }
});

test('a pack full of tiny objects still has room for its footer', async (t) => {
  const spec = specOf({ kind: KIND.pack, storageId: undefined, seq: 0 });
  const writer = new ContainerWriter(spec);
  const blockBytes = 512 << 10;
  const perBlock = 4096;
  const objects = [];
  while (writer.fitsPack(blockBytes, objects.length + perBlock)) {
    const bytes = randomContent(objects.length, blockBytes);
    const block = writer.add({ type: BLOCK.data, encoding: ENCODING.raw, bytes, plainBytes: blockBytes });
    const keysOf = randomContent(`keys ${block}`, perBlock * 32);
    for (let at = 0; at < perBlock; at += 1) {
      const place = {
        key: keysOf.subarray(at * 32, at * 32 + 32),
        offsetBytes: at * 128,
        lengthBytes: 128,
        objectBytes: 128,
      };
      objects.push(objectOf(block, 128, place));
    }
  }
  const pack = Buffer.concat(writer.finish({}, objects, PACK_BYTES).parts);
  t.is(pack.length, PACK_BYTES);
  const footer = await openWhole(pack, { ...EXPECTED, kind: KIND.pack, storageId: undefined, seq: 0 });
  t.is(footer.objects.length, objects.length);
});
