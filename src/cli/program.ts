// Runs one command line: finds the command, loads only its file, gives it a context, and turns what happens into an exit status.

import { homedir } from 'node:os';
import path from 'node:path';
import { MoltError } from '../model/error.ts';
import type { Clock, Random } from '../model/ports.ts';
import { unforeseenFailure } from '../model/system-error.ts';
import type { Browse } from '../ops/browser.ts';
import type { Context } from './command.ts';
import { type CommandEntry, COMMANDS } from './commands.ts';
import { exitStatus } from './exit.ts';
import { findCommand, listSubcommands, type FoundCommand } from './find-command.ts';
import { type Globals, scanOutputFlags } from './globals.ts';
import { createOutput, type Output, type OutputStream } from './output.ts';
import { findPrompt, type InputStream } from './prompt.ts';
import { createReporter } from './reporter.ts';
import { createSecrets } from './secrets.ts';

/** The outside of the program. */
export interface Host {
  /** `molt` or `moltghost`. */
  readonly program: string;
  readonly version: string;
  /** The words of the line, without node and the script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the user or the system asks to stop. */
  readonly signal: AbortSignal;
  /** Aborted when that is asked a second time. */
  readonly urgent: AbortSignal;
  /** Opens the interface. */
  readonly browse: Browse;
}

// How long a command may take to end by itself once it was asked to stop.
const STOP_GRACE_MS = 10_000;

/** Runs a command line with one of these commands; resolves to its exit status, whatever happens. */
export async function runProgram(host: Host, commands: readonly CommandEntry[] = COMMANDS): Promise<number> {
  if (host.argv[0] === '__complete') {
    const { writeCompletions } = await import('./complete.ts');
    await writeCompletions(host, commands);
    return 0;
  }
  const flags = scanOutputFlags(host.argv);
  const plain = flags.noColor || Boolean(host.env['NO_COLOR']) || host.env['TERM'] === 'dumb';
  const colour = !plain && !flags.json && host.stdout.isTTY === true && host.stderr.isTTY === true;
  const output = createOutput(host.program, host, {
    json: flags.json,
    quiet: flags.quiet,
    verbose: flags.verbose,
    colour,
  });
  try {
    const status = await runLine(host, output, resolveLine(host, commands));
    const problem = await output.finish();
    if (problem !== undefined) throw problem;
    return status;
  } catch (error) {
    const shown = isInterruption(error, host.signal)
      ? new MoltError('INTERRUPTED', 'interrupted', { cause: error })
      : unforeseenFailure(error);
    output.error(shown);
    return exitStatus(shown);
  }
}

/** Finds the command of the line; `--help` and `--version` without a command, and no words at all, are commands too. */
function resolveLine(host: Host, commands: readonly CommandEntry[]): FoundCommand<CommandEntry> {
  const has = (...names: string[]): boolean => names.some((name) => host.argv.includes(name));
  const without = (...names: string[]): string[] => host.argv.filter((word) => !names.includes(word));
  const entry = (name: string): CommandEntry => {
    const row = COMMANDS.find((candidate) => candidate.name === name);
    if (row === undefined) throw new Error(`the table lacks the command ${name}`);
    return row;
  };
  const words = host.argv.filter((word) => word !== '--help' && word !== '-h');
  const [first] = words;
  // `molt pod --help`: of several commands at once.
  const isGroup = first !== undefined && listSubcommands(first, COMMANDS).length > 0;
  if (isGroup && words.length === 1 && words.length < host.argv.length && COMMANDS.every(({ name }) => name !== first))
    return { entry: entry('help'), argv: words };
  const found = findCommand(host.argv, commands, host.program);
  if (found !== undefined) return found;
  if (has('--version', '-V')) return { entry: entry('version'), argv: without('--version', '-V') };
  // On a terminal the program alone is the interface.
  if (!has('--help', '-h') && !has('--json') && findTerminal(host) !== undefined)
    return { entry: entry('tui'), argv: [...host.argv] };
  if (has('--help', '-h') || host.stdout.isTTY === true) return { entry: entry('help'), argv: without('--help', '-h') };
  throw new MoltError('USAGE', 'no command is given', { hint: `${host.program} help` });
}

/** Returns the exit status of what succeeded. */
async function runLine(host: Host, output: Output, { entry, argv }: FoundCommand<CommandEntry>): Promise<number> {
  const [command, { parseLine }] = await Promise.all([entry.load(), import('./parse.ts')]);
  const { args, globals, help } = parseLine(host.program, command, argv);
  if (help) {
    const { commandHelp } = await import('./help.ts');
    output.result({ name: entry.name, summary: entry.summary }, () => commandHelp(host.program, command));
    return 0;
  }
  let status = 0;
  const context = createContext(host, output, globals, (wanted) => {
    status = wanted;
  });
  try {
    const work = command.run(context, args);
    await (command.endsItself === true ? work : untilStopped(work, host.signal));
    return status;
  } finally {
    context.reporter.pause();
    await context.cleanup.disposeAsync();
  }
}

function createContext(host: Host, output: Output, globals: Globals, exitWith: (status: number) => void): Context {
  const { env, cwd, clock, random, signal, urgent, program, version } = host;
  const prompt = findPrompt(host);
  const reporter = createReporter(output, host.stderr, clock);
  const secretSources = {
    env,
    passphraseFile: globals.passphraseFile === undefined ? undefined : path.resolve(cwd, globals.passphraseFile),
    prompt,
  };
  return {
    program,
    version,
    clock,
    random,
    env,
    cwd,
    home: path.resolve(cwd, globals.home ?? (env['MOLT_HOME'] || path.join(env['HOME'] || homedir(), '.molt'))),
    backupLog: globals.backupLog,
    get zone() {
      return globals.tz ?? systemZone();
    },
    givenZone: globals.tz,
    output,
    reporter,
    secrets: createSecrets(secretSources),
    signal,
    urgent,
    terminal: findTerminal(host),
    browse: host.browse,
    exitWith,
    cleanup: new AsyncDisposableStack(),
    canConfirm: globals.yes || prompt !== undefined,
    async confirm(question, typed) {
      if (globals.yes) return true;
      if (prompt === undefined) {
        throw new MoltError('USAGE', `nobody can be asked: ${question}`, {
          hint: 'give --yes to go on without asking',
        });
      }
      reporter.pause();
      return prompt.yes(question, typed);
    },
  };
}

/** Returns the terminal, or undefined where keys or the screen go elsewhere. */
function findTerminal({ stdin, stdout }: Host): Context['terminal'] {
  if (stdin.isTTY !== true || stdout.isTTY !== true) return undefined;
  return { stdin: stdin as NodeJS.ReadStream, stdout: stdout as NodeJS.WriteStream };
}

/** Returns the system's zone; UTC where it has none or a strange one. */
function systemZone(): string {
  const zone: string | undefined = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zone === undefined || zone === 'Etc/Unknown' ? 'UTC' : zone;
}

/** Waits for a command, but not for ever once it was asked to stop. */
async function untilStopped(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  let timer: NodeJS.Timeout | undefined;
  const startTimer = (): void => {
    timer = setTimeout(() => reject(signal.reason), STOP_GRACE_MS);
  };
  if (signal.aborted) startTimer();
  else signal.addEventListener('abort', startTimer, { once: true });
  try {
    await Promise.race([work, stopped]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', startTimer);
  }
}

/** Says whether an error is only how an operation ended that was asked to stop. */
function isInterruption(error: unknown, signal: AbortSignal): boolean {
  if (!signal.aborted) return false;
  return (
    error === signal.reason ||
    (error instanceof Error && (error.name === 'AbortError' || error.name === 'ExitPromptError'))
  );
}
