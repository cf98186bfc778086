// A machine with one small agent, run without a command line under a fixed clock, and the judgement of what a fault left of it.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseRecoveryKey } from '../../src/crypto/recovery-key.ts';
import { openKeyring } from '../../src/format/keyring.ts';
import { silentReporter } from '../../src/model/ports.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { verifyAgent } from '../../src/ops/verify.ts';

export const LABEL = 'bot';
const START_MS = Date.parse('2026-03-01T00:00:00Z');

/** Where a machine's things lie. The agent's state is outside of what faults touch: molt only reads it. */
export interface Machine {
  readonly root: string;
  readonly homeDir: string;
  readonly recoveryFile: string;
  readonly restored: string;
  readonly stateDir: string;
}

/** Returns the paths of a machine. */
export function machineAt(root: string, stateDir: string): Machine {
  return {
    root,
    homeDir: join(root, 'home'),
    recoveryFile: join(root, 'recovery.txt'),
    restored: join(root, 'restored/here'),
    stateDir,
  };
}

/** Returns what operations run with, at a number of minutes after the machine's first moment. */
export function contextAt(machine: Machine, minutes: number): OpsContext {
  return {
    home: new Home(machine.homeDir),
    clock: { now: () => START_MS + minutes * 60_000 },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: machine.root,
    userHome: machine.root,
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
}

/** Makes the state of a small agent: text, something incompressible, a database, a link, an empty folder. */
export function makeState(dir: string, random: () => number): void {
  mkdirSync(join(dir, 'notes'), { recursive: true });
  mkdirSync(join(dir, 'empty'));
  for (let index = 0; index < 5; index += 1)
    writeFileSync(join(dir, `notes/${index}.md`), `note ${index}\n`.repeat(40));
  writeFileSync(join(dir, 'media.bin'), Buffer.from(Array.from({ length: 60_000 }, () => Math.floor(random() * 256))));
  const database = new DatabaseSync(join(dir, 'memory.db'));
  database.exec('CREATE TABLE memory (id INTEGER PRIMARY KEY, text TEXT)');
  for (let index = 0; index < 200; index += 1)
    database.prepare('INSERT INTO memory (text) VALUES (?)').run(`memory ${index} ${random()}`);
  database.close();
}

/** Changes the state, so that there is something to commit. */
export function changeState(dir: string, version: string): void {
  writeFileSync(join(dir, 'notes/0.md'), `${version}\n`.repeat(30));
  writeFileSync(join(dir, `notes/${version}.md`), version);
}

/**
 * Opens what is left, verifies every byte, and returns what it holds as one text: the same text, the same state.
 * @throws when something of it is not whole
 */
export async function judge(machine: Machine, minutes: number): Promise<string> {
  const context = contextAt(machine, minutes);
  const agents = await context.home.listAgents();
  const lines: string[] = [];
  for (const { label } of agents) {
    await using open = await openAgent(context, label);
    if (open.repository.problems.length > 0) throw new Error(`problems: ${JSON.stringify(open.repository.problems)}`);
    const { problems } = await verifyAgent(context, label, { readShare: 1, repair: false });
    if (problems.length > 0) throw new Error(`verify found ${JSON.stringify(problems)}`);
    lines.push(`agent ${label}`, ...[...open.repository.refs].map(([name, id]) => `${name} ${id}`).toSorted());
    lines.push(...open.keyring.slots.map((slot) => `slot ${String(slot['label'])}`));
    // A recovery key that was shown must open: else the user relies on nothing.
    const key = parseRecoveryKey(readFileSync(machine.recoveryFile, 'utf8').trim());
    await openKeyring(open.keyring, { type: 'recovery', key });
  }
  if (existsSync(machine.restored)) lines.push(...describeTree(machine.restored, 'restored'));
  return lines.join('\n');
}

/** Describes all that a folder holds, a line each. */
export function describeTree(dir: string, name: string): string[] {
  return readdirSync(dir)
    .toSorted()
    .flatMap((entry) => {
      const path = join(dir, entry);
      const stat = lstatSync(path);
      const shown = `${name}/${entry}`;
      if (stat.isDirectory()) return [shown, ...describeTree(path, shown)];
      if (stat.isSymbolicLink()) return [`${shown} -> ${readlinkSync(path)}`];
      return [`${shown} ${stat.mode.toString(8)} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`];
    });
}
