// Molt's own vectors for src/format and what goes with it. A repository written by any molt depends on each of them: an output that
// changes is a new format.

import { createCipheriv, createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { decodeBlock } from '../../src/chunk/compress.ts';
import { decodeDelta } from '../../src/chunk/delta.ts';
import { ContentChunker } from '../../src/chunk/fastcdc.ts';
import { createGear } from '../../src/chunk/gear.ts';
import { chunkId } from '../../src/crypto/ids.ts';
import { deriveEpochKey, deriveIdKey } from '../../src/crypto/roots.ts';
import { encodeAttributes, parseAttributes } from '../../src/format/attributes.ts';
import { encodeBlobRecord, encodeNode, parseBlobRecord, parseNode } from '../../src/format/blob.ts';
import { ContainerReader, ContainerWriter } from '../../src/format/container.ts';
import { parseCommitRow, type CommitEntry } from '../../src/format/commit-rows.ts';
import {
  ENTRY_ROW_BYTES,
  parseEntry,
  parseIndexRun,
  parsePacks,
  PATH_ROW_BYTES,
  PREFIX_BYTES,
  RUN_TABLES,
  type RunTableName,
} from '../../src/format/index-run.ts';
import { hashPath } from '../../src/format/path-note.ts';
import { parseRows } from '../../src/format/rows.ts';
import { BLOCK, ENCODING, KIND, type Kind } from '../../src/format/layout.ts';
import { padme } from '../../src/format/padding.ts';
import { encodeSegmentRecord, parseSegmentRecord } from '../../src/format/segment.ts';
import type { Component } from '../../src/model/component.ts';
import type { EntryAttributes } from '../../src/model/entry.ts';
import type { BlobId, ChunkId, RepositoryId, StorageId } from '../../src/model/ids.ts';
import { escapeName, unescapeToBytes } from '../../src/model/name.ts';
import { encodeCommitText, parseCommitText, type CommitText } from '../../src/ops/commit-message.ts';
import { scriptedRandom } from '../crypto/random.ts';
import { hex, vectorRoots } from '../crypto/vectors.ts';

interface FormatVectors {
  readonly container: {
    readonly root: string;
    readonly repositoryId: RepositoryId;
    readonly storageId: StorageId;
    readonly seq: number;
    readonly random: string;
    readonly writer: string;
    readonly pid: number;
    readonly timeMs: number;
    readonly blocks: readonly { readonly type: 1; readonly encoding: 0 | 2; readonly plain: string }[];
    readonly record: unknown;
    readonly objects: readonly {
      readonly key: string;
      readonly type: number;
      readonly block: number;
      readonly bytes: string;
      readonly base?: string;
    }[];
    readonly header: string;
    readonly footerOffset: number;
    readonly footerBytes: number;
    readonly bodyBytes: number;
    readonly trailer: string;
    readonly sha256: string;
    readonly bytes: string;
  };
  readonly indexRun: {
    readonly bytes: string;
    readonly entries: readonly {
      readonly key: string;
      readonly seq?: number;
      readonly pack?: string;
      readonly entry: number;
      readonly isDelta: boolean;
    }[];
    readonly commits: readonly Partial<CommitEntry>[];
    readonly paths: readonly { readonly path: string; readonly seq: number }[];
  };
  readonly padme: readonly (readonly [lengthBytes: number, padded: number])[];
  readonly names: readonly { readonly name: string; readonly escaped: string }[];
  readonly attributes: {
    readonly entries: readonly (Omit<EntryAttributes, 'mtimeNs' | 'component'> & {
      readonly mtimeNs: string;
      readonly component: Component;
    })[];
    readonly text: string;
  };
  readonly blobRecords: readonly {
    readonly id: BlobId;
    readonly sizeBytes: number;
    readonly depth: number;
    readonly root: ChunkId | null;
    readonly bytes: string;
  }[];
  readonly node: {
    readonly entries: readonly { readonly id: ChunkId; readonly sizeBytes: number }[];
    readonly bytes: string;
  };
  readonly cuts: {
    readonly cutKey: string;
    readonly gear: readonly number[];
    readonly lastGear: number;
    readonly lengths: readonly number[];
  };
  readonly commitMessage: CommitText & { readonly text: string };
}

const vectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/format.json', import.meta.url), 'utf8'),
) as FormatVectors;
const { container } = vectors;
const roots = vectorRoots([container.root]);
const epochKey = deriveEpochKey(roots);

function openContainer(bytes: Buffer, kind: Kind): ContainerReader {
  const { repositoryId, storageId, seq } = container;
  return ContainerReader.open(bytes, { name: 'the vector', kind, repositoryId, storageId, seq }, () => epochKey);
}

test('the container of the vectors opens, and gives back its record, its objects and a delta', async (t) => {
  const bytes = hex(container.bytes);
  const reader = openContainer(bytes, KIND.segment);
  const footer = await reader.verifyWhole(bytes);
  t.deepEqual(footer.record, container.record);
  t.is(footer.objects.length, container.objects.length);
  const idKey = deriveIdKey(roots);
  for (const [index, expected] of container.objects.entries()) {
    const object = footer.objects[index];
    const block = footer.blocks[expected.block];
    if (object === undefined || block === undefined) return t.fail(`object ${index} is not there`);
    const sealed = bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes);
    const stored = reader
      .openBlock(expected.block, BLOCK.data, sealed)
      .subarray(object.offsetBytes, object.offsetBytes + object.lengthBytes);
    const base = container.objects.find(({ key }) => key === expected.base);
    t.is(object.base?.toString('hex'), expected.base);
    t.is(object.key.toString('hex'), expected.key);
    const whole = base === undefined ? stored : decodeDelta(stored, hex(base.bytes), object.objectBytes);
    t.is(whole.toString('hex'), expected.bytes);
    t.is(chunkId(idKey, whole).toString('hex'), expected.key);
  }
});

test('a container is written as in the vectors, up to how zstd spells its footer', (t) => {
  const { repositoryId, storageId, seq, random, writer, pid, timeMs } = container;
  const sealing = { epoch: 1, key: epochKey };
  const entropy = { random: scriptedRandom(hex(random)), writer: hex(writer), pid, timeMs };
  const written = new ContainerWriter({ kind: KIND.segment, repositoryId, storageId, seq, sealing, entropy });
  for (const { type, encoding, plain } of container.blocks) {
    written.add({ type, encoding, bytes: hex(plain), plainBytes: plain.length / 2 });
  }
  const bytes = Buffer.concat(written.finish(container.record, [], 'padme').parts);
  t.is(bytes.toString('hex', 0, 128), container.header);
  t.is(bytes.toString('hex', 0, container.footerOffset), container.bytes.slice(0, container.footerOffset * 2));
  t.is(bytes.length, padme(bytes.length), 'it has a padded length');
});

test('the trailer of the vectors says where things are', (t) => {
  const trailer = hex(container.trailer);
  t.true(container.bytes.endsWith(container.trailer));
  t.is(trailer.readBigUInt64LE(4), BigInt(container.bodyBytes));
  t.is(trailer.readUInt32LE(12), container.footerOffset);
  t.is(trailer.readUInt32LE(16), container.footerBytes);
  t.is(trailer.readUInt32LE(20), container.blocks.length);
  t.is(trailer.toString('latin1', 28), 'MOLTEND\n');
});

test('a segment record is spelled as in the vectors', (t) => {
  t.deepEqual(encodeSegmentRecord(parseSegmentRecord(container.record, 'the vector')), container.record);
});

test('the index run of the vectors is read', async (t) => {
  const bytes = hex(vectors.indexRun.bytes);
  const reader = openContainer(bytes, KIND.index);
  const footer = await reader.verifyWhole(bytes);
  const tables = parseIndexRun(footer, 'the vector');
  const open = (number: number | undefined): Buffer => {
    const block = footer.blocks[number ?? -1];
    if (number === undefined || block === undefined) throw new Error(`no block ${number}`);
    const sealed = bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes);
    const plain = reader.openBlock(number, block.type, sealed);
    return block.encoding === ENCODING.zstd ? decodeBlock('zstd', plain, block.plainBytes) : plain;
  };
  const rowsOf = (name: RunTableName): Buffer =>
    parseRows(open(tables[name][0]?.block), RUN_TABLES[name].rowBytes, 'the vector');
  const { entries, commits, paths } = vectors.indexRun;
  const packs = parsePacks(open(tables.packBlock));
  const rows = rowsOf('entries');
  t.is(rows.length, entries.length * ENTRY_ROW_BYTES);
  for (const [row, { key, seq, pack, ...expected }] of entries.entries()) {
    t.is(rows.toString('hex', row * ENTRY_ROW_BYTES, row * ENTRY_ROW_BYTES + PREFIX_BYTES), key.slice(0, 12));
    const { container: found, ...entry } = parseEntry(rows, row, packs, 'the vector');
    t.deepEqual<unknown, unknown>(found, pack === undefined ? { seq } : { pack });
    t.deepEqual<unknown, unknown>(entry, expected);
  }
  for (const [row, expected] of commits.entries())
    t.like(parseCommitRow(rowsOf('commits'), row), { parentSeq: undefined, ...expected });
  const hashes = paths.map(({ path, seq }) => ({ hash: hashPath(path), seq })).toSorted((a, b) => a.hash - b.hash);
  const pathRows = rowsOf('paths');
  t.is(pathRows.length, hashes.length * PATH_ROW_BYTES);
  for (const [row, { hash, seq }] of hashes.entries()) {
    t.is(pathRows.readUInt32BE(row * PATH_ROW_BYTES), hash);
    t.is(pathRows.readUInt32BE(row * PATH_ROW_BYTES + 4), seq);
  }
});

test('lengths are padded as in the vectors', (t) => {
  for (const [lengthBytes, padded] of vectors.padme) t.is(padme(lengthBytes), padded, String(lengthBytes));
});

test('names are escaped and read back as in the vectors', (t) => {
  for (const { name, escaped } of vectors.names) {
    const bytes = hex(name);
    const text = bytes.toString('utf8');
    t.is(escapeName(Buffer.from(text, 'utf8').equals(bytes) ? text : bytes), escaped);
    t.is(unescapeToBytes(escaped).toString('hex'), name);
  }
});

test('attributes are spelled as in the vectors', (t) => {
  const entries = vectors.attributes.entries.map((entry) => ({ ...entry, mtimeNs: BigInt(entry.mtimeNs) }));
  t.is(encodeAttributes(entries).toString('utf8'), vectors.attributes.text);
  t.deepEqual<unknown, unknown>(parseAttributes(Buffer.from(vectors.attributes.text)), entries);
});

test('blob records and chunk lists are spelled as in the vectors', (t) => {
  for (const { id, sizeBytes, depth, root, bytes } of vectors.blobRecords) {
    const record = { sizeBytes, depth, root: root ?? undefined };
    t.is(encodeBlobRecord(record, id).toString('hex'), bytes);
    t.deepEqual(parseBlobRecord(hex(bytes), id), record);
    t.throws(() => parseBlobRecord(hex(bytes), '00'.repeat(20) as BlobId), { message: /another blob's/ });
  }
  t.is(encodeNode(vectors.node.entries).toString('hex'), vectors.node.bytes);
  t.deepEqual<unknown, unknown>(parseNode(hex(vectors.node.bytes), '00' as ChunkId), vectors.node.entries);
});

test('the gear table and the cuts are those of the vectors', (t) => {
  const gear = createGear(hex(vectors.cuts.cutKey));
  t.deepEqual([...gear.subarray(0, 4)], vectors.cuts.gear);
  t.is(gear[255], vectors.cuts.lastGear);
  const stream = createCipheriv('aes-256-ctr', createSecretKey(Buffer.alloc(32, 0x11)), Buffer.alloc(16)).update(
    Buffer.alloc(1 << 20),
  );
  const chunker = new ContentChunker(gear);
  chunker.push(stream);
  const lengths: number[] = [];
  for (let chunk = chunker.next(); chunk !== undefined; chunk = chunker.next()) lengths.push(chunk.length);
  t.deepEqual([...lengths, chunker.finish()?.length ?? 0], vectors.cuts.lengths);
});

test('a commit message is spelled and read back as in the vectors', (t) => {
  const { text, ...expected } = vectors.commitMessage;
  t.is(encodeCommitText(expected), text);
  t.deepEqual(parseCommitText(text, 0), expected);
});

test('a newer version in a header is believed only with a commitment that goes with it', (t) => {
  const bytes = hex(container.bytes);
  bytes.writeUInt8(2, 8);
  t.throws(() => openContainer(bytes, KIND.segment), { code: 'WRONG_KEY' });
});
