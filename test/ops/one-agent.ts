// One small agent with its repository, for tests of what is done with its commits; and commits that no molt would write.

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { CommitId, GitId } from '../../src/model/ids.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { writeCommit } from '../../src/repo/git.ts';

/** An agent and where it lives. */
export interface OneAgent {
  readonly dir: string;
  readonly stateDir: string;
  readonly context: OpsContext;
  readonly open: OpenAgent;
  commit(): Promise<CommitId>;
}

/** Makes an agent whose state has every kind of entry and of name that Git has trouble with. */
export async function makeOneAgent(
  t: ExecutionContext,
  options: { readonly signal?: AbortSignal } = {},
): Promise<OneAgent> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-one-')));
  const stateDir = join(dir, 'state');
  fillState(stateDir);
  const context: OpsContext = {
    home: new Home(join(dir, 'home')),
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => {
      throw new Error('the device key should have opened it');
    },
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
    ...options,
  };
  const { signal: _, ...unstoppable } = context;
  const init = { label: 'it', stateDir, profile: 'generic', include: [], exclude: [] } as const;
  await initAgent(unstoppable, { ...init, passphrase: async () => undefined, keepRecoveryKey: async () => undefined });
  const open = await openAgent(unstoppable, 'it');
  t.teardown(async () => {
    await open[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
  const commit = async (): Promise<CommitId> => {
    const { id } = await commitAgent(unstoppable, open.agent, open.repository, {
      kind: 'incremental',
      trigger: 'test',
    });
    return id;
  };
  return { dir, stateDir, context, open, commit };
}

function fillState(dir: string): void {
  mkdirSync(join(dir, 'a-dir'), { recursive: true });
  mkdirSync(join(dir, 'a'));
  mkdirSync(join(dir, 'workspace/.git'), { recursive: true });
  mkdirSync(join(dir, 'empty'));
  // Git sorts `a.b` before the folder `a`, and an emoji after a full-width letter, where UTF-16 has it before.
  for (const name of ['a.b', 'a0', '\u{1f600}', '\uff21', '.gitmodules', 'new\nline', 'git~1'])
    writeFileSync(join(dir, name), `${name}\n`);
  writeFileSync(Buffer.from(`${dir}/\xff\xfe`, 'latin1'), 'not UTF-8');
  writeFileSync(join(dir, 'workspace/.git/config'), '[core]\n');
  writeFileSync(join(dir, 'a/nothing'), '');
  writeFileSync(join(dir, 'a-dir/run.sh'), '#!/bin/sh\n');
  chmodSync(join(dir, 'a-dir/run.sh'), 0o755);
  symlinkSync('../a.b', join(dir, 'a-dir/link'));
  writeFileSync(
    join(dir, 'large.bin'),
    Buffer.concat(Array.from({ length: 30 }, () => Buffer.alloc(100_000, randomBytes(1000)))),
  );
}

/** A tree as a test writes it down: names to contents, or to trees; a list may name the same thing twice. */
export type CraftedTree = readonly (readonly [name: string, node: CraftedNode])[];
export type CraftedNode = CraftedTree | { readonly mode: string; readonly content: string };

/** Publishes a commit whose root holds this tree and these attributes, as somebody with the keys could. */
export async function publishCrafted(open: OpenAgent, tree: CraftedTree, attributes: string): Promise<CommitId> {
  const { repository, agent } = open;
  return repository.transact({ packs: false }, async (transaction) => {
    const writeNode = async (node: CraftedNode): Promise<{ mode: string; id: GitId }> => {
      if ('content' in node) return { mode: node.mode, id: await transaction.writeBlob(Buffer.from(node.content)) };
      const parts: Buffer[] = [];
      for (const [name, child] of node) {
        const { mode, id } = await writeNode(child);
        parts.push(Buffer.from(`${mode} ${name}\0`), Buffer.from(id, 'hex'));
      }
      return { mode: '40000', id: await transaction.writeGit('tree', Buffer.concat(parts)) };
    };
    const file = (content: string): CraftedNode => ({ mode: '100644', content });
    const root = await writeNode([
      ['agent.json', file('{}')],
      ['attributes', file(`molt attributes 1\n${attributes}`)],
      ['pod.json', file('{}')],
      ...tree,
    ]);
    const from = repository.refs.get(`refs/heads/${agent.branch}`);
    const signature = { name: 'it', email: 'it@molt', timestampS: 1_770_000_000 };
    const id = await writeCommit(transaction, {
      tree: root.id,
      parents: [],
      signature,
      message: 'crafted\n',
    });
    await transaction.publish(
      [{ name: `refs/heads/${agent.branch}`, from, to: id }],
      [{ id, timeMs: 1_770_000_000_000, kind: 'incremental' }],
    );
    return id;
  });
}
