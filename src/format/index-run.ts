// An index run (FORMAT.md, "Index runs"): a sorted table from object key to place, and one of commits by capture time. Runs are
// read block by block and merged geometrically; they hold nothing that the footers of segments and packs don't say.

import { MoltError } from '../model/error.ts';
import type { CommitId, PackId, SegmentSeq } from '../model/ids.ts';
import { ContainerWriter, type ContainerSpec, type EncodedBlock, type FinishedContainer } from './container.ts';
import { Fields } from './fields.ts';
import type { Footer, ObjectEntry } from './footer.ts';
import { BLOCK, ENCODING, KEY_BYTES, OBJECT, type Encoding, type ObjectType } from './layout.ts';
import { COMMIT_KINDS, packName, segmentName, type CommitKind } from './segment.ts';

/** A container that holds objects. */
export type ContainerRef = { readonly seq: SegmentSeq } | { readonly pack: PackId };

/** Where an object is: everything needed to read it but a delta's base, which the container's footer names. */
export interface Place {
  readonly container: ContainerRef;
  readonly block: number;
  readonly blockOffsetBytes: number;
  readonly blockSealedBytes: number;
  readonly blockPlainBytes: number;
  readonly encoding: Encoding;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly objectBytes: number;
  readonly type: ObjectType;
}

/** An object and its place. */
export interface IndexEntry {
  /** 32 bytes. */
  readonly key: Buffer;
  readonly place: Place;
}

/** A commit in the time table. */
export interface CommitEntry {
  readonly id: CommitId;
  readonly timeMs: number;
  readonly seq: SegmentSeq;
  readonly kind: CommitKind;
}

/** Entries of one block. */
export const RUN_BLOCK_ENTRIES = 1024;
/** Entries of one run at most, so that it stays under 32 MiB; larger runs are not merged any more. */
export const RUN_MAX_ENTRIES = 400_000;
const ENTRY_BYTES = 68;
const COMMIT_BYTES = 40;
const PACK_FLAG = 0x8000_0000;

/** Returns the object name of an index run. */
export function indexName(id: string): string {
  return `index/${id}`;
}

/** Returns the object name of a container that holds objects. */
export function containerName(ref: ContainerRef): string {
  return 'seq' in ref ? segmentName(ref.seq) : packName(ref.pack);
}

/** Orders commits by capture time, ties by segment number. */
export function compareCommits(a: CommitEntry, b: CommitEntry): number {
  return a.timeMs - b.timeMs || a.seq - b.seq;
}

/**
 * Builds a run.
 * @param entries in ascending order of their keys, each key once
 * @param commits in the order of compareCommits
 */
export function buildIndexRun(
  spec: ContainerSpec,
  range: { readonly fromSeq: number; readonly toSeq: number },
  entries: Iterable<IndexEntry>,
  commits: readonly CommitEntry[],
): FinishedContainer & { readonly objects: number } {
  const writer = new ContainerWriter(spec);
  const firstKeys: ObjectEntry[] = [];
  const packs = new Map<PackId, number>();
  const block = Buffer.alloc(RUN_BLOCK_ENTRIES * ENTRY_BYTES);
  let filled = 0;
  let objects = 0;
  const flush = (): void => {
    const bytes = Buffer.from(block.subarray(0, filled * ENTRY_BYTES));
    const number = writer.add(rawBlock(BLOCK.entries, bytes));
    const key = bytes.subarray(0, KEY_BYTES);
    const at = { offsetBytes: 0, lengthBytes: bytes.length, objectBytes: bytes.length };
    firstKeys.push({ key, type: OBJECT.chunk, block: number, ...at, base: undefined });
    filled = 0;
  };
  for (const entry of entries) {
    encodeEntry(entry, block, filled * ENTRY_BYTES, packs);
    filled += 1;
    objects += 1;
    if (filled === RUN_BLOCK_ENTRIES) flush();
  }
  if (filled > 0) flush();
  const packBlock =
    packs.size === 0 ? null : writer.add(rawBlock(BLOCK.packs, Buffer.from([...packs.keys()].join(''), 'hex')));
  const commitBlocks: { block: number; time: number }[] = [];
  for (let at = 0; at < commits.length; at += RUN_BLOCK_ENTRIES) {
    const slice = commits.slice(at, at + RUN_BLOCK_ENTRIES);
    commitBlocks.push({
      block: writer.add(rawBlock(BLOCK.commits, encodeCommits(slice))),
      time: slice[0]?.timeMs ?? 0,
    });
  }
  if (writer.blockCount === 0) writer.add(rawBlock(BLOCK.data, Buffer.alloc(0)));
  const record = { ...range, objects, packs: packBlock, commits: commitBlocks };
  return { ...writer.finish(record, firstKeys, 'padme'), objects };
}

/** What a run's footer says, ready for searching. */
export interface IndexRunTable {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly objects: number;
  /** The entry blocks with their first keys, ascending. */
  readonly entryBlocks: readonly { readonly firstKey: Buffer; readonly block: number }[];
  readonly packBlock: number | undefined;
  /** The commit blocks with their first times, ascending. */
  readonly commitBlocks: readonly { readonly block: number; readonly timeMs: number }[];
}

/**
 * Reads a run's footer.
 * @throws {MoltError} DAMAGED
 */
export function parseIndexRunTable(footer: Footer, name: string): IndexRunTable {
  const fields = new Fields(footer.record, `the record of ${name}`);
  const blockNumber = (from: Fields, key: string): number => {
    const number = from.integer(key);
    if (footer.blocks[number] === undefined) throw new MoltError('DAMAGED', `${name} names a block that is not there`);
    return number;
  };
  return {
    fromSeq: fields.integer('fromSeq', 1),
    toSeq: fields.integer('toSeq', 1),
    objects: fields.integer('objects'),
    entryBlocks: footer.objects.map(({ key, block }) => ({ firstKey: key, block })),
    packBlock: fields.isNull('packs') ? undefined : blockNumber(fields, 'packs'),
    commitBlocks: fields.list('commits').map((commit) => ({
      block: blockNumber(commit, 'block'),
      timeMs: commit.integer('time', Number.MIN_SAFE_INTEGER),
    })),
  };
}

/** Returns the last position whose first key is not after the key, or -1. */
export function findEntryBlock(table: IndexRunTable, key: Buffer): number {
  let low = 0;
  let high = table.entryBlocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const first = table.entryBlocks[middle]?.firstKey;
    if (first !== undefined && first.compare(key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Finds the first entry of an entry block that is not before a key; its index may be the number of entries. */
export function lowerBound(block: Buffer, key: Buffer): number {
  let low = 0;
  let high = Math.floor(block.length / ENTRY_BYTES);
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = middle * ENTRY_BYTES;
    if (key.compare(block, at, at + KEY_BYTES) > 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the number of entries in an entry block. */
export function entryCount(block: Buffer): number {
  return Math.floor(block.length / ENTRY_BYTES);
}

/** Returns the key of an entry, as a view. */
export function entryKey(block: Buffer, index: number): Buffer {
  return block.subarray(index * ENTRY_BYTES, index * ENTRY_BYTES + KEY_BYTES);
}

/** Says whether an entry lies in a pack, whose table is needed to read its place. */
export function isInPack(block: Buffer, index: number): boolean {
  return block.readUInt32LE(index * ENTRY_BYTES + 32) >= PACK_FLAG;
}

/**
 * Reads an entry's place.
 * @param packs the run's pack block, if it has one
 * @throws {MoltError} DAMAGED
 */
export function entryPlace(block: Buffer, index: number, packs: Buffer | undefined, name: string): Place {
  const at = index * ENTRY_BYTES;
  return {
    container: parseContainerRef(block.readUInt32LE(at + 32), packs, name),
    block: block.readUInt32LE(at + 36),
    blockOffsetBytes: block.readUInt32LE(at + 40),
    blockSealedBytes: block.readUInt32LE(at + 44),
    blockPlainBytes: block.readUInt32LE(at + 48),
    offsetBytes: block.readUInt32LE(at + 52),
    lengthBytes: block.readUInt32LE(at + 56),
    objectBytes: block.readUInt32LE(at + 60),
    type: block.readUInt8(at + 64) as ObjectType,
    encoding: block.readUInt8(at + 65) as Encoding,
  };
}

/** Returns the places of a container's objects by its footer. */
export function* footerEntries(container: ContainerRef, footer: Footer): Iterable<IndexEntry> {
  for (const object of footer.objects) {
    const block = footer.blocks[object.block];
    if (block === undefined) continue;
    const { offsetBytes, lengthBytes, objectBytes, type } = object;
    const place: Place = {
      container,
      block: object.block,
      blockOffsetBytes: block.offsetBytes,
      blockSealedBytes: block.sealedBytes,
      blockPlainBytes: block.plainBytes,
      encoding: block.encoding,
      offsetBytes,
      lengthBytes,
      objectBytes,
      type,
    };
    yield { key: object.key, place };
  }
}

/**
 * Parses a commit block.
 * @throws {MoltError} DAMAGED
 */
export function parseCommits(block: Buffer, name: string): CommitEntry[] {
  if (block.length % COMMIT_BYTES !== 0) throw new MoltError('DAMAGED', `${name} has a torn commit table`);
  return Array.from({ length: block.length / COMMIT_BYTES }, (_, index) => {
    const at = index * COMMIT_BYTES;
    return {
      timeMs: Number(block.readBigInt64LE(at)),
      seq: Number(block.readBigUInt64LE(at + 8)) as SegmentSeq,
      id: block.toString('hex', at + 16, at + 36) as CommitId,
      kind: COMMIT_KINDS[block.readUInt8(at + 36)] ?? 'incremental',
    };
  });
}

function encodeCommits(commits: readonly CommitEntry[]): Buffer {
  const bytes = Buffer.alloc(commits.length * COMMIT_BYTES);
  commits.forEach((commit, index) => {
    const at = index * COMMIT_BYTES;
    bytes.writeBigInt64LE(BigInt(commit.timeMs), at);
    bytes.writeBigUInt64LE(BigInt(commit.seq), at + 8);
    bytes.write(commit.id, at + 16, 20, 'hex');
    bytes.writeUInt8(COMMIT_KINDS.indexOf(commit.kind), at + 36);
  });
  return bytes;
}

function encodeEntry({ key, place }: IndexEntry, into: Buffer, at: number, packs: Map<PackId, number>): void {
  key.copy(into, at, 0, KEY_BYTES);
  into.writeUInt32LE(encodeContainerRef(place.container, packs), at + 32);
  into.writeUInt32LE(place.block, at + 36);
  into.writeUInt32LE(place.blockOffsetBytes, at + 40);
  into.writeUInt32LE(place.blockSealedBytes, at + 44);
  into.writeUInt32LE(place.blockPlainBytes, at + 48);
  into.writeUInt32LE(place.offsetBytes, at + 52);
  into.writeUInt32LE(place.lengthBytes, at + 56);
  into.writeUInt32LE(place.objectBytes, at + 60);
  into.writeUInt8(place.type, at + 64);
  into.writeUInt8(place.encoding, at + 65);
  into.writeUInt16LE(0, at + 66);
}

function encodeContainerRef(ref: ContainerRef, packs: Map<PackId, number>): number {
  if ('seq' in ref) return ref.seq;
  const ordinal = packs.get(ref.pack) ?? packs.size;
  packs.set(ref.pack, ordinal);
  return PACK_FLAG + ordinal;
}

function parseContainerRef(value: number, packs: Buffer | undefined, name: string): ContainerRef {
  if (value < PACK_FLAG) return { seq: value as SegmentSeq };
  const at = (value - PACK_FLAG) * 32;
  if (packs === undefined || at + 32 > packs.length)
    throw new MoltError('DAMAGED', `${name} names a pack that is not in its table`);
  return { pack: packs.toString('hex', at, at + 32) as PackId };
}

function rawBlock(type: EncodedBlock['type'], bytes: Buffer): EncodedBlock {
  return { type, encoding: ENCODING.raw, bytes, plainBytes: bytes.length };
}
