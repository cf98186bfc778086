// FORMAT.md is enough to read a repository: what the ops layer commits, a reader written from that page alone gives back.

import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { addKey } from '../../src/ops/key.ts';
import { openAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import { type Caches, type ExtractedEntry, SecondReader } from './second-reader.ts';

const LARGE_BYTES = 3_000_000;
const SQLITE_HEADER_BYTES = 100;

/** An agent with some files and its first full backup. */
async function makeAgent(t: ExecutionContext) {
  const dir = mkdtempSync(join(tmpdir(), 'molt-second-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const stateDir = join(dir, 'state');
  makeState(stateDir);
  const context = makeContext(join(dir, 'home'));
  const { agent, commit } = await initAgent(context, {
    label: 'it',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => undefined,
    keepRecoveryKey: async () => {},
  });
  return { dir, stateDir, context, agent, commit };
}

test('a reader written from FORMAT.md alone gives back every file of every commit', async (t) => {
  const { dir, stateDir, context, agent, commit } = await makeAgent(t);
  const expected = [listFolder(stateDir)];
  const commits = [commit.id];
  // A new generation of the keyring in the middle, and changes that become deltas, new files and packs of their own.
  await addKey(context, 'it', { type: 'recovery', keep: async () => {} });
  for (const kind of ['incremental', 'incremental', 'full'] as const) {
    changeState(stateDir, commits.length);
    expected.push(listFolder(stateDir));
    await using opened = await openAgent(context, 'it');
    const made = await commitAgent(context, opened.agent, opened.repository, {
      kind,
      trigger: 'cli',
      full: kind === 'full',
    });
    t.deepEqual(made.skipped, []);
    commits.push(made.id);
  }

  const repositoryDir = context.home.repositoryDir(agent.repository);
  const reader = new SecondReader(repositoryDir, readFileSync(join(dir, 'home', 'device.key'), 'utf8'));
  t.is(reader.refs.get('refs/heads/main'), commits.at(-1));
  t.is([...reader.refs.keys()].filter((name) => /^refs\/tags\/full\/\d{8}T\d{6}Z$/.test(name)).length >= 1, true);
  for (const [index, id] of commits.entries()) {
    const entries = reader.extract(id);
    const state = new Map([...entries].filter(([path]) => path.startsWith('state/')));
    t.deepEqual([...state.keys()].toSorted(), [...(expected[index]?.keys() ?? [])].toSorted(), `commit ${index}`);
    for (const [path, entry] of expected[index] ?? []) checkEntry(t, path, state.get(path), entry);
  }
  t.true(
    reader.keys.some((key) => reader.placesOf(key).some(({ base }) => base !== undefined)),
    'there are deltas',
  );

  const caches = reader.readCaches();
  t.is(caches.seq, commits.length);
  t.deepEqual([...caches.keys].toSorted(), reader.keys.toSorted());
  t.deepEqual([...caches.commits.keys()].toSorted(), commits.toSorted());
  for (const [index, id] of commits.entries()) {
    const { seq, parent, hasPaths } = caches.commits.get(id) ?? {};
    t.deepEqual({ seq, parent, hasPaths }, { seq: index + 1, parent: index, hasPaths: true });
    const [, tree] = /^tree ([0-9a-f]{40})\n/.exec(reader.readGit(id, 'commit').toString()) ?? [];
    t.truthy(tree);
  }
  for (const [tag, commit] of Object.entries(caches.tagged)) {
    t.true(
      reader
        .readGit(caches.refs[tag] ?? '', 'tag')
        .toString()
        .startsWith(`object ${commit}\ntype commit\n`),
      tag,
    );
  }
  t.is(
    Object.keys(caches.tagged).length,
    Object.keys(caches.refs).filter((name) => name.startsWith('refs/tags/')).length,
  );
  checkPaths(t, reader, caches, commits);
  t.like(caches.refs, caches.seq === commits.length ? Object.fromEntries(reader.refs) : {});
});

test('it also reads what was pruned: before and after the log’s beginning was deleted', async (t) => {
  const { dir, stateDir, context, agent, commit } = await makeAgent(t);
  const saved = [{ id: commit.id, files: listFolder(stateDir) }];
  const save = async (full: boolean): Promise<void> => {
    changeState(stateDir, saved.length % 6);
    const files = listFolder(stateDir);
    const kind = full ? 'full' : 'incremental';
    const { id } = await backUp(context, 'it', { kind, full, trigger: 'cli' });
    saved.push({ id, files });
  };
  for (const full of [false, false, true, false, false, false, false]) await save(full);
  const repositoryDir = context.home.repositoryDir(agent.repository);
  const key = readFileSync(join(dir, 'home', 'device.key'), 'utf8');
  let kept = 0;
  const look = (): SecondReader => {
    const reader = new SecondReader(repositoryDir, key);
    t.is(reader.refs.get('refs/heads/main'), saved.at(-1)?.id);
    kept = 0;
    for (const { id, files } of saved) {
      t.regex(reader.readGit(id, 'commit').toString(), /^tree [0-9a-f]{40}\n/);
      if (reader.expired.has(id)) continue;
      kept += 1;
      const state = new Map([...reader.extract(id)].filter(([path]) => path.startsWith('state/')));
      t.deepEqual([...state.keys()].toSorted(), [...files.keys()].toSorted());
      for (const [path, entry] of files) checkEntry(t, path, state.get(path), entry);
    }
    const caches = reader.readCaches();
    const known = new Set(reader.keys);
    for (const one of caches.keys) t.true(known.has(one));
    for (const id of caches.commits.keys()) t.true(saved.some((one) => one.id === id));
    // As of the checkpoint nothing may be left out; what came since is in the log's tail.
    const isOlder = (name: string): boolean => Number(name.slice('log/'.length)) <= caches.seq;
    const inSegments = reader.keys.filter((one) => reader.placesOf(one).some(({ container }) => isOlder(container)));
    for (const one of inSegments) t.true(caches.keys.has(one));
    for (const id of reader.expired.keys()) t.true(caches.commits.has(id));
    for (const [id, { isExpired, timeMs, seq, hasPaths }] of caches.commits) {
      t.is(isExpired, reader.expired.has(id));
      t.is(hasPaths, seq > reader.begin);
      if (isExpired) t.is(reader.expired.get(id)?.timeMs, timeMs);
    }
    return reader;
  };
  t.is(look().expired.size, 0);
  t.is(kept, saved.length);
  const rules = { keep: { keepLast: 4 }, isDryRun: false, isLocal: true };
  await prune(context, 'it', rules);
  const swept = look();
  t.true(swept.begin > 0 && swept.segmentHashes.has(1), 'nothing of the log is old enough to be deleted');
  t.is(kept + swept.expired.size, saved.length);
  t.true(swept.expired.size >= 3);
  const old = Date.now() / 1000 - 30 * 86_400;
  for (const name of readdirSync(join(repositoryDir, 'log'))) utimesSync(join(repositoryDir, 'log', name), old, old);
  await prune(context, 'it', rules);
  t.false(look().segmentHashes.has(1));
  // And what comes after it, a second prune among it.
  for (const full of [false, true, false, false]) await save(full);
  await prune(context, 'it', rules);
  await save(false);
  const last = new SecondReader(repositoryDir, key);
  t.true(last.begin > swept.begin && last.expired.size > swept.expired.size);
  t.deepEqual([...last.extract(saved.at(-1)?.id ?? '').keys()].filter((path) => path === 'state/large.bin').length, 1);
});

/** Every path that differs from the commit before leads to its segment. */
function checkPaths(t: ExecutionContext, reader: SecondReader, caches: Caches, commits: readonly string[]): void {
  let count = 0;
  for (const [index, id] of commits.entries()) {
    const [before, after] = [reader.listFiles(commits[index - 1]), reader.listFiles(id)];
    for (const path of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(path) === after.get(path) || !path.includes('/')) continue;
      const parts = path.split('/');
      for (let depth = 2; depth <= parts.length; depth += 1) {
        const hash = createHash('sha256').update(parts.slice(0, depth).join('/')).digest().readUInt32BE(0);
        t.true(caches.paths.get(hash)?.includes(index + 1), `${path} in commit ${index}`);
        count += 1;
      }
    }
  }
  t.true(count > 20);
}

function makeContext(home: string): OpsContext {
  return {
    home: new Home(home),
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: '/',
    userHome: '/nowhere',
    unlock: async () => {
      throw new Error('the device key should have opened it');
    },
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
}

function makeState(dir: string): void {
  mkdirSync(join(dir, '.git', 'empty'), { recursive: true });
  mkdirSync(join(dir, 'run'), { mode: 0o750 });
  writeFileSync(join(dir, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(dir, 'empty'), '');
  writeFileSync(join(dir, 'large.bin'), randomBytes(LARGE_BYTES));
  writeFileSync(join(dir, 'text.jsonl'), lines(0, 20_000));
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from('6261642dff2541', 'hex')]), 'not UTF-8');
  writeFileSync(join(dir, 'emoji 🦞 %2E back\\slash'), 'escaped in part');
  writeFileSync(join(dir, 'run', 'tool.sh'), '#!/bin/sh\n');
  chmodSync(join(dir, 'run', 'tool.sh'), 0o755);
  symlinkSync('../large.bin', join(dir, 'run', 'link'));
  linkSync(join(dir, 'text.jsonl'), join(dir, 'same.jsonl'));
  const database = new DatabaseSync(join(dir, 'memory.sqlite'));
  database.exec('CREATE TABLE words (word TEXT)');
  const insert = database.prepare('INSERT INTO words VALUES (?)');
  for (let row = 0; row < 5000; row += 1) insert.run(`word ${row} ${'x'.repeat(row % 50)}`);
  database.close();
}

function changeState(dir: string, round: number): void {
  const large = readFileSync(join(dir, 'large.bin'));
  large.write(`round ${round}`, round * 400_000);
  writeFileSync(join(dir, 'large.bin'), large);
  writeFileSync(join(dir, 'text.jsonl'), lines(20_000 + round * 100, 100), { flag: 'a' });
  writeFileSync(join(dir, `new-${round}.txt`), `written in round ${round}\n`.repeat(100));
  rmSync(join(dir, `new-${round - 1}.txt`), { force: true });
}

function lines(from: number, count: number): string {
  return Array.from(
    { length: count },
    (_, index) => `${JSON.stringify({ seq: from + index, text: 'y'.repeat(index % 40) })}\n`,
  ).join('');
}

interface Expected {
  readonly type: ExtractedEntry['type'];
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly content: Buffer | undefined;
}

/** Lists what is below a folder, by path with bytes as latin1, as the second reader does. */
function listFolder(dir: string, prefix = 'state'): Map<string, Expected> {
  const found = new Map<string, Expected>();
  for (const name of readdirSync(Buffer.from(dir, 'latin1'), { encoding: 'buffer' })) {
    const path = `${dir}/${name.toString('latin1')}`;
    const real = Buffer.from(path, 'latin1');
    const stat = lstatSync(real, { bigint: true });
    const key = `${prefix}/${name.toString('latin1')}`;
    const common = { mode: Number(stat.mode & 0o7777n), mtimeNs: stat.mtimeNs };
    if (stat.isDirectory()) {
      found.set(key, { ...common, type: 'directory', content: undefined });
      for (const [below, entry] of listFolder(path, key)) found.set(below, entry);
    } else if (stat.isSymbolicLink()) {
      found.set(key, { ...common, type: 'symlink', content: readlinkSync(real, { encoding: 'buffer' }) });
    } else {
      found.set(key, { ...common, type: 'file', content: readFileSync(real) });
    }
  }
  return found;
}

function checkEntry(
  t: { is(a: unknown, b: unknown, message: string): unknown; true(a: boolean, message: string): unknown },
  path: string,
  entry: ExtractedEntry | undefined,
  expected: Expected,
): void {
  t.is(entry?.type, expected.type, path);
  t.is(entry?.mode, expected.mode, path);
  t.is(entry?.mtimeNs, expected.mtimeNs, path);
  t.is(entry?.component, 'custom', path);
  // A copy by SQLite's backup differs from the original in the counters of its header.
  const from = path.endsWith('.sqlite') ? SQLITE_HEADER_BYTES : 0;
  const same =
    entry?.content === undefined
      ? expected.content === undefined
      : expected.content?.subarray(from).equals(entry.content.subarray(from));
  t.true(same === true && entry?.content?.length === expected.content?.length, `${path} has its content`);
  if (path.endsWith('e.jsonl') || path.endsWith('text.jsonl'))
    t.true((entry?.linkGroup ?? 0) > 0, `${path} is a hard link`);
}
