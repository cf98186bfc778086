// A machine with one small agent on it, for the tests of commands.

import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { silentReporter } from '../../src/model/ports.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { makeCliEnvironment, type CliEnvironment, type RunOptions } from './environment.ts';

/** A machine with the agent `bot`. */
export interface AgentMachine extends CliEnvironment {
  readonly stateDir: string;
  /** Writes a file of the agent; its folders are made. */
  write(file: string, content: string | Buffer): Promise<void>;
  /** Runs molt, expects success, and returns what it wrote. */
  text(argv: readonly string[], options?: RunOptions): Promise<string>;
  /** Runs molt with --json, expects success, and returns the document. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what a document holds is what the tests find out
  json(argv: readonly string[], options?: RunOptions): Promise<any>;
}

/** Makes a machine with the agent `bot`, whose first backup holds these files. */
export async function makeAgentMachine(
  t: ExecutionContext,
  files: Readonly<Record<string, string | Buffer>>,
): Promise<AgentMachine> {
  const environment = await makeCliEnvironment(t);
  const stateDir = path.join(environment.home, 'bot-state');
  const write = async (file: string, content: string | Buffer): Promise<void> => {
    await mkdir(path.dirname(path.join(stateDir, file)), { recursive: true });
    await writeFile(path.join(stateDir, file), content);
  };
  await mkdir(stateDir);
  for (const [file, content] of Object.entries(files)) await write(file, content);
  await addAgent(environment.home, 'bot', stateDir);
  const succeed = async (argv: readonly string[], options?: RunOptions): Promise<string> => {
    const { status, stdout, stderr } = await environment.run(argv, options);
    t.is(status, 0, `${argv.join(' ')}: ${stderr}`);
    return stdout;
  };
  return {
    ...environment,
    stateDir,
    write,
    text: succeed,
    json: async (argv, options) => JSON.parse(await succeed([...argv, '--json'], options)),
  };
}

/** Adds an agent to a machine, with a passphrase slot that opens fast. */
export async function addAgent(home: string, label: string, stateDir: string): Promise<void> {
  const context = {
    home: new Home(path.join(home, '.molt')),
    clock: { now: () => Date.now() },
    random: { bytes: (length: number) => randomBytes(length) },
    reporter: silentReporter,
    cwd: home,
    userHome: home,
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }) as const,
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  await initAgent(context, {
    label,
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async () => {},
  });
}
