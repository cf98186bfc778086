// Completes a command line for a shell: `molt __complete -- WORD…`, of which the last one is what is being written. Answers with a
// directive and then a candidate a line, its meaning behind a tab. Whatever goes wrong, there is just nothing to offer.

import { homedir } from 'node:os';
import path from 'node:path';
import { MoltError } from '../model/error.ts';
import { silentReporter } from '../model/ports.ts';
import type { OpsContext } from '../ops/context.ts';
import { Home } from '../ops/home.ts';
import type { Command, Completes, OptionSpec } from './command.ts';
import type { CommandEntry } from './commands.ts';
import { GLOBAL_OPTIONS } from './globals.ts';
import type { Host } from './program.ts';

/** What can stand in the place of the last word. */
export interface Completion {
  /** Whether the candidates are meant, or the shell's own files or folders. */
  readonly directive: 'words' | 'files' | 'folders';
  readonly candidates: readonly Candidate[];
}

/** One of them. */
export interface Candidate {
  readonly value: string;
  readonly meaning: string;
}

type Specs = Readonly<Record<string, OptionSpec>>;

/** The words before the one that is completed. */
interface Scanned {
  readonly plain: readonly string[];
  readonly values: ReadonlyMap<string, string>;
  /** The option whose value comes next. */
  readonly pending: string | undefined;
  /** `--` has been written. */
  readonly dashes: boolean;
}

const NOTHING: Completion = { directive: 'words', candidates: [] };
/** More tags than anyone reads are not offered: a year has hundreds of automatic ones. */
const MOST_TAGS = 60;

/** Writes the completions of a line. */
export async function writeCompletions(host: Host, commands: readonly CommandEntry[]): Promise<void> {
  const start = host.argv[1] === '--' ? 2 : 1;
  const completion = await completeLine(host, commands, host.argv.slice(start)).catch(() => NOTHING);
  const lines = completion.candidates
    // A name that would be another one on the command line, or break it, is better written by hand.
    // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
    .filter(({ value }) => !/[\u0000-\u001f\u007f-\u009f]/.test(value))
    .map(({ value, meaning }) => `${value}\t${meaning.replaceAll(/\s+/g, ' ')}`);
  host.stdout.write(`${[completion.directive, ...lines].join('\n')}\n`);
}

/** Returns what the last of some words can be. */
export async function completeLine(
  host: Host,
  commands: readonly CommandEntry[],
  words: readonly string[],
): Promise<Completion> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  const top = scan(before, GLOBAL_OPTIONS);
  const [first = '', second = ''] = top.plain;
  const entry =
    commands.find(({ name }) => name === `${first} ${second}`) ?? commands.find(({ name }) => name === first);
  const completion =
    entry === undefined
      ? await completeTop(host, commands, top, word)
      : await completeCommand(host, commands, { command: await entry.load(), before, word });
  const fitting = completion.candidates.filter(({ value }) => value.startsWith(word));
  return { ...completion, candidates: [...new Map(fitting.map((one) => [one.value, one])).values()] };
}

async function completeTop(
  host: Host,
  commands: readonly CommandEntry[],
  scanned: Scanned,
  word: string,
): Promise<Completion> {
  const { pending, plain } = scanned;
  const spec = pending === undefined ? undefined : (GLOBAL_OPTIONS as Specs)[pending];
  if (spec !== undefined) return completeValue(host, scanned, spec);
  if (word.startsWith('-')) return optionNames(GLOBAL_OPTIONS, scanned);
  return { directive: 'words', candidates: commandWords(commands, plain) };
}

async function completeCommand(
  host: Host,
  commands: readonly CommandEntry[],
  line: { readonly command: Command; readonly before: readonly string[]; readonly word: string },
): Promise<Completion> {
  const { command, before, word } = line;
  const specs: Specs = { ...GLOBAL_OPTIONS, ...command.options };
  const whole = scan(before, specs);
  const scanned = { ...whole, plain: whole.plain.slice(command.name.split(' ').length) };
  const { pending, dashes } = scanned;
  const pendingSpec = pending === undefined ? undefined : specs[pending];
  if (dashes) return command.rest === undefined ? NOTHING : completePath(host, scanned, 'HEAD', word);
  if (pendingSpec !== undefined) return completeValue(host, scanned, pendingSpec);
  const joined = /^--([^=]+)=/.exec(word);
  const joinedSpec = specs[joined?.[1] ?? ''];
  if (joined !== null && joinedSpec !== undefined) {
    const completion = await completeValue(host, scanned, joinedSpec);
    return {
      ...completion,
      candidates: completion.candidates.map((one) => ({ ...one, value: joined[0] + one.value })),
    };
  }
  if (word.startsWith('-')) return optionNames(specs, scanned);
  return completeWord(host, commands, command, scanned, word);
}

async function completeWord(
  host: Host,
  commands: readonly CommandEntry[],
  command: Command,
  scanned: Scanned,
  word: string,
): Promise<Completion> {
  const { home } = makeContext(host, scanned);
  const option = scanned.values.get('agent');
  const specs = command.words.filter(({ name }) => name !== 'agent' || option === undefined);
  let { plain } = scanned;
  let agent = option;
  const many = specs.find((spec) => spec.many === true);
  const takesAgent = many !== undefined && option === undefined && !(many.completes ?? []).includes('command');
  const [first] = plain;
  if (takesAgent && first !== undefined && (await home.findAgent(first)) !== undefined) {
    [agent, plain] = [first, plain.slice(1)];
  }
  const spec = specs[plain.length] ?? (specs.at(-1)?.many === true ? specs.at(-1) : undefined);
  if (spec === undefined) return NOTHING;
  const kinds = spec.name === 'agent' ? (['agent'] as const) : (spec.completes ?? []);
  const kind = kinds[plain.length - specs.indexOf(spec)] ?? kinds.at(-1) ?? 'nothing';
  // Which of several agents is meant may be open yet; then these are what there is to offer.
  const found = await completeKind(host, { ...scanned, plain }, kind, { agent, word, commands }).catch(() => NOTHING);
  const leading = takesAgent && agent === undefined ? await agentNames(home) : [];
  return { ...found, candidates: [...leading, ...found.candidates] };
}

async function completeKind(
  host: Host,
  scanned: Scanned,
  kind: Completes,
  line: { readonly agent: string | undefined; readonly word: string; readonly commands: readonly CommandEntry[] },
): Promise<Completion> {
  const { agent, word, commands } = line;
  if (typeof kind !== 'string') return wordsOf(kind, '');
  switch (kind) {
    case 'nothing':
      return NOTHING;
    case 'file':
      return { directive: 'files', candidates: [] };
    case 'folder':
      return { directive: 'folders', candidates: [] };
    case 'command':
      return { directive: 'words', candidates: commandWords(commands, scanned.plain) };
    case 'agent':
      return { directive: 'words', candidates: await agentNames(makeContext(host, scanned).home) };
    case 'pod':
      return wordsOf(await podNames(makeContext(host, scanned).home), 'pod');
    case 'held': {
      const { listHeldNames } = await import('../ops/hold.ts');
      return { directive: 'words', candidates: await listHeldNames(makeContext(host, scanned), agent) };
    }
    default:
      break;
  }
  const colon = word.indexOf(':');
  if (colon !== -1) {
    const revision = word.slice(0, colon);
    const values = new Map([...scanned.values, ...(agent === undefined ? [] : [['agent', agent] as const])]);
    const { candidates } = await completePath(host, { ...scanned, values }, revision, word.slice(colon + 1));
    return { directive: 'words', candidates: candidates.map((one) => ({ ...one, value: `${revision}:${one.value}` })) };
  }
  const { listNames } = await import('../ops/complete-names.ts');
  const { branches, tags } = await listNames(makeContext(host, scanned), agent);
  const named = [
    ...(kind === 'tag' ? [] : wordsOf(branches, 'branch').candidates),
    ...(kind === 'branch' ? [] : wordsOf(tags.slice(0, MOST_TAGS), 'tag').candidates),
  ];
  if (kind === 'branch' || kind === 'tag') return { directive: 'words', candidates: named };
  const all = [...wordsOf(['HEAD', 'latest'], 'the newest commit').candidates, ...named];
  if (kind === 'revision') return { directive: 'words', candidates: all };
  return { directive: 'words', candidates: all.map(({ value, meaning }) => ({ value: `${value}:`, meaning })) };
}

/** Completes a path in a commit, as it counts from the state folder. */
async function completePath(host: Host, scanned: Scanned, revision: string, word: string): Promise<Completion> {
  const folder = word.slice(0, word.lastIndexOf('/') + 1);
  const { listFolderNames } = await import('../ops/complete-names.ts');
  const agent = scanned.values.get('agent') ?? (await leadingAgent(host, scanned));
  const names = await listFolderNames(makeContext(host, scanned), agent, revision, folder);
  return wordsOf(
    names.map((name) => folder + name),
    '',
  );
}

async function leadingAgent(host: Host, scanned: Scanned): Promise<string | undefined> {
  const [first] = scanned.plain;
  return first === undefined ? undefined : (await makeContext(host, scanned).home.findAgent(first))?.label;
}

async function completeValue(host: Host, scanned: Scanned, spec: OptionSpec): Promise<Completion> {
  if (spec.choices !== undefined) return wordsOf(spec.choices, '');
  if (spec === GLOBAL_OPTIONS.agent) {
    return { directive: 'words', candidates: await agentNames(makeContext(host, scanned).home) };
  }
  if (spec === GLOBAL_OPTIONS.tz) return wordsOf(['UTC', ...Intl.supportedValuesOf('timeZone')], '');
  if (spec.value === 'FILE') return { directive: 'files', candidates: [] };
  if (spec.value === 'DIR') return { directive: 'folders', candidates: [] };
  return spec.value === 'TIME' ? wordsOf(['now', 'today', 'yesterday'], '') : NOTHING;
}

function optionNames(specs: Specs, { values }: Scanned): Completion {
  const free = Object.entries(specs).filter(([name, { type }]) => type === 'strings' || !values.has(name));
  return {
    directive: 'words',
    candidates: free.map(([name, { description }]) => ({ value: `--${name}`, meaning: description })),
  };
}

/** Returns the words that a command's name may go on with. */
function commandWords(commands: readonly CommandEntry[], plain: readonly string[]): Candidate[] {
  const [first] = plain;
  if (first !== undefined) {
    return plain.length > 1
      ? []
      : commands
          .filter(({ name }) => name.startsWith(`${first} `))
          .map(({ name, summary }) => ({ value: name.slice(first.length + 1), meaning: summary }));
  }
  const names = new Map<string, string>();
  for (const { name, summary } of commands) {
    const [head = '', sub] = name.split(' ');
    const known = names.get(head);
    names.set(head, sub === undefined ? summary : known === undefined ? sub : `${known}, ${sub}`);
  }
  return [...names].map(([value, meaning]) => ({ value, meaning }));
}

async function agentNames(home: Home): Promise<Candidate[]> {
  const agents = await home.listAgents();
  return agents.map(({ label, stateDir }) => ({ value: label, meaning: `agent in ${stateDir}` }));
}

async function podNames(home: Home): Promise<string[]> {
  const { listPodNames } = await import('../ops/pod-record.ts');
  return listPodNames(home);
}

function wordsOf(values: readonly string[], meaning: string): Completion {
  return { directive: 'words', candidates: values.map((value) => ({ value, meaning })) };
}

function scan(words: readonly string[], specs: Specs): Scanned {
  const plain: string[] = [];
  const values = new Map<string, string>();
  let pending: string | undefined;
  for (const word of words) {
    if (pending !== undefined) {
      values.set(pending, word);
      pending = undefined;
    } else if (word === '--') {
      return { plain, values, pending, dashes: true };
    } else if (word.startsWith('-') && word !== '-') {
      const [, long, , value] = /^--([^=]+)(=(.*))?$/.exec(word) ?? [];
      const name = long ?? Object.keys(specs).find((key) => specs[key]?.alias === word[1]) ?? '';
      const spec = specs[name];
      const isAlone = spec === undefined || spec.type === 'boolean' || spec.bare !== undefined;
      if (value !== undefined || isAlone || (long === undefined && word.length > 2)) {
        values.set(name, value ?? word.slice(2));
      } else {
        pending = name;
      }
    } else {
      plain.push(word);
    }
  }
  return { plain, values, pending, dashes: false };
}

function makeContext(host: Host, { values }: Scanned): OpsContext {
  const { env, cwd, clock, random } = host;
  const userHome = env['HOME'] || homedir();
  const home = values.get('home') ?? (env['MOLT_HOME'] || path.join(userHome, '.molt'));
  return {
    home: new Home(path.resolve(cwd, home.replace(/^~(?=\/|$)/, userHome))),
    clock,
    random,
    reporter: silentReporter,
    cwd,
    userHome,
    unlock: async () => {
      throw new MoltError('WRONG_PASSPHRASE', 'a shell that completes asks for nothing');
    },
  };
}
