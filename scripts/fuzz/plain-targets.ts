// The decoders that take plain bytes, text or JSON: what a stranger can write without any key, and what the sealed parts hold.

import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { DatabaseSync } from 'node:sqlite';
import { readFileSync } from 'node:fs';
import { isSqliteHeader, isWalHeader, parsePageCount, parsePageSize } from '../../src/agent/sqlite-header.ts';
import { readLog } from '../../src/agent/sqlite-log.ts';
import { encodeStatCache, parseStatCache } from '../../src/agent/stat-cache.ts';
import { decodeBlock } from '../../src/chunk/compress.ts';
import { decodeDelta, encodeDelta } from '../../src/chunk/delta.ts';
import { decompressFrame } from '../../src/chunk/zstd.ts';
import { encodeDeviceKey, parseDeviceKey } from '../../src/crypto/device-key.ts';
import { encodeRecoveryKey, parseRecoveryKey } from '../../src/crypto/recovery-key.ts';
import { encodeAttributes, parseAttributes } from '../../src/format/attributes.ts';
import { encodeBlobRecord, encodeNode, parseBlobRecord, parseNode } from '../../src/format/blob.ts';
import { encodeCheckpoint, parseCheckpoint } from '../../src/format/checkpoint.ts';
import { encodeFormatFile, parseFormatFile } from '../../src/format/format-file.ts';
import { COMMIT_ROW_BYTES, encodeCommitRow } from '../../src/format/commit-rows.ts';
import {
  ENTRY_ROW_BYTES,
  parseEntry,
  parseIndexRun,
  parsePacks,
  PATH_ROW_BYTES,
  renumberPacks,
} from '../../src/format/index-run.ts';
import { BLOCK, ENCODING, OBJECT } from '../../src/format/layout.ts';
import { encodePathNote, hashPath, listPathHashes } from '../../src/format/path-note.ts';
import { lowerBound, mergeRows, parseRows, sortRows } from '../../src/format/rows.ts';
import { encodeSegmentRecord, parseSegmentRecord } from '../../src/format/segment.ts';
import { MoltError } from '../../src/model/error.ts';
import type { BlobId, ChunkId, CommitId, SegmentSeq, TagId, TreeId } from '../../src/model/ids.ts';
import { escapeName, unescapeToBytes } from '../../src/model/name.ts';
import { parseCommitText } from '../../src/ops/commit-message.ts';
import { parseRevision, parseRevisionPath } from '../../src/policy/revision.ts';
import { parseTime } from '../../src/policy/time.ts';
import { listEdges } from '../../src/repo/edges.ts';
import { CommitTable } from '../../src/repo/commit-table.ts';
import { readCommit, readTag } from '../../src/repo/git.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { encodeTree, parseTree, TREE_MODES } from '../../src/repo/trees.ts';
import { ATTRIBUTES, CHECKPOINT, RECORD } from '../../test/format/samples.ts';
import { REPOSITORY, STORAGE } from '../../test/format/support.ts';
import { type Dice, hostileBytes, hostileJson } from './mutate.ts';
import { bytesTarget, type Target } from './target.ts';

const BLOB = 'b'.repeat(40) as BlobId;
const CHUNK = 'd'.repeat(64) as ChunkId;
const GIT = 'c'.repeat(40);
const SOME_BLOCK = { offsetBytes: 128, sealedBytes: 20, plainBytes: 4, encoding: ENCODING.zstd } as const;
const text = (value: string): Buffer => Buffer.from(value);

/** Returns the targets. @param cleanUp takes what must be done at the end */
export function plainTargets(cleanUp: (work: () => void) => void): Target[] {
  return [...formatTargets(), ...gitTargets(), ...frameTargets(), ...wordTargets(), ...sqliteTargets(cleanUp)];
}

function formatTargets(): Target[] {
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? '');
  const record: unknown = JSON.parse(JSON.stringify(encodeSegmentRecord(RECORD)));
  const checkpoint = zstdDecompressSync(encodeCheckpoint(CHECKPOINT).bytes);
  const checkpointJson: unknown = JSON.parse(checkpoint.toString());
  const node = encodeNode([
    { id: CHUNK, sizeBytes: 7 },
    { id: CHUNK, sizeBytes: 8 },
  ]);
  const stamp = { sizeBytes: 10, mtimeNs: -7n, ctimeNs: 901n, inode: 5n };
  const cached = { ...stamp, blob: BLOB, blobSizeBytes: 12, kind: 'sqlite' } as const;
  const cache = encodeStatCache({
    scanStartNs: 5n,
    files: new Map([
      ['state/db', { ...cached, wal: stamp, journal: stamp }],
      ['state/日本', { ...cached, kind: 'plain' as const }],
    ]),
  });
  return [
    bytesTarget('attributes', parseAttributes, [encodeAttributes(ATTRIBUTES), encodeAttributes([])]),
    bytesTarget('format.json', (bytes) => parseFormatFile(bytes, 'x'), [
      encodeFormatFile({ repositoryId: REPOSITORY, storageId: STORAGE }),
    ]),
    bytesTarget('checkpoint', (bytes) => parseCheckpoint(bytes, 'x'), [checkpoint]),
    jsonTarget('checkpoint members', (value) => parseCheckpoint(json(value), 'x'), checkpointJson),
    jsonTarget('segment record', (value) => parseSegmentRecord(value, 'x'), record),
    bytesTarget('blob record', (bytes) => parseBlobRecord(bytes, BLOB), [
      encodeBlobRecord({ sizeBytes: 9, depth: 0, root: CHUNK }, BLOB),
    ]),
    bytesTarget('chunk-list node', (bytes) => parseNode(bytes, CHUNK), [node]),
    ...runTargets(),
    bytesTarget('stat cache', parseStatCache, [cache], fitCrc),
  ];
}

/** The tables of an index run and what names them. */
function runTargets(): Target[] {
  const commits = Buffer.alloc(COMMIT_ROW_BYTES * 2);
  const commit = {
    id: GIT as CommitId,
    timeMs: -5,
    seq: 3 as SegmentSeq,
    kind: 'full',
    hasPaths: true,
    isExpired: false,
  } as const;
  encodeCommitRow({ ...commit, parentSeq: undefined }, commits, 0);
  encodeCommitRow({ ...commit, timeMs: 5, seq: 4 as SegmentSeq, parentSeq: 3 }, commits, COMMIT_ROW_BYTES);
  const entries = [Buffer.alloc(ENTRY_ROW_BYTES * 3, 0x80), Buffer.alloc(ENTRY_ROW_BYTES * 2, 1)];
  const note = encodePathNote(['state/a', 'workspace/b/c']) ?? Buffer.alloc(0);
  const types = [BLOCK.entries, BLOCK.commits, BLOCK.paths, BLOCK.packs];
  const blocks = types.map((type) => ({ ...SOME_BLOCK, type }));
  const record = { fromSeq: 1, toSeq: 9, objects: 2, entries: ['00'.repeat(6)], commits: ['00'.repeat(12)] };
  return [
    bytesTarget('index entries', readEntries, entries.map(toColumns(ENTRY_ROW_BYTES))),
    bytesTarget('index commits', readCommitRows, [toColumns(COMMIT_ROW_BYTES)(commits)]),
    bytesTarget('index paths', readPathRows, [Buffer.alloc(PATH_ROW_BYTES * 3, 1)]),
    bytesTarget('index packs', parsePacks, [Buffer.alloc(64, 1)]),
    bytesTarget('path note', (bytes) => [...listPathHashes(bytes)], [note]),
    jsonTarget('index run record', (value) => parseIndexRun({ record: value, blocks, objects: [] }, 'x'), {
      ...record,
      paths: ['00'.repeat(8)],
    }),
  ];
}

/** Lays rows out as a block has them. */
function toColumns(width: number): (rows: Buffer) => Buffer {
  return (rows) => {
    const count = rows.length / width;
    return Buffer.from(Array.from(rows, (_, at) => rows[(at % count) * width + Math.floor(at / count)] ?? 0));
  };
}

function readEntries(columns: Buffer): unknown {
  const rows = parseRows(columns, ENTRY_ROW_BYTES, 'x');
  const packs = parsePacks(Buffer.alloc(64));
  for (let row = 0; row < rows.length / ENTRY_ROW_BYTES; row += 1) orRefused(() => parseEntry(rows, row, packs, 'x'));
  orRefused(() => renumberPacks(rows, packs, new Map(), 'x'));
  return lowerBound(rows, ENTRY_ROW_BYTES, Buffer.alloc(6, 0x80));
}

function readCommitRows(columns: Buffer): unknown {
  const table = new CommitTable(parseRows(columns, COMMIT_ROW_BYTES, 'x'));
  const entries = table.entries();
  for (const row of entries.keys()) table.parent(row);
  return [table.find(GIT as CommitId), table.findByPrefix('cc')];
}

/** Rows that are sorted and merged are all still there, in order, whatever they were. */
function readPathRows(columns: Buffer): unknown {
  const sorted = sortRows(parseRows(columns, PATH_ROW_BYTES, 'x'), PATH_ROW_BYTES, PATH_ROW_BYTES);
  const merged = mergeRows(sorted, sorted, PATH_ROW_BYTES, PATH_ROW_BYTES);
  if (merged.length !== sorted.length * 2 || !sortRows(merged, PATH_ROW_BYTES, PATH_ROW_BYTES).equals(merged))
    throw new Error('merged rows are not the sorted ones');
  return lowerBound(merged, PATH_ROW_BYTES, Buffer.alloc(4, hashPath('state/a') & 0xff));
}

function orRefused(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof MoltError)) throw error;
  }
}

function fitCrc(bytes: Buffer): Buffer {
  if (bytes.length > 12) bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
  return bytes;
}

function jsonTarget(name: string, parse: (value: unknown) => unknown, valid: unknown): Target {
  return { name, valid: () => parse(valid), run: (dice) => parse(hostileJson(dice, [valid])) };
}

function gitTargets(): Target[] {
  const tree = encodeTree([
    { mode: TREE_MODES.file, name: 'a', id: BLOB },
    { mode: TREE_MODES.tree, name: '日本', id: BLOB },
  ]);
  const commit = text(
    `tree ${GIT}\nparent ${GIT}\nauthor a b <a@molt> 1770000000 +0000\ncommitter a b <a@molt> 1770000000 +0000\n\nmessage\n`,
  );
  const tag = text(
    `object ${GIT}\ntype commit\ntag full/1\ntagger a <a@molt> 1770000000 +0000\n\nfull\n\nMolt-Kind: full\n`,
  );
  const message = [
    'a message\n\nMolt-Kind: full\nMolt-Trigger: cli\nMolt-Time: 2026-03-05T02:00:00.000Z',
    'Molt-Files: +1 ~2 -3 =4\nMolt-Components: state=1/2 custom=3/4\n',
  ].join('\n');
  const edges = (type: (typeof OBJECT)[keyof typeof OBJECT], bytes: Buffer): unknown =>
    listEdges({ key: Buffer.alloc(32, 0xcc), type }, bytes);
  // The one thing that these ask of a repository.
  const holding = (content: Buffer): Repository => ({ objects: { readGit: async () => content } }) as never;
  return [
    bytesTarget('tree', (bytes) => (parseTree(bytes, GIT as TreeId), edges(OBJECT.tree, bytes)), [tree]),
    bytesTarget('commit', async (bytes) => (edges(OBJECT.commit, bytes), readCommit(holding(bytes), GIT as CommitId)), [
      commit,
    ]),
    bytesTarget('tag', async (bytes) => (edges(OBJECT.tag, bytes), readTag(holding(bytes), GIT as TagId)), [tag]),
    bytesTarget('commit message', (bytes) => parseCommitText(bytes.toString(), 5), [text(message)]),
    bytesTarget('escaped name', roundTripName, [text('%2Egit'), text('日本\\%41%FF'), text('gitmod~1')]),
  ];
}

/** An escaped name gives bytes; any bytes give an escaped name that gives them back. */
function roundTripName(bytes: Buffer): unknown {
  unescapeToBytes(bytes.toString('latin1'));
  if (bytes.length === 0 || bytes.includes(0) || bytes.includes(0x2f)) return undefined;
  if (!unescapeToBytes(escapeName(bytes)).equals(bytes))
    throw new Error(`${bytes.toString('hex')} does not come back as it was`);
  return undefined;
}

function frameTargets(): Target[] {
  const plain = text('frames of a repository, frames of a repository, and frames '.repeat(40));
  const base = text('frames of another kind, and of a repository '.repeat(50));
  const frame = zstdCompressSync(plain);
  const delta = encodeDelta(plain, base)?.frame;
  if (delta === undefined) throw new Error('the sample has no delta');
  const claims = (dice: Dice): number => dice.pick([plain.length, plain.length, 0, 1, plain.length + 1, 16 << 20]);
  return [
    {
      name: 'zstd frame',
      valid: () => decompressFrame(frame, plain.length),
      run: (dice) => decompressFrame(hostileBytes(dice, [frame]), claims(dice)),
    },
    {
      name: 'delta',
      valid: () => decodeDelta(delta, base, plain.length),
      run: (dice) => decodeDelta(hostileBytes(dice, [delta, frame]), hostileBytes(dice, [base]), claims(dice)),
    },
    {
      name: 'block',
      valid: () => decodeBlock('raw', plain, plain.length),
      run: (dice) => decodeBlock(dice.pick(['raw', 'zstd']), hostileBytes(dice, [plain, frame]), claims(dice)),
    },
  ];
}

function wordTargets(): Target[] {
  const key = Buffer.alloc(32, 9);
  const time = { nowMs: 1_772_676_000_000, zone: 'Europe/Amsterdam', edge: 'end' } as const;
  const words = (name: string, parse: (words: string) => unknown, samples: readonly string[], weight = 1): Target => ({
    ...bytesTarget(name, (bytes) => parse(bytes.toString()), samples.map(text)),
    weight,
  });
  return [
    words('recovery key', parseRecoveryKey, [encodeRecoveryKey(key)]),
    words('device key', parseDeviceKey, [encodeDeviceKey(key)]),
    words('revision', parseRevision, ['HEAD~3^2', 'bot@{yesterday 14:30}', 'tags/full/1~2', 'abc123']),
    words('revision path', parseRevisionPath, ['HEAD:a/b', 'bot@{2 hours ago}:workspace/MEMORY.md']),
    words(
      'time',
      (written) => parseTime(written, time),
      ['2026-03-04T14:30:00.5+07:00', '@1772676000.5', '20260304T143000Z', '2026-03-04 14:30 Asia/Tokyo'],
      0.2,
    ),
    words(
      'time in words',
      (written) => parseTime(written, time),
      ['2 hours ago', 'yesterday 14:30', 'last monday'],
      0.02,
    ),
  ];
}

function sqliteTargets(cleanUp: (work: () => void) => void): Target[] {
  const dir = mkdtempSync(join(tmpdir(), 'molt-fuzz-'));
  const path = join(dir, 'database');
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = 512; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE filler (text TEXT); INSERT INTO filler VALUES (hex(zeroblob(900)))`);
  const log = readFileSync(`${path}-wal`);
  const header = readFileSync(path).subarray(0, 100);
  database.close();
  const fd = openSync(join(dir, 'log'), 'w+');
  cleanUp(() => {
    closeSync(fd);
    rmSync(dir, { recursive: true });
  });
  const buffer = Buffer.allocUnsafeSlow(128 * 1024);
  const frames = (log.length - 32) / (24 + 512);
  const read = (bytes: Buffer, frameCount: number, pageSize: number): unknown => {
    ftruncateSync(fd, 0);
    if (bytes.length > 0) writeSync(fd, bytes, 0, bytes.length, 0);
    return readLog(fd, { frameCount, pageSize, buffer, onStep: () => {} });
  };
  return [
    {
      name: 'database log',
      weight: 0.3,
      valid: () => {
        if (read(log, frames, 512) === undefined) throw new Error('the sample log is not read');
      },
      run: (dice) =>
        read(hostileBytes(dice, [log]), dice.pick([frames, 1, 0, 5000]), dice.pick([512, 512, 512, 1024, 65_536])),
    },
    bytesTarget(
      'database header',
      (bytes) => {
        const whole = Buffer.alloc(100);
        bytes.copy(whole);
        return [isSqliteHeader(bytes), isWalHeader(bytes), parsePageSize(whole), parsePageCount(whole)];
      },
      [header],
    ),
  ];
}
