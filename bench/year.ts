// Makes a history as an agent has it after a year of five-minute commits, through the real write path: each commit is a capture of a
// small agent's files on disk into a directory storage, in one process.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentReporter } from '../src/model/ports.ts';
import { commitAgent } from '../src/ops/commit.ts';
import type { OpsContext } from '../src/ops/context.ts';
import { Home } from '../src/ops/home.ts';
import { initAgent } from '../src/ops/init.ts';
import { openAgent } from '../src/ops/open.ts';

/** Commits of a year, one each five minutes. */
export const YEAR_COMMITS = 365 * 288;
const TICK_MS = 300_000;
const TICKS_A_DAY = 288;
/** How often the file changes whose history is asked for. */
const RARE_CHANGES = 100;
/** When the first commit was captured: after the files were written, as with any agent. */
export const START_MS = Date.UTC(2030, 0, 1);
/** The file that changes a hundred times in a year. */
export const RARE_FILE = 'workspace/notes/rare.md';
/** The agent's label. */
export const LABEL = 'year';

/** Makes the agent and its commits in a folder; `onCommit` is told of each number, and what it awaits is not hurried. */
export async function makeYear(
  dir: string,
  commits: number,
  onCommit: (count: number, context: OpsContext) => Promise<void>,
): Promise<OpsContext> {
  const stateDir = join(dir, 'state');
  for (const folder of ['workspace/notes', 'workspace/memory', 'sessions']) mkdirSync(join(stateDir, folder), { recursive: true });
  let nowMs = START_MS;
  const context: OpsContext = {
    home: new Home(join(dir, 'home')),
    clock: { now: () => nowMs },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => {
      throw new Error('the device key should have opened it');
    },
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  const write = (file: string, text: string): void => writeFileSync(join(stateDir, file), text);
  for (let file = 0; file < 20; file += 1) write(`workspace/memory/${file}.md`, `what is known of ${file}\n`);
  write(RARE_FILE, 'change 0\n');
  await initAgent(context, {
    label: LABEL,
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => undefined,
    keepRecoveryKey: async () => undefined,
  });
  await using open = await openAgent(context, LABEL);
  const rareEvery = Math.floor(YEAR_COMMITS / RARE_CHANGES);
  for (let count = 1; count < commits; count += 1) {
    nowMs = START_MS + count * TICK_MS;
    write('sessions/today.jsonl', `{"tick":${count},"text":"${'talk '.repeat(count % 40)}"}\n`);
    if (count % 7 === 0) write(`workspace/memory/${count % 20}.md`, `what is known at ${count}\n`);
    if (count % rareEvery === 0) write(RARE_FILE, `change ${count / rareEvery}\n`);
    const kind = count % TICKS_A_DAY === 0 ? 'full' : count % 1000 === 999 ? 'manual' : 'incremental';
    const name = kind === 'manual' ? `before-change-${count}` : undefined;
    // oxlint-disable-next-line no-await-in-loop -- each commit follows the one before
    await commitAgent(context, open.agent, open.repository, { kind, trigger: 'schedule', name, full: kind === 'full' });
    // oxlint-disable-next-line no-await-in-loop -- the same
    await onCommit(count + 1, context);
  }
  return context;
}
