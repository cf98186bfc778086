// Completion, as molt answers it and as real shells show it: on a real terminal where the shell reads keys (bash, zsh).

import { execFileSync, spawn } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { completionScript, type Shell } from '../../src/cli/completion-scripts.ts';
import { addAgent, makeAgentMachine, type AgentMachine } from './agent.ts';
import { MAIN } from './built.ts';

const FILES = { 'MEMORY.md': 'tea\n', 'work/plan.md': 'one\n', 'work/a b.md': 'two\n' };

async function complete(machine: AgentMachine, ...words: string[]): Promise<string[]> {
  const [directive = '', ...lines] = (await machine.text(['__complete', '--', ...words])).trimEnd().split('\n');
  return directive === 'words' ? lines.map((line) => line.split('\t', 1)[0] ?? '') : [`(${directive})`];
}

test('what comes next is offered: commands, options, values, agents, branches, tags and files of a commit', async (t) => {
  const machine = await makeAgentMachine(t, FILES);
  await machine.text(['branch', 'calm']);
  await machine.text(['tag', 'v1']);
  const held = await machine.json(['hold', 'add', 'v1']);
  const offers = async (line: string, expected: readonly string[]): Promise<void> => {
    const found = await complete(machine, ...line.split(' '));
    t.deepEqual(
      expected.filter((one) => !found.includes(one)),
      [],
      `molt ${line} offers ${found.join(' ')}`,
    );
  };
  await offers('sta', ['status']);
  await offers('backup ', ['create', 'list']);
  await offers('--json agent r', ['rename', 'remove']);
  await offers('help backup ', ['create', 'list']);
  await offers('log --', ['--since', '--until', '--number', '--json']);
  await offers('diff --component ', ['configuration', 'skills']);
  await offers('diff --component=sk', ['--component=skills']);
  await offers('log ', ['bot', 'HEAD', 'latest', 'main', 'calm', 'v1']);
  await offers('log -a ', ['bot']);
  await offers('diff bot HEAD ', ['v1', 'calm']);
  await offers('switch ', ['main', 'calm', 'bot']);
  await offers('tag -d v', ['v1']);
  await offers('hold add ', ['v1', 'HEAD']);
  await offers('hold remove ', [held.commit.slice(0, 10)]);
  await offers('cat H', ['HEAD:']);
  await offers('cat HEAD:', ['HEAD:MEMORY.md', 'HEAD:work/']);
  await offers('show bot v1:work/', ['v1:work/plan.md']);
  await offers('log -- work/p', ['work/plan.md']);
  await offers('checkout HEAD ', ['(folders)']);
  await offers('init x --recovery-key-file ', ['(files)']);
  await offers('completion ', ['bash', 'zsh', 'fish']);
  t.deepEqual(await complete(machine, 'switch', 'bot', 'x'), []);
  t.false((await complete(machine, 'tag', '-d', '')).includes('main'));
  t.false((await complete(machine, 'log', '--since', 'x', '--')).includes('--since'));
});

test('where nothing can be opened or several agents are meant, the agents are offered and nothing is asked', async (t) => {
  const machine = await makeAgentMachine(t, FILES);
  const other = path.join(machine.home, 'other');
  await mkdir(other);
  await addAgent(machine.home, 'other', other);
  t.deepEqual(await complete(machine, 'log', ''), ['bot', 'other']);
  const elsewhere = path.join(machine.home, 'nothing');
  const empty = await machine.run(['__complete', '--', '--home', elsewhere, 'log', '']);
  t.deepEqual(empty, { status: 0, signal: null, stdout: 'words\n', stderr: '' });
});

test('an unknown shell is refused, naming those that are known', async (t) => {
  const { run } = await makeAgentMachine(t, FILES);
  const { status, stderr } = await run(['completion', 'bsh']);
  t.is(status, 2);
  t.is(
    stderr,
    "molt: there is no completion for 'bsh', only for bash, zsh, fish\nhint: did you mean molt completion bash\n",
  );
});

/** Puts a `molt` on the PATH that answers completion for real, and for the rest tells what it was called with. */
async function makeShellMachine(t: ExecutionContext): Promise<{ env: Record<string, string>; machine: AgentMachine }> {
  const machine = await makeAgentMachine(t, { ...FILES, '$(touch ran).md': 'x\n' });
  await machine.text(['tag', 'v1']);
  const bin = path.join(machine.home, 'bin');
  await mkdir(bin);
  const script = `#!/bin/sh\nif [ "$1" = __complete ]; then exec '${process.execPath}' '${MAIN}' "$@"; fi\nfor word; do printf '<%s>' "$word"; done; echo '<end>'\n`;
  await writeFile(path.join(bin, 'molt'), script);
  await chmod(path.join(bin, 'molt'), 0o755);
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    await writeFile(path.join(machine.home, `molt.${shell}`), completionScript(shell));
  }
  await writeFile(path.join(machine.home, 'rc.bash'), "PS1='READY>'; source ./molt.bash\n");
  await writeFile(
    path.join(machine.home, '.zshrc'),
    "PS1='READY>'; autoload -Uz compinit; compinit -u; source ./molt.zsh\n",
  );
  const env = {
    HOME: machine.home,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    TERM: 'dumb',
    TZ: 'UTC',
    LC_ALL: 'C.UTF-8',
  };
  return { env, machine };
}

function hasProgram(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Types lines into a shell on a terminal of its own, each when the shell is ready for it, and returns what it was shown for each. */
async function typeInto(
  start: { command: string; env: Record<string, string>; cwd: string },
  lines: readonly string[],
): Promise<string[]> {
  const child = spawn('script', ['-qec', start.command, '/dev/null'], { env: start.env, cwd: start.cwd });
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  const shown: string[] = [];
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text = stripVTControlCharacters(text + part);
    // A line's own answer ends with the marker that the stand-in prints.
    const isAnswer = shown.length > 0 || text.includes('READY>');
    if (!isAnswer || (shown.length > 0 && !text.includes('<end>')) || !text.trimEnd().endsWith('READY>')) return;
    shown.push(text);
    text = '';
    const next = lines[shown.length - 1];
    if (next === undefined) child.stdin.end('\u0004');
    else child.stdin.write(`${next}\r`);
  });
  child.once('error', reject);
  child.once('close', () => resolve(shown.slice(1).map((one) => /((?:<[^>]*>)*)<end>/.exec(one)?.[1] ?? one)));
  return promise;
}

const TYPED = [
  'molt sta\t',
  'molt log --sin\tx v\t',
  'molt cat HEAD:work/p\t',
  'molt diff --component=sk\t',
  'molt cat HEAD:\\$\t',
];
const READ = [
  '<status>',
  '<log><--since><x><v1>',
  '<cat><HEAD:work/plan.md>',
  '<diff><--component=skills>',
  '<cat><HEAD:$(touch ran).md>',
];

const onTerminal = test.macro({
  async exec(t, _: Shell, command: string) {
    const { env, machine } = await makeShellMachine(t);
    t.deepEqual(await typeInto({ command, env, cwd: machine.home }, TYPED), READ);
  },
  title: (_, shell: Shell) => `${shell} completes what is typed, and runs no name that an agent wrote`,
});

const needs = (...programs: string[]) => (programs.every(hasProgram) ? test : test.skip);

needs('bash', 'script')(onTerminal, 'bash', 'bash --noprofile --rcfile rc.bash -i');
needs('zsh', 'script')(onTerminal, 'zsh', 'env ZDOTDIR=. zsh -d -i');

needs('fish')('fish completes what is typed', async (t) => {
  const { env, machine } = await makeShellMachine(t);
  const ask = (line: string): string[] => {
    const script = `source molt.fish; complete -C '${line}'`;
    const text = execFileSync('fish', ['--no-config', '-c', script], { env, cwd: machine.home, encoding: 'utf8' });
    return text
      .trimEnd()
      .split('\n')
      .map((one) => one.split('\t', 1)[0] ?? '');
  };
  t.deepEqual(ask('molt sta'), ['status']);
  t.deepEqual(ask('molt log --sin'), ['--since']);
  t.true(ask('molt cat HEAD:work/').includes('HEAD:work/plan.md'));
  t.deepEqual(ask('molt diff --component=sk'), ['--component=skills']);
  t.true(ask('molt checkout HEAD ').includes('bin/'));
});
