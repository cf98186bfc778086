// Takes a bundle in: a new agent, or what is new for one that is here. Everything in it is checked before anything lands.

import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { GitId } from '../model/ids.ts';
import type { RefMove } from '../format/segment.ts';
import { checkArrival } from '../repo/closure.ts';
import { readCommit } from '../repo/git.ts';
import { gitKey } from '../repo/keys.ts';
import { claimStorage, newRepository, readFormat, Repository } from '../repo/repository.ts';
import { transfer } from '../repo/transfer.ts';
import { BundleReader } from '../storage/bundle.ts';
import { newMark } from '../storage/owner.ts';
import { encodeRecoveryKey } from '../crypto/recovery-key.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { adopt, blankAgent, checkIsFree, checkIsNew, chooseBranch, describeAgent, findAgentOf } from './adopt.ts';
import { forkInto } from './fork.ts';
import { nameSecrets, writeKeyring } from './init.ts';
import { refName } from './ref-name.ts';
import { beginRepository } from './unfinished.ts';
import { isAncestor } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import type { LeftRef, MovedRef } from './exchange.ts';
import type { Agent, Home } from './home.ts';
import { planHolds } from './hold.ts';
import { planIncarnations } from './incarnation.ts';
import { openKeys, openKeysElsewhere } from './open-keys.ts';
import { openAgent } from './open.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { takeKeyrings } from './sync-keys.ts';

/** What to import. */
export interface ImportOptions {
  /** The bundle's path, or where its bytes come from. */
  readonly from: string | AsyncIterable<Uint8Array>;
  /** What to call the bundle in errors. */
  readonly name: string;
  /** What to call the agent here, if it is a new one. */
  readonly label?: string | undefined;
  readonly stateDir?: string | undefined;
  /** Make a repository of its own, with new keys, that has nothing to do with the old one any more. */
  readonly fork?: ForkOptions | undefined;
}

/** The keys of a fork. */
export interface ForkOptions {
  /** Returns the passphrase of the new repository, or undefined to have none. */
  readonly passphrase: () => Promise<string | undefined>;
  /** Takes the printed recovery key before anything depends on it. */
  readonly keepRecoveryKey: (text: string) => Promise<void>;
}

/** What came of it: CLI.md's JSON for `import`. */
export interface ImportResult {
  readonly agent: string;
  /** The agent is new here. */
  readonly isNew: boolean;
  readonly stateDir: string;
  readonly sizeBytes: number;
  /** Commits that are new here. */
  readonly commits: number;
  readonly refs: readonly MovedRef[];
  readonly left: readonly LeftRef[];
}

/**
 * Imports a bundle.
 * @throws {MoltError} USAGE when it is none, TRUNCATED, DAMAGED or HOSTILE, NOT_FOUND when it follows commits that are not here,
 *   WRONG_PASSPHRASE; then nothing was taken from it
 */
export async function importBundle(context: OpsContext, options: ImportOptions): Promise<ImportResult> {
  return recordRun(
    context,
    { verb: 'import', label: options.label ?? '' },
    (quiet, note) => importNoted(quiet, options, note),
    ({ sizeBytes, commits, refs }) => ({
      bytes: { received: sizeBytes },
      result: commits === 0 && refs.length === 0 ? 'unchanged' : 'ok',
    }),
  );
}

async function importNoted(context: OpsContext, options: ImportOptions, note: RunNote): Promise<ImportResult> {
  const { from, name } = options;
  if (typeof from === 'string') return importFile(context, from, options, note);
  const path = await spool(context.home, from);
  try {
    return await importFile(context, path, { ...options, name }, note);
  } finally {
    await rm(path, { force: true });
  }
}

/** Writes a stream into a file of its own, so that it can be checked before it is read. */
async function spool(home: Home, bytes: AsyncIterable<Uint8Array>): Promise<string> {
  await mkdir(home.tempDir, { recursive: true, mode: 0o700 });
  const path = join(home.tempDir, `${newMark()}.bundle`);
  try {
    await pipeline(bytes, createWriteStream(path, { flags: 'wx', mode: 0o600 }));
    return path;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

async function importFile(
  context: OpsContext,
  path: string,
  options: ImportOptions,
  note: RunNote,
): Promise<ImportResult> {
  const bundle = BundleReader.open(path, options.name);
  try {
    const { repositoryId } = await readFormat(bundle);
    if (options.fork !== undefined) return await importFork(context, bundle, options, options.fork, note);
    const known = await findAgentOf(context, repositoryId);
    note.meant(known ?? { label: options.label ?? repositoryId.slice(0, 12), repository: repositoryId });
    if (known !== undefined) return await importInto(context, bundle, known, note);
    await checkIsNew(context, repositoryId, options.name);
    const { agent, done, commits } = await adopt(context, bundle, {
      ...options,
      repositoryId,
      phase: 'import',
      check: (there) => checkArrival(there, undefined),
      async arrived(_, here) {
        note.opened({ agent: { label: options.label ?? '', repository: repositoryId }, repository: here });
      },
    });
    note.meant(agent);
    return {
      agent: agent.label,
      isNew: true,
      stateDir: agent.stateDir,
      sizeBytes: bundle.sizeBytes,
      commits,
      refs: done.moves.map(({ name, from, to }) => ({ name, from, to })),
      left: [],
    };
  } finally {
    await bundle.close();
  }
}

/** Makes a repository of its own of a whole bundle. */
async function importFork(
  context: OpsContext,
  bundle: BundleReader,
  options: ImportOptions,
  fork: ForkOptions,
  note: RunNote,
): Promise<ImportResult> {
  const { home, random } = context;
  const { repositoryId: oldId } = await readFormat(bundle);
  const old = await openKeys(context, bundle, blankAgent(context, options.label ?? 'agent', oldId));
  const there = await Repository.open(bundle, { roots: old.roots, generation: old.keyring.generation }, context);
  await checkArrival(there, undefined);
  const branch = chooseBranch(there, undefined);
  const { roots, ...ids } = newRepository(random);
  const commit = there.refs.get(refName('branch', branch));
  const blank = blankAgent(context, 'agent', ids.repositoryId);
  const agent = await describeAgent(context, there, blank, { ...options, branch, commit: commit ?? ('' as GitId) });
  await checkIsFree(context, agent.label);
  const passphrase = await fork.passphrase();
  const recovery = random.bytes(32);
  await fork.keepRecoveryKey(encodeRecoveryKey(recovery));
  const secrets = await nameSecrets(context, { passphrase, recovery });
  const dir = home.repositoryDir(ids.repositoryId);
  const unfinished = await beginRepository(home.dir, ids.repositoryId);
  try {
    const storage = await DirectoryStorage.open(dir, { create: true });
    try {
      await claimStorage(storage, ids);
      await writeKeyring(context, storage, agent, { roots, secrets });
      const here = await Repository.open(storage, { roots, generation: 1 }, context);
      await forkInto(context, there, here);
      note.opened({ agent, repository: here });
      await home.addAgent(agent);
      await unfinished.end();
      const commits = (await here.index.readCommits()).count;
      const refs = [...here.refs].map(([name, to]) => ({ name, from: undefined, to }));
      const { sizeBytes } = bundle;
      return { agent: agent.label, isNew: true, stateDir: agent.stateDir, sizeBytes, commits, refs, left: [] };
    } finally {
      await storage.close();
    }
  } catch (error) {
    if ((await home.findAgent(agent.label))?.repository !== ids.repositoryId)
      await rm(dir, { recursive: true, force: true });
    await unfinished.end();
    throw error;
  }
}

/** Takes what is new into a repository that is here; branches only go forward. */
async function importInto(
  context: OpsContext,
  bundle: BundleReader,
  agent: Agent,
  note: RunNote,
): Promise<ImportResult> {
  await using open = await openAgent(context, agent.label);
  note.opened(open);
  const { repository } = open;
  const { keyring, roots } = await openKeysElsewhere(context, bundle, agent, repository.keys.roots);
  const there = await Repository.open(bundle, { roots, generation: keyring.generation }, context);
  await checkArrival(there, repository);
  const sides = { agent, here: repository.storage, there: bundle, name: bundle.label, roots, base: undefined };
  await takeKeyrings(context, sides, { isOld: true });
  const before = (await repository.index.readCommits()).count;
  let left: readonly LeftRef[] = [];
  const done = await transfer(there, repository, {
    isKnown: () => false,
    async moves() {
      const planned = await planImport(repository, there);
      left = planned.left;
      return planned.moves;
    },
    signal: context.signal,
  });
  return {
    agent: agent.label,
    isNew: false,
    stateDir: agent.stateDir,
    sizeBytes: bundle.sizeBytes,
    commits: (await repository.index.readCommits()).count - before,
    refs: done.moves.map(({ name, from, to }) => ({ name, from, to })),
    left,
  };
}

/** Ancestry is asked of the bundle: its commits are not here while refs are planned, or are just about to be. */
async function planImport(
  here: Repository,
  there: Repository,
): Promise<{ readonly moves: readonly RefMove[]; readonly left: readonly LeftRef[] }> {
  const moves = [...(await planIncarnations(there, here)), ...(await planHolds(there, here))];
  const left: LeftRef[] = [];
  for (const [name, to] of there.refs) {
    const from = here.refs.get(name);
    if (from === to || name.startsWith('refs/molt/')) continue;
    // oxlint-disable-next-line no-await-in-loop -- few refs differ
    const relation = from === undefined ? 'new' : await relate(here, there, from, to);
    if (relation === 'new' || (relation === 'forward' && name.startsWith('refs/heads/')))
      moves.push({ name, from, to, commit: there.tagged.get(name) });
    else left.push({ name, why: relation === 'behind' ? 'it is further here' : 'it went another way here' });
  }
  return { moves, left };
}

async function relate(
  here: Repository,
  there: Repository,
  from: GitId,
  to: GitId,
): Promise<'forward' | 'behind' | 'apart'> {
  if (await isAncestor(here, to, from)) return 'behind';
  return (await isFollowedBy(here, there, from, to)) ? 'forward' : 'apart';
}

/** Says whether a commit that is here leads to one of the bundle. */
async function isFollowedBy(here: Repository, there: Repository, from: GitId, to: GitId): Promise<boolean> {
  const seen = new Set<GitId>();
  const waiting: GitId[] = [to];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === from) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    // oxlint-disable-next-line no-await-in-loop -- each commit names the ones before it
    if ((await there.index.find(gitKey(id))) !== undefined) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      waiting.push(...(await readCommit(there, id)).parents);
      // oxlint-disable-next-line no-await-in-loop -- the same
    } else if (await isAncestor(here, from, id)) return true;
  }
  return false;
}
