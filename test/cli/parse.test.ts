// Command lines to arguments: what each kind of option and word takes, and how a wrong line is answered.

import test from 'ava';
import { defineCommand } from '../../src/cli/command.ts';
import { findCommand } from '../../src/cli/find-command.ts';
import { commandHelp } from '../../src/cli/help.ts';
import { parseLine } from '../../src/cli/parse.ts';
import { isMoltError } from '../../src/model/error.ts';

const sample = defineCommand({
  name: 'sample',
  summary: 'do a sample',
  words: [
    { name: 'agent', description: 'the agent' },
    { name: 'rev', description: 'the revision' },
  ],
  options: {
    message: { type: 'string', alias: 'm', value: 'TEXT', description: 'a text' },
    limit: { type: 'number', alias: 'n', description: 'how many' },
    include: { type: 'strings', value: 'P', description: 'paths to take' },
    'no-start': { type: 'boolean', description: 'do not start' },
    kind: { type: 'string', choices: ['full', 'manual'], description: 'which kind' },
  },
  rest: 'PATH…',
  examples: [['sample', 'do it']],
  async run() {},
});
const parse = (...argv: string[]) => parseLine('molt', sample, argv);

test('options and words are read wherever they stand', (t) => {
  const { args, globals } = parse(
    '--json',
    '-n',
    '3',
    'my-agent',
    '--include',
    'a',
    'HEAD~1',
    '--include=b',
    '--no-start',
    '--tz',
    'UTC',
  );
  t.deepEqual(args, {
    agent: 'my-agent',
    options: { message: undefined, limit: 3, include: ['a', 'b'], 'no-start': true, kind: undefined },
    words: { rev: 'HEAD~1' },
    rest: [],
  });
  t.is(globals.tz, 'UTC');
});

test('an agent named by -a leaves the words to the others', (t) => {
  t.like(parse('-a', 'x', 'HEAD').args, { agent: 'x', words: { rev: 'HEAD' } });
  t.like(parse('HEAD', '--agent=x').args, { agent: 'x', words: { rev: 'HEAD' } });
});

test('what stands behind -- is never an option', (t) => {
  t.deepEqual(parse('x', '--', '--json', '-a', 'y').args.rest, ['--json', '-a', 'y']);
});

test('a value is the text that was given', (t) => {
  t.is(parse('-m', '007').args.options['message'], '007');
  t.is(parse('--message=').args.options['message'], '');
  t.is(parse('-m', 'a.b=c d').args.options['message'], 'a.b=c d');
  t.is(parse('0123').args.agent, '0123');
});

const refused = test.macro({
  exec(t, argv: string[], message: string, hint?: string) {
    const error = t.throws(() => parse(...argv));
    t.true(isMoltError(error, 'USAGE') && error.message === message, String(error));
    if (hint !== undefined) t.true(isMoltError(error) && error.hint === hint);
  },
  title: (_, argv: string[]) => `the line "${argv.join(' ')}" is refused`,
});
test(refused, ['--limt', '3'], 'unknown option --limt', 'did you mean --limit');
test(refused, ['-z'], 'unknown option -z', 'molt sample --help');
test(refused, ['--start'], 'unknown option --start');
test(refused, ['--no-json'], 'unknown option --no-json');
test(refused, ['-n', 'many'], "--limit takes a number, not 'many'");
test(refused, ['-n', ''], '--limit is empty');
test(refused, ['-n', '1', '-n', '2'], '--limit is given twice');
test(refused, ['--tz', 'UTC', '--tz', 'WIB'], '--tz is given twice');
test(refused, ['--kind', 'ful'], "--kind takes full, manual, not 'ful'", 'did you mean --kind full');
test(refused, ['--kind'], '--kind needs a value');
test(refused, ['--home='], '--home is empty');
test(refused, ['a', 'b', 'c'], "sample takes no 'c'");
test(refused, ['-a', 'x', 'b', 'c'], "sample takes no 'c'");
test(refused, [''], 'AGENT is empty');

test('a word that is needed is asked for by name, and many words are taken together', (t) => {
  const tag = defineCommand({
    name: 'tag',
    summary: 'name a moment',
    options: {},
    examples: [],
    async run() {},
    words: [
      { name: 'name', description: 'what to call it', required: true },
      { name: 'path', description: 'paths', many: true },
    ],
  });
  t.throws(() => parseLine('molt', tag, []), { message: 'tag needs NAME: what to call it' });
  t.deepEqual(parseLine('molt', tag, ['a', 'b', 'c']).args.words, { name: 'a', path: ['b', 'c'] });
});

test('a command without paths refuses them', (t) => {
  const { rest: _, ...bare } = sample;
  t.throws(() => parseLine('molt', defineCommand(bare), ['--', 'x']), { message: 'sample takes nothing behind --' });
});

test('help is answered whatever else is wrong with the line', (t) => {
  t.true(parse('--help', '--limt', 'a', 'b', 'c').help);
  t.true(parse('-h').help);
});

test('the help of a command names its words, options, choices and examples', (t) => {
  const help = commandHelp('moltghost', sample).join('\n');
  t.true(help.startsWith('Usage: moltghost sample [AGENT] [REV] [options] [-- PATH…]\n\nDo a sample.\n'));
  t.regex(help, /^ {2}-m, --message TEXT +a text$/m);
  t.regex(help, /^ {6}--kind full\|manual +which kind$/m);
  t.regex(help, /^ {2}moltghost sample {2}do it$/m);
});

const ENTRIES = ['status', 'commit', 'backup', 'backup list', 'pod list', 'pod start'].map((name) => ({ name }));
const find = (...argv: string[]) => findCommand(argv, ENTRIES, 'molt');

test('a command is found by its first words, past global options and their values', (t) => {
  t.deepEqual(find('status', 'x'), { entry: { name: 'status' }, argv: ['x'] });
  t.deepEqual(find('-a', 'commit', '--json', 'status'), {
    entry: { name: 'status' },
    argv: ['-a', 'commit', '--json'],
  });
  t.deepEqual(find('backup', '-a', 'x', 'list', 'y'), { entry: { name: 'backup list' }, argv: ['-a', 'x', 'y'] });
  t.deepEqual(find('backup', 'lost'), { entry: { name: 'backup' }, argv: ['lost'] });
  t.is(find('--json', '--', 'status'), undefined);
});

test('a word that is no command gets the nearest one, or the second words of its group', (t) => {
  const hint = (...argv: string[]) => {
    const error = t.throws(() => find(...argv));
    return isMoltError(error, 'USAGE') ? `${error.message} | ${error.hint}` : String(error);
  };
  t.is(hint('stauts'), "'stauts' is not a command | did you mean molt status");
  t.is(hint('my-agent', 'status'), "'my-agent' is not a command | did you mean molt status my-agent");
  t.is(hint('xx'), "'xx' is not a command | molt help");
  t.is(hint('xyzzy'), "'xyzzy' is not a command | molt help");
  t.is(hint('pod'), "'pod' needs a second word: list, start | molt help pod");
  t.is(hint('pod', 'lst'), "'pod lst' is not a command: list, start | molt help pod");
});
