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
import { lowerBound, parseRows } from '../format/rows.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, PackId } from '../model/ids.ts';
import type { Containers } from './containers.ts';

/** How many of the newest blocks of commits are searched for a parent. */
const RECENT_BLOCKS = 2;

/** An index run. */
export class IndexRun {
  readonly note: RunNote;
  readonly #containers: Containers;
  #tables: IndexRunTables | undefined;
  #packs: readonly PackId[] | undefined;

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
    const found: EntryRef[] = [];
    for await (const { rows, row } of this.#rowsThatBegin('entries', key.subarray(0, PREFIX_BYTES))) {
      found.push(parseEntry(rows, row, await this.#readPacks(), this.name));
    }
    return found;
  }

  /** Finds the segments that note a path of this hash. */
  async findSegmentsByPath(hash: number): Promise<number[]> {
    const prefix = Buffer.alloc(PATH_HASH_BYTES);
    prefix.writeUInt32BE(hash);
    const found: number[] = [];
    for await (const { rows, row } of this.#rowsThatBegin('paths', prefix)) {
      found.push(rows.readUInt32BE(row * PATH_ROW_BYTES + PATH_HASH_BYTES));
    }
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
    const blocks = (await this.tables())[table];
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

  async *#rowsThatBegin(table: RunTableName, prefix: Buffer): AsyncIterable<{ rows: Buffer; row: number }> {
    const blocks = (await this.tables())[table];
    const { rowBytes } = RUN_TABLES[table];
    const text = prefix.toString('hex');
    for (let at = findFirstBlock(blocks, text); at < blocks.length; at += 1) {
      const found = blocks[at];
      if (found === undefined || found.first.slice(0, text.length) > text) return;
      // oxlint-disable-next-line no-await-in-loop -- one block in nearly all cases
      const rows = await this.#rows(table, found.block);
      for (let row = lowerBound(rows, rowBytes, prefix); row < rows.length / rowBytes; row += 1) {
        const from = row * rowBytes;
        if (prefix.compare(rows, from, from + prefix.length) !== 0) return;
        yield { rows, row };
      }
    }
  }

  async #readPacks(): Promise<readonly PackId[]> {
    const { packBlock } = await this.tables();
    this.#packs ??= packBlock === undefined ? [] : parsePacks(await this.#block(packBlock));
    return this.#packs;
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
