// One index run of a storage, read by block.

import {
  ENTRY_ROW_BYTES,
  findFirstBlock,
  indexName,
  parseEntry,
  parseIndexRun,
  parsePacks,
  PATH_ROW_BYTES,
  PREFIX_BYTES,
  RUN_TABLES,
  type EntryRef,
  type IndexRunTables,
  type RunContent,
  type RunTableName,
} from '../format/index-run.ts';
import type { RunNote } from '../format/checkpoint.ts';
import { COMMIT_ROW_BYTES, parseCommitRow } from '../format/commit-rows.ts';
import { PATH_HASH_BYTES } from '../format/path-note.ts';
import { lowerBound, parseRows, ROWS_PER_BLOCK } from '../format/rows.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, PackId } from '../model/ids.ts';
import type { Containers } from './containers.ts';

/** Blocks that a run keeps at hand, so that one look-up after the other costs no more than a search. */
const KEPT_BLOCKS = 8;
/** How many of the newest blocks of commits are searched for a parent. */
const RECENT_BLOCKS = 2;

/** An index run. */
export class IndexRun {
  readonly note: RunNote;
  readonly #containers: Containers;
  #tables: IndexRunTables | undefined;
  #packs: readonly PackId[] | undefined;
  readonly #kept = new Map<number, Buffer>();

  constructor(note: RunNote, containers: Containers) {
    this.note = note;
    this.#containers = containers;
  }

  /** The run's object name. */
  get name(): string {
    return indexName(this.note.id);
  }

  /** Finds the entries that may be an object's. */
  async findEntries(key: Buffer): Promise<EntryRef[]> {
    const packs = this.#packs ?? (await this.#readPacks());
    const found: EntryRef[] = [];
    await this.#findRows('entries', key.subarray(0, PREFIX_BYTES), (rows, row) => {
      found.push(parseEntry(rows, row, packs, this.name));
    });
    return found;
  }

  /** Finds the segments that note a path of this hash. */
  async findSegmentsByPath(hash: number): Promise<number[]> {
    const prefix = Buffer.alloc(PATH_HASH_BYTES);
    prefix.writeUInt32BE(hash);
    const found: number[] = [];
    await this.#findRows('paths', prefix, (rows, row) => {
      found.push(rows.readUInt32BE(row * PATH_ROW_BYTES + PATH_HASH_BYTES));
    });
    return found;
  }

  /** Finds the segment of a commit that is among the newest of the run. */
  async findRecentCommit(id: CommitId): Promise<number | undefined> {
    const { commits } = await this.tables();
    const bytes = Buffer.from(id, 'hex');
    for (const { block } of commits.slice(-RECENT_BLOCKS).toReversed()) {
      // oxlint-disable-next-line no-await-in-loop -- the newest has it, mostly
      const rows = await this.#rows('commits', block);
      for (let at = rows.indexOf(bytes); at >= 0; at = rows.indexOf(bytes, at + 1)) {
        const commit = parseCommitRow(rows, Math.floor(at / COMMIT_ROW_BYTES));
        if (commit.id === id) return commit.seq;
      }
    }
    return undefined;
  }

  /** Reads a table whole. */
  async readTable(table: RunTableName): Promise<Buffer> {
    return this.#readBlocks(table, (await this.tables())[table]);
  }

  /** Reads the rows of the newest commits. @param least that many, if there are */
  async readNewestCommits(least: number): Promise<Buffer> {
    const { commits } = await this.tables();
    // All blocks but the last one are full.
    return this.#readBlocks('commits', commits.slice(-(1 + Math.ceil(least / ROWS_PER_BLOCK))));
  }

  async #readBlocks(table: RunTableName, blocks: IndexRunTables[RunTableName]): Promise<Buffer> {
    return Buffer.concat(await Promise.all(blocks.map(({ block }) => this.#rows(table, block))));
  }

  /** Reads everything. */
  async readContent(): Promise<RunContent> {
    const [entries, commits, paths] = await Promise.all([
      this.readTable('entries'),
      this.readTable('commits'),
      this.readTable('paths'),
    ]);
    return { entries, commits, paths, packs: await this.#readPacks() };
  }

  /** Lists all entries, each with the beginning of its key. */
  async *listEntries(): AsyncIterable<{ readonly prefix: Buffer; readonly ref: EntryRef }> {
    const packs = await this.#readPacks();
    for (const { block } of (await this.tables()).entries) {
      // oxlint-disable-next-line no-await-in-loop -- in order, and memory stays flat
      const rows = await this.#rows('entries', block);
      for (let at = 0; at < rows.length; at += ENTRY_ROW_BYTES) {
        const ref = parseEntry(rows, at / ENTRY_ROW_BYTES, packs, this.name);
        yield { prefix: rows.subarray(at, at + PREFIX_BYTES), ref };
      }
    }
  }

  /** Reads what the footer says. @throws {MoltError} DAMAGED */
  async tables(): Promise<IndexRunTables> {
    this.#tables ??= parseIndexRun(await this.#containers.readIndexFooter(this.note.id), this.name);
    return this.#tables;
  }

  /** Calls back with each row that begins so. */
  async #findRows(table: RunTableName, prefix: Buffer, onRow: (rows: Buffer, row: number) => void): Promise<void> {
    const blocks = (this.#tables ?? (await this.tables()))[table];
    const { rowBytes } = RUN_TABLES[table];
    const text = prefix.toString('hex');
    for (let at = findFirstBlock(blocks, text); at < blocks.length; at += 1) {
      const found = blocks[at];
      if (found === undefined || found.first.slice(0, text.length) > text) return;
      // oxlint-disable-next-line no-await-in-loop -- one block in nearly all cases
      const rows = this.#kept.get(found.block) ?? (await this.#keepRows(table, found.block));
      for (let row = lowerBound(rows, rowBytes, prefix); row < rows.length / rowBytes; row += 1) {
        const from = row * rowBytes;
        if (prefix.compare(rows, from, from + prefix.length) !== 0) return;
        onRow(rows, row);
      }
    }
  }

  async #readPacks(): Promise<readonly PackId[]> {
    const { packBlock } = await this.tables();
    this.#packs ??= packBlock === undefined ? [] : parsePacks(await this.#block(packBlock));
    return this.#packs;
  }

  async #keepRows(table: RunTableName, number: number): Promise<Buffer> {
    const rows = await this.#rows(table, number);
    if (this.#kept.size >= KEPT_BLOCKS) this.#kept.clear();
    this.#kept.set(number, rows);
    return rows;
  }

  async #rows(table: RunTableName, number: number): Promise<Buffer> {
    return this.#block(number, (columns) => parseRows(columns, RUN_TABLES[table].rowBytes, this.name));
  }

  async #block(number: number, parse?: (plain: Buffer) => Buffer): Promise<Buffer> {
    const footer = await this.#containers.readIndexFooter(this.note.id);
    const block = footer.blocks[number];
    if (block === undefined) throw new MoltError('DAMAGED', `${this.name} has no block ${number}`);
    return this.#containers.readIndexBlock(this.note.id, number, block, parse);
  }
}
