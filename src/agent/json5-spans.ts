// Finds where each value of a JSON5 text lies, so that one of them can be replaced and all else stays as a person wrote it. What it
// makes of a text is never believed: whoever edits by it parses the result and compares (json-edit.ts).

/** A value of a text: where it begins and ends, and what is in it. */
export interface Span {
  readonly start: number;
  readonly end: number;
  /** Of an object, by name; a name that comes twice means its last value. */
  readonly fields?: ReadonlyMap<string, Span>;
  /** Of an array. */
  readonly items?: readonly Span[];
  /** Of an object that isn't empty: where its first name begins. */
  readonly firstStart?: number;
}

// No configuration is nested deeper; the parser is recursive.
const MAX_DEPTH = 200;
const BREAKS = new Set(['\n', '\r', '\u2028', '\u2029']);

/** Returns the spans of a text; undefined where it isn't understood. */
export function findSpans(text: string): Span | undefined {
  try {
    const scanner = new Scanner(text);
    const root = scanner.value(0);
    scanner.space();
    return scanner.at === text.length ? root : undefined;
  } catch (error) {
    if (error instanceof NotUnderstood) return undefined;
    throw error;
  }
}

class NotUnderstood extends Error {}

class Scanner {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Span {
    if (depth > MAX_DEPTH) throw new NotUnderstood();
    this.space();
    const start = this.at;
    const char = this.#text[start];
    if (char === '{') return this.#object(depth);
    if (char === '[') return this.#array(depth);
    if (char === '"' || char === "'") this.#string(char);
    else this.#word();
    return { start, end: this.at };
  }

  /** Skips blanks and comments. */
  space(): void {
    for (;;) {
      const char = this.#text[this.at];
      if (char === undefined) return;
      if (/\s|\ufeff/.test(char)) this.at += 1;
      else if (this.#text.startsWith('//', this.at)) this.#line();
      else if (this.#text.startsWith('/*', this.at)) this.#comment();
      else return;
    }
  }

  #line(): void {
    while (this.at < this.#text.length && !BREAKS.has(this.#text[this.at] ?? '')) this.at += 1;
  }

  #comment(): void {
    const end = this.#text.indexOf('*/', this.at + 2);
    if (end < 0) throw new NotUnderstood();
    this.at = end + 2;
  }

  #object(depth: number): Span {
    const start = this.at;
    const fields = new Map<string, Span>();
    let firstStart: number | undefined;
    this.at += 1;
    for (;;) {
      this.space();
      if (this.#take('}')) return { start, end: this.at, fields, ...(firstStart !== undefined && { firstStart }) };
      firstStart ??= this.at;
      const name = this.#name();
      this.space();
      if (!this.#take(':')) throw new NotUnderstood();
      fields.set(name, this.value(depth + 1));
      this.space();
      if (!this.#take(',') && this.#text[this.at] !== '}') throw new NotUnderstood();
    }
  }

  #array(depth: number): Span {
    const start = this.at;
    const items: Span[] = [];
    this.at += 1;
    for (;;) {
      this.space();
      if (this.#take(']')) return { start, end: this.at, items };
      items.push(this.value(depth + 1));
      this.space();
      if (!this.#take(',') && this.#text[this.at] !== ']') throw new NotUnderstood();
    }
  }

  /** A name with escapes in it is left to a parser that knows them all. */
  #name(): string {
    const start = this.at;
    const char = this.#text[start];
    if (char === '"' || char === "'") {
      this.#string(char);
      const name = this.#text.slice(start + 1, this.at - 1);
      if (name.includes('\\')) throw new NotUnderstood();
      return name;
    }
    this.#word();
    return this.#text.slice(start, this.at);
  }

  #string(quote: string): void {
    for (this.at += 1; this.at < this.#text.length; this.at += 1) {
      const char = this.#text[this.at];
      if (char === '\\') this.at += 1;
      else if (char === quote) {
        this.at += 1;
        return;
      }
    }
    throw new NotUnderstood();
  }

  #word(): void {
    const match = /[^\s,:[\]{}"'/\\]+/y;
    match.lastIndex = this.at;
    const word = match.exec(this.#text)?.[0];
    if (word === undefined) throw new NotUnderstood();
    this.at += word.length;
  }

  #take(char: string): boolean {
    if (this.#text[this.at] !== char) return false;
    this.at += 1;
    return true;
  }
}
