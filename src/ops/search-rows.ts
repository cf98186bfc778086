// What is kept of a stretch of history to search it: for each commit the paths of text that it changed, and what these got that is
// new. One version of a file mostly adds little, so that a year is some megabytes. Large additions are kept as a filter only: which
// groups of three letters are in them. What is found here is looked up in the real content; nothing here is believed.

import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { listTrigrams, mayHave, Trigrams } from './trigrams.ts';

/** How an event says what was added. */
export const EVENT = { text: 0, turn: 1, filter: 2, turns: 3 } as const;
type EventKind = (typeof EVENT)[keyof typeof EVENT];

/** A change of a path by a commit. A file of conversations has one event for its version and one more for each turn. */
export interface SearchRow {
  /** Place in the list of commits. */
  readonly commit: number;
  /** Place in the list of paths. */
  readonly path: number;
  readonly kind: EventKind;
  /**
   * Folded text, a turn's behind `session seq` and a newline; of a filter its bits, of many turns' behind `session first last` and a newline.
   * Empty if nothing was added.
   */
  readonly content: Buffer;
}

/** A stretch of history. */
export interface SearchStretch {
  readonly commits: readonly CommitId[];
  /** What each commit was compared with; the zero id for nothing. */
  readonly bases: readonly CommitId[];
  /** Escaped commit paths. */
  readonly paths: readonly string[];
  readonly rows: readonly SearchRow[];
}

/** Stands for no commit. */
export const NO_COMMIT = '0'.repeat(40) as CommitId;
/** Longer additions are kept as a filter. */
const TEXT_MOST_BYTES = 16 << 10;
const HEAD_BYTES = 16;
const ID_BYTES = 20;

/** Returns how an addition of folded text is kept. */
export function encodeAddition(text: string): Pick<SearchRow, 'kind' | 'content'> {
  const content = Buffer.from(text, 'utf8');
  if (content.length <= TEXT_MOST_BYTES) return { kind: EVENT.text, content };
  const trigrams = new Trigrams();
  trigrams.add(text);
  return { kind: EVENT.filter, content: trigrams.encode() };
}

/** Returns how a single turn is kept. */
export function encodeTurn(session: string, seq: number, text: string): Pick<SearchRow, 'kind' | 'content'> {
  return { kind: EVENT.turn, content: Buffer.from(`${session} ${seq}\n${text}`, 'utf8') };
}

/** Returns how many turns of one conversation are kept. */
export function encodeTurns(
  session: string,
  { first, last, trigrams }: { readonly first: number; readonly last: number; readonly trigrams: Trigrams },
): Pick<SearchRow, 'kind' | 'content'> {
  const head = Buffer.from(`${session} ${first} ${last}\n`, 'utf8');
  return { kind: EVENT.turns, content: Buffer.concat([head, trigrams.encode()]) };
}

/** Encodes a stretch. */
export function encodeStretch({ commits, bases, paths, rows }: SearchStretch): Buffer {
  const names = Buffer.from(paths.join('\n'), 'utf8');
  const contents = Buffer.concat(rows.map(({ content }) => content));
  const head = Buffer.alloc(HEAD_BYTES);
  [commits.length, rows.length, names.length, contents.length].forEach((value, at) =>
    head.writeUInt32LE(value, at * 4),
  );
  // By columns, which compress to little.
  const column = (of: (row: SearchRow) => number): Buffer => {
    const bytes = Buffer.alloc(rows.length * 4);
    for (const [at, row] of rows.entries()) bytes.writeUInt32LE(of(row), at * 4);
    return bytes;
  };
  const ids = Buffer.from([...commits, ...bases].join(''), 'hex');
  const columns = [
    column(({ commit }) => commit),
    column(({ path }) => path),
    column(({ kind }) => kind),
    column(({ content }) => content.length),
  ];
  return Buffer.concat([head, ids, names, ...columns, contents]);
}

/** Reads stretches without making a row of each event. */
export class StretchView {
  readonly commitCount: number;
  readonly paths: readonly string[];
  readonly rowCount: number;
  readonly #ids: Buffer;
  readonly #columns: Buffer;
  readonly #contents: Buffer;
  readonly #ends: Uint32Array;

  /** @throws {MoltError} DAMAGED */
  constructor(bytes: Buffer) {
    if (bytes.length < HEAD_BYTES) throw damaged();
    const [commits = 0, rows = 0, names = 0, contents = 0] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
    const namesAt = HEAD_BYTES + commits * ID_BYTES * 2;
    const columnsAt = namesAt + names;
    const contentsAt = columnsAt + rows * 16;
    if (contentsAt + contents !== bytes.length) throw damaged();
    this.commitCount = commits;
    this.#ids = bytes.subarray(HEAD_BYTES, namesAt);
    this.paths = names === 0 ? [] : bytes.toString('utf8', namesAt, columnsAt).split('\n');
    this.rowCount = rows;
    this.#columns = bytes.subarray(columnsAt, contentsAt);
    this.#contents = bytes.subarray(contentsAt);
    this.#ends = new Uint32Array(rows);
    let end = 0;
    for (let row = 0; row < rows; row += 1) {
      end += this.#column(3, row);
      this.#ends[row] = end;
      const [commit, path, kind] = [this.#column(0, row), this.#column(1, row), this.#column(2, row)];
      if (commit >= commits || path >= this.paths.length || kind > EVENT.turns) throw damaged();
    }
    if (end !== contents) throw damaged();
  }

  /** Returns the 20 bytes of a commit's id. */
  idBytes(commit: number): Buffer {
    return this.#ids.subarray(commit * ID_BYTES, (commit + 1) * ID_BYTES);
  }

  /** Returns those of the commit that it was compared with. */
  baseBytes(commit: number): Buffer {
    return this.idBytes(this.commitCount + commit);
  }

  /** Returns an event. */
  row(at: number): SearchRow {
    const content = this.#contents.subarray(at === 0 ? 0 : this.#ends[at - 1], this.#ends[at]);
    return { commit: this.commitOf(at), path: this.pathOf(at), kind: this.#column(2, at) as EventKind, content };
  }

  commitOf(row: number): number {
    return this.#column(0, row);
  }

  pathOf(row: number): number {
    return this.#column(1, row);
  }

  /** Lists the events that may have added a folded phrase; of filters those first. */
  *find(phrase: string): Iterable<number> {
    const trigrams = [...listTrigrams(phrase)];
    for (let row = 0; row < this.rowCount; row += 1) if (this.#isFilter(row) && this.#passes(row, trigrams)) yield row;
    const wanted = Buffer.from(phrase, 'utf8');
    for (let at = this.#contents.indexOf(wanted); at >= 0;) {
      const row = this.#rowAt(at);
      const end = this.#ends[row] ?? 0;
      const isFilter = this.#isFilter(row);
      // What reaches over the end of an event is in none.
      const isInside = at + wanted.length <= end;
      if (isInside && !isFilter) yield row;
      at = this.#contents.indexOf(wanted, isInside || isFilter ? end : at + 1);
    }
  }

  #isFilter(row: number): boolean {
    return this.#column(2, row) >= EVENT.filter;
  }

  #passes(row: number, trigrams: readonly number[]): boolean {
    const { kind, content } = this.row(row);
    return mayHave(kind === EVENT.turns ? content.subarray(content.indexOf(0x0a) + 1) : content, trigrams);
  }

  /** Returns the event that a byte of the contents belongs to. */
  #rowAt(byte: number): number {
    let [low, high] = [0, this.rowCount - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] ?? 0) <= byte) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #column(column: number, row: number): number {
    return this.#columns.readUInt32LE((column * this.rowCount + row) * 4);
  }
}

function damaged(): MoltError {
  return new MoltError('DAMAGED', 'the search index is damaged');
}
