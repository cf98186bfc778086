// Conversations in OpenClaw's databases: which turns a version has that the one before had not, read by the pages that differ, and
// single turns by their key. Nothing is copied: pages come from the repository's chunks.

import { posix } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { findChangedPages, type ChangedPages } from '../diff/sqlite-pages.ts';
import { Budget, SqliteFile, SqliteTrouble } from '../diff/sqlite-file.ts';
import type { SqlValue } from '../diff/sqlite-record.ts';
import { findRow, listColumns, listSchema, readRow } from '../diff/sqlite-seek.ts';
import { listTreePages, readCells, type InnerPages } from '../diff/sqlite-tree.ts';
import { parseWholeTurn } from '../diff/search-units.ts';
import type { BlobId } from '../model/ids.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { listDiffering, type BlobReader, type ChunkReader } from '../repo/blob-reader.ts';

const DATABASE = 'openclaw-agent.sqlite';
const TABLE = 'transcript_events';
const COLUMNS = ['session_id', 'seq', 'event_json', 'event_zstd'] as const;
/** How long one record may be: OpenClaw's own bound. */
const EVENT_MAX_BYTES = 4 << 20;
/** What one version may cost to read; a hostile one must end. */
const MOST_BYTES = 4 * 2 ** 30;

/** Says whether a path is a database that may hold conversations. */
export function isTranscriptPath(path: string): boolean {
  return posix.basename(path) === DATABASE;
}

/** One version of a database with conversations. */
export interface Transcript {
  readonly path: string;
  readonly blob: BlobId;
  readonly content: BlobReader;
  readonly file: SqliteFile;
  readonly table: number;
  readonly index: number | undefined;
  /** Where the values of COLUMNS stand in a row. */
  readonly at: readonly number[];
  readonly windows: { readonly index: number; readonly table: number; readonly key: number } | undefined;
}

/** Opens a version of a database; undefined if it holds no conversations, or is damaged. */
export async function openTranscript(
  chunks: ChunkReader,
  blob: BlobId,
  path: string,
  signal?: AbortSignal,
): Promise<Transcript | undefined> {
  const content = await chunks.open(blob);
  return unlessTroubled(async () => {
    const file = await SqliteFile.open(content, new Budget(MOST_BYTES, signal));
    const schema = await listSchema(file);
    const table = schema.find(({ type, name }) => type === 'table' && name === TABLE);
    if (table === undefined || table.root === 0) return undefined;
    const columns = listColumns(table.sql);
    const at = COLUMNS.map((name) => columns.indexOf(name));
    if (at.slice(0, 3).some((place) => place < 0)) return undefined;
    const windows = schema.find(({ type, name }) => type === 'table' && name === 'session_windows');
    const keyOf = (name: string): number | undefined =>
      schema.find((entry) => entry.name === `sqlite_autoindex_${name}_1`)?.root;
    const windowsIndex = keyOf('session_windows');
    return {
      path,
      blob,
      content,
      file,
      table: table.root,
      index: keyOf(TABLE),
      at,
      windows:
        windows === undefined || windowsIndex === undefined
          ? undefined
          : { index: windowsIndex, table: windows.root, key: listColumns(windows.sql).indexOf('session_key') },
    };
  });
}

/** What is known of the version before, so that the next one costs what changed. */
export class TranscriptHistory {
  #last: Transcript | undefined;
  #leaves: ReadonlySet<number> = new Set();
  readonly #inner: InnerPages = new Map();

  /** The blob of the version that was read last. */
  get blob(): BlobId | undefined {
    return this.#last?.blob;
  }

  /** Starts over: the next version is read whole. */
  forget(): void {
    this.#last = undefined;
    this.#leaves = new Set();
    this.#inner.clear();
  }

  /** Begins at a version, of which only the pages that lead to rows are read. */
  async skipTo(version: Transcript): Promise<void> {
    this.forget();
    const pages = await unlessTroubled(() =>
      listTreePages(version.file, version.table, 'table', new Map(), () => false),
    );
    if (pages === undefined) return;
    this.#leaves = new Set(pages.rows);
    this.#last = version;
  }

  /** Goes on to a version and lists the turns that it has and the one before had not; all of them if there was none. */
  async *advance(next: Transcript): AsyncIterable<PlacedTurn> {
    const last = this.#last;
    const oldLeaves = this.#leaves;
    try {
      const { pages, maybeOverflow } = await this.#compare(last, next);
      const shared = Math.min(last?.file.pageCount ?? 0, next.file.pageCount);
      const isShared = (page: number): boolean => pages !== undefined && page <= shared && !pages.has(page);
      for (const page of this.#inner.keys()) if (!isShared(page)) this.#inner.delete(page);
      const leaves = new Set((await listTreePages(next.file, next.table, 'table', this.#inner, isShared)).rows);
      const changed = new Set([...leaves].filter((page) => !oldLeaves.has(page) || !isShared(page)));
      const gone = new Set([...oldLeaves].filter((page) => !leaves.has(page) || !isShared(page)));
      for (const page of await listOwners(next.file, leaves, maybeOverflow)) {
        changed.add(page);
        if (oldLeaves.has(page)) gone.add(page);
      }
      const had = new Set<string>();
      if (last !== undefined) for await (const values of listRows(last, gone)) had.add(keyOfRow(last, values));
      for await (const values of listRows(next, changed)) {
        const turn = had.size > 0 && had.has(keyOfRow(next, values)) ? undefined : parseTurn(next, values);
        if (turn !== undefined) yield turn;
      }
      this.#leaves = leaves;
      this.#last = next;
    } catch (error) {
      // What can't be read has nothing; the next version is read whole.
      this.forget();
      if (!isTrouble(error)) throw error;
    }
  }

  async #compare(last: Transcript | undefined, next: Transcript): Promise<ChangedPages> {
    if (last === undefined) return { pages: undefined, maybeOverflow: [] };
    return findChangedPages(last.file, next.file, listDiffering(last.content, next.content));
  }
}

/** Finds a turn by its place. */
export async function findTurn(transcript: Transcript, session: string, seq: number): Promise<PlacedTurn | undefined> {
  const { file, table, index } = transcript;
  return unlessTroubled(async () => {
    if (index !== undefined) {
      const values = await findRow(file, { index, table }, [session, seq]);
      return values === undefined ? undefined : parseTurn(transcript, values);
    }
    const pages = await listTreePages(file, table, 'table', new Map(), () => false);
    for await (const values of listRows(transcript, pages.rows)) {
      const turn = parseTurn(transcript, values);
      if (turn?.session === session && turn.seq === seq) return turn;
    }
    return undefined;
  });
}

/** Returns what people know a conversation by. */
export async function findConversation(transcript: Transcript, session: string): Promise<string | undefined> {
  const { windows, file } = transcript;
  if (windows === undefined) return undefined;
  const values = await unlessTroubled(() => findRow(file, windows, [session]));
  const key = values?.[windows.key];
  return typeof key === 'string' ? key : undefined;
}

/** Lists the leaves of rows that overflow into pages which changed without them: a row may be overwritten in its place. */
async function listOwners(
  file: SqliteFile,
  leaves: ReadonlySet<number>,
  overflow: readonly number[],
): Promise<number[]> {
  const owners = new Set<number>();
  for (const page of file.hasPointerMap ? overflow : []) {
    let owner = { kind: 4, parent: page };
    // oxlint-disable-next-line no-await-in-loop -- up a chain
    for (let step = 0; owner.kind === 4 && step < 4096; step += 1) owner = await file.readOwner(owner.parent);
    if (owner.kind === 3 && leaves.has(owner.parent)) owners.add(owner.parent);
  }
  return [...owners];
}

async function* listRows({ file }: Transcript, pages: Iterable<number>): AsyncIterable<readonly SqlValue[]> {
  for (const page of pages) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    for (const cell of await readCells(file, page, 'table')) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      yield await readRow(file, cell);
    }
  }
}

/** Returns what two versions' rows have alike if they are alike. */
function keyOfRow({ at }: Transcript, values: readonly SqlValue[]): string {
  const [session, seq, json, zstd] = at.map((place) => values[place]);
  const content = Buffer.isBuffer(zstd) ? zstd.toString('latin1') : json;
  return `${String(session)} ${String(seq)} ${String(content)}`;
}

function parseTurn({ path, at }: Transcript, values: readonly SqlValue[]): PlacedTurn | undefined {
  const [session, seq, json, zstd] = at.map((place) => values[place]);
  if (typeof session !== 'string' || typeof seq !== 'number') return undefined;
  const text = typeof json === 'string' ? json : Buffer.isBuffer(zstd) ? unpack(zstd) : undefined;
  const turn = text === undefined ? undefined : parseWholeTurn(text);
  return turn === undefined ? undefined : { ...turn, path, session, seq, conversation: undefined };
}

function unpack(bytes: Buffer): string | undefined {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: EVENT_MAX_BYTES }).toString('utf8');
  } catch {
    return undefined;
  }
}

/** A database that is not what it should be holds nothing that can be found. */
async function unlessTroubled<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isTrouble(error)) return undefined;
    throw error;
  }
}

function isTrouble(error: unknown): boolean {
  return error instanceof SqliteTrouble || error instanceof RangeError;
}
