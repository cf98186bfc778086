// The shape of a command: one file per command says what it is called, what it takes and what it does; the frame does the rest.

import type { Clock, Random } from '../model/ports.ts';
import type { Browse } from '../ops/browser.ts';
import type { Output } from './output.ts';
import type { CliReporter } from './reporter.ts';
import type { Secrets } from './secrets.ts';

/** What a word or value can be, for the completion of the shell. */
export type Completes =
  | 'agent'
  | 'branch'
  | 'tag'
  | 'revision'
  | 'revision-path'
  | 'held'
  | 'command'
  | 'pod'
  | 'file'
  | 'folder'
  | 'nothing'
  | readonly string[];

/** An option of a command. A `strings` option may be given several times; a name such as `no-start` is written out. */
export interface OptionSpec {
  readonly type: 'boolean' | 'string' | 'number' | 'strings';
  /** One letter. */
  readonly alias?: string;
  /** One line, lower-case, no full stop. */
  readonly description: string;
  /** What stands for the value in the help: `TIME`. */
  readonly value?: string;
  /** What the option means without a value; a value is then only taken behind `=`. */
  readonly bare?: string;
  /** The values that are taken. */
  readonly choices?: readonly string[];
  /** What a shell completes its value to, where neither `choices` nor `value` (FILE, DIR) tells. */
  readonly completes?: Completes;
}

/**
 * A word of a command, by its place. The name `agent` is special: the word and `-a` are one thing, `args.agent`, and with `-a` the
 * word has no place. Only the last word may be `many`.
 */
export interface WordSpec {
  readonly name: string;
  /** What stands for it in the help, where that is not its name in capitals: `REV DIR`. */
  readonly place?: string;
  readonly description: string;
  readonly required?: boolean;
  readonly many?: boolean;
  /** What a shell completes it to; of a word that is `many`, one after the other, and the last for all that follow. */
  readonly completes?: readonly Completes[];
}

// The first line of each is for a command whose options and words are not known to the types, as the frame handles them.
type OptionValue<S extends OptionSpec> = OptionSpec extends S
  ? boolean | string | number | readonly string[] | undefined
  : S['type'] extends 'boolean'
    ? boolean
    : S['type'] extends 'strings'
      ? readonly string[]
      : S['type'] extends 'number'
        ? number | undefined
        : S extends { readonly choices: readonly (infer C)[] }
          ? C | undefined
          : string | undefined;

type WordValue<S extends WordSpec> = WordSpec extends S
  ? string | readonly string[] | undefined
  : S extends { readonly many: true }
    ? readonly string[]
    : S extends { readonly required: true }
      ? string
      : string | undefined;

/** What the user gave, by the names of the command's options and words. */
export interface Args<O extends Readonly<Record<string, OptionSpec>>, W extends readonly WordSpec[]> {
  /** The agent, by -a or by word. */
  readonly agent: string | undefined;
  readonly options: { readonly [K in keyof O]: OptionValue<O[K]> };
  readonly words: { readonly [S in W[number] as Exclude<S['name'], 'agent'>]: WordValue<S> };
  /** What stands behind `--`. */
  readonly rest: readonly string[];
}

/** What a command runs with: the outside, as the user's global options shape it. */
export interface Context {
  /** The name that the program was called by: `molt` or `moltghost`. */
  readonly program: string;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that relative paths count from. */
  readonly cwd: string;
  /** Where agents live; absolute. It need not exist. */
  readonly home: string;
  /** The backup log that the line names (unchecked); a URL may hold a password. */
  readonly backupLog: string | undefined;
  /** The zone of times without one, as the user gave it (unchecked) or as the system has it. */
  readonly zone: string;
  /** The zone as the user gave it (unchecked). */
  readonly givenZone: string | undefined;
  readonly output: Output;
  readonly reporter: CliReporter;
  readonly secrets: Secrets;
  /** Aborted when the user or the system asks to stop; its reason is a MoltError INTERRUPTED. */
  readonly signal: AbortSignal;
  /** Aborted when that is asked a second time, just before the program ends. */
  readonly urgent: AbortSignal;
  /** The terminal, if keys come from one and the screen is one. */
  readonly terminal: { readonly stdin: NodeJS.ReadStream; readonly stdout: NodeJS.WriteStream } | undefined;
  /** Opens the interface. */
  readonly browse: Browse;
  /** Ends the program with this status, unless an error says otherwise. */
  exitWith(status: number): void;
  /** What has to be undone or closed at the end, however it comes; runs in reverse order. */
  readonly cleanup: AsyncDisposableStack;
  /** Whether there is somebody to ask, or --yes. */
  readonly canConfirm: boolean;
  /**
   * Asks for yes or no; --yes answers it.
   * @param typed what has to be typed for a yes, where that is to be hard to give by habit
   * @throws {MoltError} USAGE when nobody can be asked
   */
  confirm(question: string, typed?: string): Promise<boolean>;
}

/** A command. */
export interface Command<
  O extends Readonly<Record<string, OptionSpec>> = Readonly<Record<string, OptionSpec>>,
  W extends readonly WordSpec[] = readonly WordSpec[],
> {
  /** One word, or two (`backup list`). */
  readonly name: string;
  /** One line, lower-case, no full stop; the same as in the table of commands. */
  readonly summary: string;
  /** What else to say in its help. */
  readonly description?: string;
  readonly words: W;
  readonly options: O;
  /** Asked to stop, it takes its time: it sees to what it runs, and is waited for. */
  readonly endsItself?: boolean;
  /** Takes words behind `--`, and what they are called in the help: `PATH…`. */
  readonly rest?: string;
  /** At least one: the line without the program's name, and what it does. */
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  /** Does the work; throws a MoltError where it fails, also after a result that is only partial. */
  run(context: Context, args: Args<O, W>): Promise<void>;
}

/** Returns the command with the types of its arguments inferred from its options and words. */
export function defineCommand<
  const O extends Readonly<Record<string, OptionSpec>>,
  const W extends readonly WordSpec[],
>(command: Command<O, W>): Command<O, W> {
  return command;
}
