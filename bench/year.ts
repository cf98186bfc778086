// Makes a history as an agent has it after a year of five-minute commits. All go through the real write path of trees, transactions,
// segments, index runs and checkpoints in a directory storage; full backups, manual ones and every fiftieth tick capture the agent's
// files on disk as `molt commit` does, the ticks in between hand over what changed.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { CommitId } from '../src/model/ids.ts';
import { silentReporter } from '../src/model/ports.ts';
import { notePaths } from '../src/ops/changed-paths.ts';
import { listFiles, readCommitView } from '../src/ops/commit-files.ts';
import { encodeCommitText } from '../src/ops/commit-message.ts';
import { commitAgent } from '../src/ops/commit.ts';
import type { OpsContext } from '../src/ops/context.ts';
import { branchRef, Home } from '../src/ops/home.ts';
import { initAgent } from '../src/ops/init.ts';
import { openAgent, type OpenAgent } from '../src/ops/open.ts';
import { writeCommit } from '../src/repo/git.ts';
import { gitIdOf } from '../src/repo/objects.ts';
import { TREE_MODES, writeTrees, type TreeFile } from '../src/repo/trees.ts';

/** Commits of a year, one each five minutes. */
export const YEAR_COMMITS = 365 * 288;
const TICK_MS = 300_000;
const TICKS_A_DAY = 288;
/** Between captures of the whole agent. */
const CAPTURE_EVERY = 50;
/** The file that changes so often in a year. */
export const RARE_FILE = 'workspace/notes/rare.md';
const RARE_CHANGES = 100;
/** When the first commit was captured: after the files were written, as with any agent. */
export const START_MS = Date.UTC(2030, 0, 1);
/** The agent's label. */
export const LABEL = 'year';

/** Makes the agent and its commits in a folder; `onCommit` is told how many there are. */
export async function makeYear(
  dir: string,
  commits: number,
  onCommit: (count: number, context: OpsContext) => Promise<void>,
): Promise<void> {
  let nowMs = START_MS;
  const context = contextIn(dir, () => nowMs);
  const files = new Map<string, string>();
  const put = (file: string, text: string): void => void files.set(file, text);
  for (let file = 0; file < 20; file += 1) put(`workspace/memory/${file}.md`, `what is known of ${file}\n`);
  put(RARE_FILE, 'change 0\n');
  put('sessions/today.jsonl', '{}\n');
  writeAll(dir, files);
  await initAgent(context, {
    label: LABEL,
    stateDir: join(dir, 'state'),
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => undefined,
    keepRecoveryKey: async () => undefined,
  });
  await using open = await openAgent(context, LABEL);
  let tree = new Map<string, TreeFile>();
  const rareEvery = Math.floor(YEAR_COMMITS / RARE_CHANGES);
  for (let count = 1; count < commits; count += 1) {
    nowMs = START_MS + count * TICK_MS;
    files.clear();
    put('sessions/today.jsonl', `{"tick":${count},"text":"${'talk '.repeat(count % 40)}"}\n`);
    if (count % 7 === 0) put(`workspace/memory/${count % 20}.md`, `what is known at ${count}\n`);
    if (count % rareEvery === 0) put(RARE_FILE, `change ${count / rareEvery}\n`);
    writeAll(dir, files);
    const kind = count % TICKS_A_DAY === 0 ? 'full' : count % 1000 === 999 ? 'manual' : 'incremental';
    if (kind === 'incremental' && count % CAPTURE_EVERY !== 0 && tree.size > 0) {
      await commitChanges(open, tree, files, nowMs);
    } else {
      const name = kind === 'manual' ? `before-change-${count}` : undefined;
      const options = { kind, trigger: 'schedule', name, full: kind === 'full' } as const;
      const { id } = await commitAgent(context, open.agent, open.repository, options);
      tree = await readTree(open, id);
    }
    await onCommit(count + 1, context);
  }
}

/** Returns what operations on the agent run with. */
export function contextIn(dir: string, now: () => number): OpsContext {
  return {
    home: new Home(join(dir, 'home')),
    clock: { now },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => {
      throw new Error('the device key should have opened it');
    },
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
}

function writeAll(dir: string, files: ReadonlyMap<string, string>): void {
  for (const [file, text] of files) {
    const path = join(dir, 'state', file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}

async function readTree({ repository }: OpenAgent, id: CommitId): Promise<Map<string, TreeFile>> {
  const view = await readCommitView(repository, id);
  const tree = new Map<string, TreeFile>();
  for await (const { path, blob, mode } of listFiles(repository, view.commit.tree, '')) tree.set(path, { blob, mode });
  return tree;
}

/** Commits changed files on top of the head, as `commitAgent` would have captured them. */
async function commitChanges(
  { repository, agent }: OpenAgent,
  tree: Map<string, TreeFile>,
  files: ReadonlyMap<string, string>,
  timeMs: number,
): Promise<void> {
  const head = repository.refs.get(branchRef(agent));
  const before = head === undefined ? undefined : (await readCommitView(repository, head)).commit.tree;
  await repository.transact({ packs: false }, async (transaction) => {
    for (const [file, text] of files) {
      const path = `state/${file}`;
      const blob = await transaction.writeBlob(Buffer.from(text), tree.get(path)?.blob);
      tree.set(path, { mode: TREE_MODES.file, blob });
    }
    const trees: { id: CommitId; content: Buffer }[] = [];
    const root = await writeTrees(tree, async (content) => {
      trees.push({ id: gitIdOf('tree', content), content });
      return transaction.writeGit('tree', content);
    });
    const paths = await notePaths(repository, before, { root, trees });
    const counts = { added: 0, modified: files.size, removed: 0, kept: tree.size - files.size };
    const text = { kind: 'incremental', trigger: 'schedule', timeMs, counts, components: [] } as const;
    const parents = head === undefined ? [] : [head];
    const id = await writeCommit(transaction, {
      tree: root,
      parents,
      signature: { name: agent.label, email: 'agent@molt', timestampS: Math.floor(timeMs / 1000) },
      message: encodeCommitText({ ...text, message: `${files.size} changed` }),
    });
    const move = { name: branchRef(agent), from: head, to: id };
    await transaction.publish([move], [{ id, timeMs, kind: 'incremental', parents, paths }]);
  });
}
