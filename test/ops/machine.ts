// A machine with one agent, run without a command line, whose clock the test moves.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp, type BackupResult } from '../../src/ops/backup.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';

/** A machine with the agent `bot`. */
export interface Machine {
  readonly context: OpsContext;
  readonly stateDir: string;
  /** Sets the clock to a time, ISO 8601. */
  at(time: string): void;
  write(file: string, text: string): void;
  /** Writes a file that never was before and commits, at a time if one is given. */
  commit(time?: string, options?: { readonly message?: string }): Promise<BackupResult>;
  /** Opens the agent until the test ends. */
  open(): Promise<OpenAgent>;
}

/** Makes a machine; the first backup is of the given time. */
export async function makeMachine(
  t: ExecutionContext,
  time = '2026-03-01T00:00:00Z',
  within = tmpdir(),
): Promise<Machine> {
  const dir = realpathSync(mkdtempSync(join(within, 'molt-ops-')));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const stateDir = join(dir, 'state');
  mkdirSync(stateDir);
  let nowMs = Date.parse(time);
  let count = 0;
  const context = contextIn(dir, { now: () => nowMs });
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(stateDir, file)), { recursive: true });
    writeFileSync(join(stateDir, file), text);
  };
  write('notes.md', 'remember\n');
  await initAgent(context, {
    label: 'bot',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async () => {},
  });
  return {
    context,
    stateDir,
    write,
    at(time) {
      nowMs = Date.parse(time);
    },
    async commit(time, options = {}) {
      if (time !== undefined) nowMs = Date.parse(time);
      count += 1;
      write('counter', `${count}\n`);
      return backUp(context, 'bot', { kind: 'incremental', trigger: 'test', ...options });
    },
    async open() {
      const open = await openAgent(context, 'bot');
      t.teardown(() => open[Symbol.asyncDispose]());
      return open;
    },
  };
}

/** Returns the context of a machine with nothing on it. */
export function makeEmptyContext(t: ExecutionContext, clock: OpsContext['clock']): OpsContext {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-empty-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return contextIn(dir, clock);
}

/** Returns the context of a machine whose files lie in a folder. */
export function contextIn(
  dir: string,
  clock: OpsContext['clock'] = { now: () => Date.now() },
  passphrase = 'first',
): OpsContext {
  return {
    home: new Home(join(dir, 'home')),
    clock,
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => ({ type: 'passphrase', passphrase }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
}

/** Lets remotes be tried again at once. */
export const QUICK = { timing: { pause: async () => {}, random: () => 0.5, idleMs: 3000 } };
