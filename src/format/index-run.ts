// An index run (FORMAT.md, "Index runs"): sorted tables that lead from an object's key to its entry in a container's footer, from a
// path to the segments that changed it, and a table of commits. They hold nothing that the log's containers don't say.

import { MoltError } from '../model/error.ts';
import type { PackId, SegmentSeq } from '../model/ids.ts';
import { ContainerWriter, type ContainerSpec, type EncodedBlock, type FinishedContainer } from './container.ts';
import { COMMIT_KEY_BYTES, COMMIT_ROW_BYTES } from './commit-rows.ts';
import { Fields } from './fields.ts';
import type { Footer } from './footer.ts';
import { BLOCK, ENCODING, type BlockType, type Encoding, type ObjectType } from './layout.ts';
import { PATH_HASH_BYTES } from './path-note.ts';
import { encodeRows, ROWS_PER_BLOCK } from './rows.ts';
import { packName, segmentName } from './segment.ts';

/** A container that holds objects. */
export type ContainerRef = { readonly seq: SegmentSeq } | { readonly pack: PackId };

/** Where an object is: everything needed to read it but a delta's base, which the container's footer names. */
export interface Place {
  readonly container: ContainerRef;
  /** The object's number in the container's object table. */
  readonly entry: number;
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

/** What an entry row says: which object of which container, to be held against the container's footer. */
export interface EntryRef {
  readonly container: ContainerRef;
  readonly entry: number;
  readonly isDelta: boolean;
}

/** Bytes of a key that an entry row holds. */
export const PREFIX_BYTES = 6;
/** An entry row: the beginning of the key, container u32, delta bit and entry u24. */
export const ENTRY_ROW_BYTES = 13;
/** A path row: hash of the path, segment u32. */
export const PATH_ROW_BYTES = PATH_HASH_BYTES + 4;
const PACK_FLAG = 0x8000_0000;
const DELTA_FLAG = 0x80_0000;

/** The tables of a run, by name in its record, in the order of their blocks. */
export const RUN_TABLES = {
  entries: { type: BLOCK.entries, rowBytes: ENTRY_ROW_BYTES, keyBytes: PREFIX_BYTES },
  commits: { type: BLOCK.commits, rowBytes: COMMIT_ROW_BYTES, keyBytes: COMMIT_KEY_BYTES },
  paths: { type: BLOCK.paths, rowBytes: PATH_ROW_BYTES, keyBytes: PATH_ROW_BYTES },
} as const;
export type RunTableName = keyof typeof RUN_TABLES;

/** The content of a run: sorted rows, and the packs that entry rows name by number. */
export interface RunContent extends Readonly<Record<RunTableName, Buffer>> {
  readonly packs: readonly PackId[];
}

/** Returns the object name of an index run. */
export function indexName(id: string): string {
  return `index/${id}`;
}

/** Returns the object name of a container that holds objects. */
export function containerName(ref: ContainerRef): string {
  return 'seq' in ref ? segmentName(ref.seq) : packName(ref.pack);
}

/** Builds a run. */
export function buildIndexRun(
  spec: ContainerSpec,
  range: { readonly fromSeq: number; readonly toSeq: number },
  content: RunContent,
): FinishedContainer & { readonly objects: number } {
  const writer = new ContainerWriter(spec);
  const first: Record<RunTableName, string[]> = { entries: [], commits: [], paths: [] };
  for (const [table, firsts] of Object.entries(first) as [RunTableName, string[]][]) {
    const { type, rowBytes, keyBytes } = RUN_TABLES[table];
    const rows = content[table];
    for (let at = 0; at < rows.length; at += ROWS_PER_BLOCK * rowBytes) {
      writer.add(encodeRows(type, rows.subarray(at, at + ROWS_PER_BLOCK * rowBytes), rowBytes));
      firsts.push(rows.toString('hex', at, at + keyBytes));
    }
  }
  if (content.packs.length > 0) writer.add(rawBlock(BLOCK.packs, Buffer.from(content.packs.join(''), 'hex')));
  if (writer.blockCount === 0) writer.add(rawBlock(BLOCK.data, Buffer.alloc(0)));
  const objects = content.entries.length / ENTRY_ROW_BYTES;
  return { ...writer.finish({ ...range, objects, ...first }, [], 'padme'), objects };
}

/** A table of a run: its blocks, each with the key of its first row in hex, ascending. */
export type RunTable = readonly { readonly block: number; readonly first: string }[];

/** What a run's footer says, ready for searching. */
export interface IndexRunTables extends Readonly<Record<RunTableName, RunTable>> {
  readonly fromSeq: number;
  readonly toSeq: number;
  readonly objects: number;
  readonly packBlock: number | undefined;
}

/**
 * Reads a run's footer.
 * @throws {MoltError} DAMAGED
 */
export function parseIndexRun(footer: Footer, name: string): IndexRunTables {
  const fields = new Fields(footer.record, `the record of ${name}`);
  const blocksOf = (type: BlockType): number[] =>
    footer.blocks.flatMap((block, number) => (block.type === type ? [number] : []));
  const table = (key: RunTableName): RunTable => {
    const { type, keyBytes } = RUN_TABLES[key];
    const firsts = fields.texts(key, new RegExp(`^[0-9a-f]{${keyBytes * 2}}$`));
    const blocks = blocksOf(type);
    if (blocks.length !== firsts.length)
      throw new MoltError('DAMAGED', `${name} does not name all blocks of its ${key}`);
    return firsts.map((first, at) => ({ first, block: blocks[at] ?? 0 }));
  };
  return {
    fromSeq: fields.integer('fromSeq', 1),
    toSeq: fields.integer('toSeq', 1),
    objects: fields.integer('objects'),
    entries: table('entries'),
    commits: table('commits'),
    paths: table('paths'),
    packBlock: blocksOf(BLOCK.packs)[0],
  };
}

/** Returns the position of the first block of a table that may hold rows that begin with `prefix`, in hex. */
export function findFirstBlock(table: RunTable, prefix: string): number {
  let low = 0;
  let high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((table[middle]?.first ?? '') < prefix) low = middle + 1;
    else high = middle;
  }
  // Rows that begin so may already stand at the end of the block before.
  return Math.max(low - 1, 0);
}

/** Encodes an entry row. @param packs numbers of the packs named so far; a new one is added */
export function encodeEntry({ key, place }: IndexEntry, into: Buffer, at: number, packs: Map<PackId, number>): void {
  key.copy(into, at, 0, PREFIX_BYTES);
  into.writeUInt32BE(encodeContainerRef(place.container, packs), at + 6);
  into.writeUIntBE(place.entry + (place.encoding === ENCODING.deltas ? DELTA_FLAG : 0), at + 10, 3);
}

/**
 * Reads an entry row.
 * @param packs the packs of the run
 * @throws {MoltError} DAMAGED
 */
export function parseEntry(rows: Buffer, row: number, packs: readonly PackId[], name: string): EntryRef {
  const at = row * ENTRY_ROW_BYTES;
  const entry = rows.readUIntBE(at + 10, 3);
  return {
    container: parseContainerRef(rows.readUInt32BE(at + 6), packs, name),
    entry: entry % DELTA_FLAG,
    isDelta: entry >= DELTA_FLAG,
  };
}

/** Parses a run's pack block. */
export function parsePacks(block: Buffer): PackId[] {
  return Array.from({ length: Math.floor(block.length / 32) }, (_, at) => {
    return block.toString('hex', at * 32, at * 32 + 32) as PackId;
  });
}

/** Gives the packs in entry rows the numbers of another list; rows of segments stay. */
export function renumberPacks(rows: Buffer, from: readonly PackId[], to: Map<PackId, number>, name: string): Buffer {
  if (from.length === 0) return rows;
  const renumbered = Buffer.from(rows);
  for (let at = 0; at < rows.length; at += ENTRY_ROW_BYTES) {
    const container = rows.readUInt32BE(at + 6);
    if (container < PACK_FLAG) continue;
    renumbered.writeUInt32BE(encodeContainerRef(parseContainerRef(container, from, name), to), at + 6);
  }
  return renumbered;
}

/** Returns the places of a container's objects by its footer. */
export function* footerEntries(container: ContainerRef, footer: Footer): Iterable<IndexEntry> {
  for (const [entry, { key }] of footer.objects.entries()) {
    const place = placeOf(container, footer, entry);
    if (place !== undefined) yield { key, place };
  }
}

/** Returns the place of one of a container's objects, if its footer has so many. */
export function placeOf(container: ContainerRef, footer: Footer, entry: number): Place | undefined {
  const object = footer.objects[entry];
  const block = footer.blocks[object?.block ?? -1];
  if (object === undefined || block === undefined) return undefined;
  return {
    container,
    entry,
    block: object.block,
    blockOffsetBytes: block.offsetBytes,
    blockSealedBytes: block.sealedBytes,
    blockPlainBytes: block.plainBytes,
    encoding: block.encoding,
    offsetBytes: object.offsetBytes,
    lengthBytes: object.lengthBytes,
    objectBytes: object.objectBytes,
    type: object.type,
  };
}

function encodeContainerRef(ref: ContainerRef, packs: Map<PackId, number>): number {
  if ('seq' in ref) return ref.seq;
  const number = packs.get(ref.pack) ?? packs.size;
  packs.set(ref.pack, number);
  return PACK_FLAG + number;
}

function parseContainerRef(value: number, packs: readonly PackId[], name: string): ContainerRef {
  if (value < PACK_FLAG) return { seq: value as SegmentSeq };
  const pack = packs[value - PACK_FLAG];
  if (pack === undefined) throw new MoltError('DAMAGED', `${name} names a pack that is not in its table`);
  return { pack };
}

function rawBlock(type: EncodedBlock['type'], bytes: Buffer): EncodedBlock {
  return { type, encoding: ENCODING.raw, bytes, plainBytes: bytes.length };
}
