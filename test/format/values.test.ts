// The format's small values: what is encoded comes back, and what no encoder writes is refused by name.

import test from 'ava';
import * as fc from 'fast-check';
import { encodeAttributes, parseAttributes } from '../../src/format/attributes.ts';
import { encodeBlobRecord, encodeNode, NODE_FANOUT, parseBlobRecord, parseNode } from '../../src/format/blob.ts';
import { checkpointName, parseCheckpointName } from '../../src/format/checkpoint.ts';
import { Fields } from '../../src/format/fields.ts';
import { encodeFormatFile, parseFormatFile } from '../../src/format/format-file.ts';
import { REF_NAME } from '../../src/format/ref-name.ts';
import { encodeSegmentRecord, parseSegmentName, parseSegmentRecord, segmentName } from '../../src/format/segment.ts';
import { COMPONENTS } from '../../src/model/component.ts';
import type { EntryAttributes, EntryType } from '../../src/model/entry.ts';
import type { BlobId, ChunkId } from '../../src/model/ids.ts';
import { ATTRIBUTES, RECORD } from './samples.ts';
import { rejectsWith, REPOSITORY, STORAGE } from './support.ts';

const BLOB = 'b'.repeat(40) as BlobId;
const CHUNK = 'd'.repeat(64) as ChunkId;

test('attributes come back as they were, in order', (t) => {
  t.deepEqual(parseAttributes(encodeAttributes(ATTRIBUTES)), [...ATTRIBUTES]);
  t.deepEqual(parseAttributes(encodeAttributes([])), []);
});

test('any attributes come back as they were', (t) => {
  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 9 })
    .filter((text) => !/[/\n\0]|^\.\.?$/.test(text));
  const entry = fc.record({
    path: fc.array(name, { maxLength: 3 }).map((names) => ['state', ...names].join('/')),
    type: fc.constantFrom<EntryType>('file', 'directory', 'symlink'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    component: fc.constantFrom(...COMPONENTS),
    secret: fc.boolean(),
    linkGroup: fc.integer({ min: 0, max: 999_999_999 }),
  });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 5 }), (entries: EntryAttributes[]) => {
        t.deepEqual(parseAttributes(encodeAttributes(entries)), entries);
      }),
    ),
  );
});

test('attributes that no encoder writes are refused', async (t) => {
  const line = 'fs 600 0 0 state/a\n';
  const parse = (text: string) => () => parseAttributes(Buffer.from(text));
  t.is(parse(`molt attributes 1\n${line}`)().length, 1);
  await rejectsWith(t, parse(`molt attributes 2\n${line}`), 'NEWER_FORMAT');
  await rejectsWith(t, parse(line), 'DAMAGED');
  await rejectsWith(t, parse(''), 'DAMAGED');
  await rejectsWith(t, parse('molt attributes 1\nfs 600 0 0 state/a'), 'DAMAGED');
  for (const bad of [
    'xs 600 0 0 a',
    'fx 600 0 0 a',
    'fs 900 0 0 a',
    'fs 600 1.5 0 a',
    'fs 600 0 -1 a',
    'fs 600 0 0 ',
    '',
  ]) {
    await rejectsWith(t, parse(`molt attributes 1\n${bad}\n`), 'DAMAGED');
  }
  for (const path of ['/a', 'a/', 'a//b', '.', 'a/../b', '..', './a', 'a\0b']) {
    await rejectsWith(t, parse(`molt attributes 1\nfs 600 0 0 ${path}\n`), 'DAMAGED');
  }
});

test("blob records come back, and another blob's is refused", async (t) => {
  for (const record of [
    { sizeBytes: 0, depth: 0, root: undefined },
    { sizeBytes: 1, depth: 0, root: CHUNK },
    { sizeBytes: Number.MAX_SAFE_INTEGER, depth: 5, root: CHUNK },
  ]) {
    t.deepEqual(parseBlobRecord(encodeBlobRecord(record, BLOB), BLOB), record);
  }
  const bytes = encodeBlobRecord({ sizeBytes: 1, depth: 0, root: CHUNK }, BLOB);
  await rejectsWith(t, () => parseBlobRecord(bytes, 'a'.repeat(40) as BlobId), 'DAMAGED');
  await rejectsWith(t, () => parseBlobRecord(bytes.subarray(1), BLOB), 'DAMAGED');
  const deep = Buffer.from(bytes);
  deep.writeUInt8(6, 0);
  await rejectsWith(t, () => parseBlobRecord(deep, BLOB), 'DAMAGED');
  const huge = Buffer.from(bytes);
  huge.writeBigUInt64LE(2n ** 60n, 1);
  await rejectsWith(t, () => parseBlobRecord(huge, BLOB), 'DAMAGED');
});

test('a chunk-list node holds 1 to 1,024 children', async (t) => {
  const children = Array.from({ length: NODE_FANOUT }, (_, sizeBytes) => ({ id: CHUNK, sizeBytes }));
  t.deepEqual(parseNode(encodeNode(children), CHUNK), children);
  await rejectsWith(t, () => parseNode(Buffer.alloc(0), CHUNK), 'DAMAGED');
  await rejectsWith(t, () => parseNode(encodeNode([...children, { id: CHUNK, sizeBytes: 1 }]), CHUNK), 'DAMAGED');
  await rejectsWith(t, () => parseNode(encodeNode(children).subarray(1), CHUNK), 'DAMAGED');
});

test('format.json comes back, and says whether it is newer or none', async (t) => {
  const format = { repositoryId: REPOSITORY, storageId: STORAGE };
  const text = encodeFormatFile(format).toString();
  const parse = (changed: string) => () => parseFormatFile(Buffer.from(changed), 'here');
  t.deepEqual(parse(text)(), format);
  await rejectsWith(t, parse(text.replace('"version":1', '"version":2')), 'NEWER_FORMAT');
  for (const bad of ['0', '1.5', '-1', '"1"', 'null']) {
    await rejectsWith(t, parse(text.replace('"version":1', `"version":${bad}`)), 'DAMAGED');
  }
  for (const bad of [
    '',
    '{',
    '[]',
    'null',
    '7',
    '{}',
    text.replace('repository"', 'keyring"'),
    text.replace(STORAGE, '0'.repeat(32)),
    text.replace(REPOSITORY, 'x'),
  ]) {
    await rejectsWith(t, parse(bad), 'DAMAGED');
  }
});

test('names of segments and checkpoints lead back to their numbers, and others to none', (t) => {
  for (const seq of [1, 9, 999_999_999_999]) t.is(parseSegmentName(segmentName(seq)), seq as never);
  for (const name of ['log/000000000000', 'log/1', 'log/00000000000x', 'log/0000000000001', 'packs/000000000001'])
    t.is(parseSegmentName(name), undefined);
  t.deepEqual(parseCheckpointName(checkpointName(7, 'a'.repeat(64))), { seq: 7 as never, hash: 'a'.repeat(64) });
  for (const name of ['checkpoint/7-a', `checkpoint/000000000007-${'A'.repeat(64)}`, 'checkpoint/'])
    t.is(parseCheckpointName(name), undefined);
});

test('a segment of a type that this molt does not know is newer, one without a type damaged', async (t) => {
  const value = encodeSegmentRecord(RECORD) as Record<string, unknown>;
  await rejectsWith(t, () => parseSegmentRecord({ ...value, type: 'thaw' }, 'x'), 'NEWER_FORMAT');
  for (const type of [undefined, 7, '', 'Commit', 'a b']) {
    await rejectsWith(t, () => parseSegmentRecord({ ...value, type }, 'x'), 'DAMAGED');
  }
});

test('every member of a segment record is needed and checked', async (t) => {
  const value = encodeSegmentRecord(RECORD) as Record<string, unknown>;
  for (const key of ['seq', 'previous', 'writer', 'nonce', 'time', 'keys']) {
    for (const bad of [undefined, null, 'x', [], {}, -(2 ** 53) - 2])
      await rejectsWith(t, () => parseSegmentRecord({ ...value, [key]: bad }, 'x'), 'DAMAGED');
  }
  for (const key of ['holes', 'refs', 'commits', 'packs']) {
    for (const bad of ['x', 7, {}, [null], [{}]])
      await rejectsWith(t, () => parseSegmentRecord({ ...value, [key]: bad }, 'x'), 'DAMAGED');
  }
});

test('refs have names that Git takes', (t) => {
  for (const name of [
    'refs/heads/main',
    'refs/tags/full/20260305T020000Z',
    'refs/heads/ü/😀',
    'refs/heads/a.b',
    `refs/heads/${'x'.repeat(200)}`,
    `refs/molt/incarnations/${'x'.repeat(201)}`,
    'refs/molt/unheardof/a/b',
  ]) {
    t.regex(name, REF_NAME);
  }
  const refused = [
    '',
    'main',
    'refs/heads/',
    'refs/remotes/x',
    'refs/molt/x',
    'refs/molt/Big/x',
    'refs/heads/a b',
    'refs/heads/.a',
    'refs/heads/a/.b',
    'refs/heads/a..b',
  ];
  const more = [
    'refs/heads/a.lock',
    'refs/heads/a.lock/b',
    'refs/heads/a/',
    'refs/heads/a.',
    'refs/heads/a//b',
    'refs/heads/@{',
    'refs/heads/a\n',
    'refs/heads/a~1',
  ];
  for (const name of [
    ...refused,
    ...more,
    'refs/heads/a^',
    'refs/heads/a:b',
    'refs/heads/a?',
    'refs/heads/a*',
    'refs/heads/a[',
    'refs/heads/a\\',
    `refs/heads/${'x'.repeat(500)}`,
  ]) {
    t.notRegex(name, REF_NAME, JSON.stringify(name));
  }
});

test('fields refuse what has another type than asked for', async (t) => {
  const fields = new Fields({ text: 'x', number: 1.5, list: [1], object: {} }, 'it');
  await rejectsWith(t, () => new Fields([], 'it'), 'DAMAGED');
  await rejectsWith(t, () => fields.text('number', /x/), 'DAMAGED');
  await rejectsWith(t, () => fields.text('text', /y/), 'DAMAGED');
  await rejectsWith(t, () => fields.integer('number'), 'DAMAGED');
  await rejectsWith(t, () => fields.list('list'), 'DAMAGED');
  await rejectsWith(t, () => fields.entries('list'), 'DAMAGED');
  await rejectsWith(t, () => fields.integers('object'), 'DAMAGED');
  await rejectsWith(t, () => fields.texts('list'), 'DAMAGED');
  await rejectsWith(t, () => fields.text('toString', /./), 'DAMAGED');
  t.deepEqual(
    [fields.list('none'), fields.entries('none'), fields.integers('none'), fields.texts('none')],
    [[], [], [], []],
  );
});
