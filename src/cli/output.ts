// Where a command's results and remarks go: results to stdout, remarks to stderr. Every text is made safe for a terminal here,
// in one place, since most of what molt shows was written by an agent.

import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { inspect } from 'node:util';
import { MoltError } from '../model/error.ts';
import { printable } from '../model/printable.ts';

/** A stream that may be a terminal. */
export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The styles that molt uses. */
export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** How and how much is to be written. */
export interface OutputMode {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly colour: boolean;
}

/** What a command writes with. */
export interface Output {
  readonly mode: OutputMode;
  /** Width of the terminal in columns; 80 where there is none. */
  readonly columns: number;
  /**
   * Writes the command's result: with --json the document, else the lines that `render` makes (a string may hold several).
   * A command calls it once; with --json a second call is a bug.
   */
  result(document: unknown, render: () => string | Iterable<string>): void;
  /** Writes one line of a result to stdout; nothing with --json. For commands that stream their text. */
  line(text: string): void;
  /** Writes bytes of a file to stdout as they are, or made printable if stdout is a terminal; resolves when more can be taken. */
  bytes(bytes: Uint8Array): Promise<void>;
  /** Tells something on stderr; nothing with --quiet or --json. */
  note(text: string): void;
  /** Tells a detail on stderr, with --verbose only. */
  detail(text: string): void;
  /** Tells of an event on stderr while a command goes on: with --json as a line of it, else as lines for people. */
  event(document: unknown, lines: readonly { readonly text: string; readonly isWarning: boolean }[]): void;
  /** Tells of an event on stdout, where what happens is the result: with --json as a line of it, else as lines; with --quiet warnings alone. */
  log(document: unknown, lines: readonly { readonly text: string; readonly isWarning: boolean }[]): void;
  /** Warns on stderr, also with --quiet; nothing with --json, whose stderr is for errors. */
  warn(text: string): void;
  /** Writes an error to stderr: as a document with --json, else its message, hint and, with --verbose, its causes. */
  error(error: unknown): void;
  /** Returns text in a style; unchanged where there is no colour. */
  style(style: Style, text: string): string;
  /** The reader of stdout has gone (`| head`): whatever else is written is dropped. */
  readonly abandoned: boolean;
  /** Resolves once stdout has taken everything, to what went wrong with it (a full disk), if anything. */
  finish(): Promise<MoltError | undefined>;
}

const STYLES: Readonly<Record<Style, readonly [on: number, off: number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};
const BUG = 'this is a bug in molt, please report it with the text above';

/**
 * Returns an output on two streams. A reader that goes away (EPIPE, as `| head` does) is no error: what is written after it
 * is dropped and the command goes on.
 */
export function createOutput(
  name: string,
  streams: { readonly stdout: OutputStream; readonly stderr: OutputStream },
  mode: OutputMode,
): Output {
  const { json, quiet, verbose, colour } = mode;
  const stdout = guard(streams.stdout);
  const stderr = guard(streams.stderr);
  const decoder = new StringDecoder('utf8');
  const say = (text: string): void => {
    stderr.write(`${printable(text, colour)}\n`);
  };
  const style = (kind: Style, text: string): string => {
    if (!colour) return text;
    const [on, off] = STYLES[kind];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  };
  let documented = false;
  return {
    mode,
    columns: streams.stdout.columns ?? 80,
    style,
    get abandoned() {
      return stdout.gone || streams.stdout.destroyed;
    },
    result(document, render) {
      if (json) {
        if (documented) throw new Error('a command has one result');
        documented = true;
        stdout.write(`${JSON.stringify(document)}\n`);
        return;
      }
      const rendered = render();
      for (const line of typeof rendered === 'string' ? [rendered] : rendered) this.line(line);
    },
    line(text) {
      if (!json) stdout.write(`${printable(text, colour)}\n`);
    },
    async bytes(bytes) {
      const data = streams.stdout.isTTY === true ? printable(decoder.write(Buffer.from(bytes))) : bytes;
      if (stdout.write(data)) return;
      // What goes wrong with the stream meanwhile is kept by its guard.
      await Promise.race([once(streams.stdout, 'drain'), once(streams.stdout, 'close')]).catch(() => undefined);
    },
    note(text) {
      if (!quiet && !json) say(text);
    },
    detail(text) {
      if (verbose && !json) say(style('dim', text));
    },
    event(document, lines) {
      if (json) stderr.write(`${JSON.stringify(document)}\n`);
      else for (const { text, isWarning } of lines) (isWarning ? this.warn : this.note).call(this, text);
    },
    log(document, lines) {
      if (json) stdout.write(`${JSON.stringify(document)}\n`);
      else for (const { text, isWarning } of lines) if (isWarning || !quiet) this.line(text);
    },
    warn(text) {
      if (!json) say(`${style('yellow', 'warning:')} ${text}`);
    },
    async finish() {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (streams.stdout.destroyed) resolve();
      else streams.stdout.write('', () => resolve());
      await promise;
      return stdout.problem;
    },
    error(error) {
      if (json) stderr.write(`${JSON.stringify(errorDocument(error))}\n`);
      else for (const line of errorLines(name, error, verbose)) say(line);
    },
  };
}

/** Returns what --json writes for an error. */
export function errorDocument(error: unknown): { error: Record<string, unknown> } {
  if (!(error instanceof MoltError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
    return { error: { code: 'INTERNAL', message: text, hint: BUG } };
  }
  const { code, message, hint, details } = error;
  return {
    error: {
      code,
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(Object.keys(details).length === 0 ? {} : { details }),
    },
  };
}

function errorLines(name: string, error: unknown, verbose: boolean): string[] {
  if (!(error instanceof MoltError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : inspect(error);
    return [`${name}: ${text}`, `${name}: ${BUG}`];
  }
  const lines = [`${name}: ${error.message}`];
  if (verbose) for (const cause of causesOf(error)) lines.push(`because: ${cause}`);
  if (error.hint !== undefined) lines.push(`hint: ${error.hint}`);
  return lines;
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && causes.length < 10) {
    causes.push(cause instanceof Error ? cause.message : typeof cause === 'string' ? cause : inspect(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

/** Returns a stream's write that turns into nothing once the reader has gone. */
function guard(stream: OutputStream): {
  write(data: string | Uint8Array): boolean;
  problem: MoltError | undefined;
  gone: boolean;
} {
  const guarded = {
    problem: undefined as MoltError | undefined,
    gone: false,
    write: (data: string | Uint8Array): boolean => (guarded.gone || stream.destroyed ? true : stream.write(data)),
  };
  stream.on('error', (error: NodeJS.ErrnoException) => {
    guarded.gone = true;
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED') return;
    guarded.problem ??= new MoltError('IO', `can't write the result (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  return guarded;
}
