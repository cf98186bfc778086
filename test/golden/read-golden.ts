// Golden repositories, fixtures/golden/: how one is unpacked, opened with its passphrase, and read whole into a value that can be
// compared with what was recorded when it was made.

import { execFileSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openKeyring, parseKeyring } from '../../src/format/keyring.ts';
import { encodeAttributes, parseAttributes } from '../../src/format/attributes.ts';
import type { CommitId, TreeId } from '../../src/model/ids.ts';
import { readCommit } from '../../src/repo/git.ts';
import { findNewestKeyring, keyringName } from '../../src/repo/keyrings.ts';
import { readFormat, Repository, type OpenedKeys } from '../../src/repo/repository.ts';
import { deriveRepositoryKeys } from '../../src/repo/secrets.ts';
import { parseTree, TREE_MODES } from '../../src/repo/trees.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** Opens every golden repository; also stated in fixtures/golden/README.md. */
export const PASSPHRASE = 'the golden passphrase';
/** Where they are. */
export const GOLDEN_DIR = new URL('../../fixtures/golden/', import.meta.url).pathname;

/** What a golden repository holds. */
export interface Golden {
  readonly fingerprint: string;
  readonly refs: Readonly<Record<string, string>>;
  /** In order of capture. */
  readonly commits: readonly GoldenCommit[];
}

/** A commit of a golden repository. */
export interface GoldenCommit {
  readonly id: string;
  readonly seq: number;
  readonly kind: string;
  readonly timeMs: number;
  readonly parents: readonly string[];
  readonly tree: string;
  readonly message: string;
  /** `<mode> <size in bytes> <SHA-256>` by escaped path. */
  readonly files: Readonly<Record<string, string>>;
}

/** What is done to one object, and the problem that a check must find with it then. */
export interface GoldenDamage {
  readonly what: string;
  readonly object: string;
  readonly code: string;
  /** The byte in which a bit is flipped. */
  readonly flipAt?: number;
  readonly cutTo?: number;
  /** Another object, whose bytes stand there instead. */
  readonly replacedBy?: string;
  readonly isDeleted?: true;
}

/** A problem that a check found. */
export interface FoundProblem {
  readonly object: string;
  readonly code: string;
}

/** Does to a storage what a damage describes. */
export async function applyDamage(storage: Storage, damage: GoldenDamage): Promise<void> {
  const { object, flipAt, cutTo, replacedBy, isDeleted } = damage;
  let bytes = await storage.read(replacedBy ?? object);
  if (bytes === undefined) throw new Error(`${replacedBy ?? object} is not there`);
  if (cutTo !== undefined) bytes = bytes.subarray(0, cutTo);
  if (flipAt !== undefined) bytes[flipAt] = (bytes[flipAt] ?? 0) ^ 0x08;
  await storage.delete(object);
  if (isDeleted !== true) await storage.createOnce(object, [bytes]);
}

/** Says whether a damage is among what was found. */
export function isFound(found: readonly FoundProblem[], { object, code }: GoldenDamage): boolean {
  return found.some((problem) => problem.object === object && problem.code === code);
}

/** Unpacks an archive, hands the storage in it to some work, and removes it. */
export async function withGolden<T>(archive: string, work: (storage: Storage) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'molt-golden-'));
  try {
    execFileSync('tar', ['-xzf', join(GOLDEN_DIR, archive), '-C', dir]);
    const storage = await DirectoryStorage.open(join(dir, 'repository'));
    try {
      return await work(storage);
    } finally {
      await storage.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Opens the keys with the passphrase. */
export async function openGoldenKeys(storage: Storage): Promise<OpenedKeys> {
  const { repositoryId } = await readFormat(storage);
  const generation = (await findNewestKeyring(storage)) ?? 0;
  const bytes = await storage.read(keyringName(generation));
  if (bytes === undefined) throw new Error('a golden repository has a keyring');
  const roots = await openKeyring(parseKeyring(bytes, repositoryId), { type: 'passphrase', passphrase: PASSPHRASE });
  return { roots, generation };
}

/** Opens a golden repository. */
export async function openGolden(storage: Storage): Promise<Repository> {
  const random = { bytes: (length: number) => Buffer.alloc(length, 5) };
  return Repository.open(storage, await openGoldenKeys(storage), { clock: { now: () => 0 }, random });
}

/** Reads everything that a golden repository holds. */
export async function readGolden(repository: Repository): Promise<Golden> {
  const commits: GoldenCommit[] = [];
  for (const { id, seq, kind, timeMs } of await repository.index.listCommits()) {
    const { parents, tree, message } = await readCommit(repository, id);
    commits.push({ id, seq, kind, timeMs, parents, tree, message, files: await readFiles(repository, id, tree) });
  }
  const refs = Object.fromEntries([...repository.refs].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { fingerprint: repository.keys.fingerprint, refs, commits };
}

/** Lists what a whole check finds wrong. */
export async function checkGolden(storage: Storage): Promise<FoundProblem[]> {
  const { roots } = await openGoldenKeys(storage);
  const target = { storage, ...(await readFormat(storage)), keys: deriveRepositoryKeys(roots) };
  const { report } = await checkStorage(target, { readShare: 1, random: () => 0 });
  return report.problems.map(({ object, code }) => ({ object, code }));
}

async function readFiles(repository: Repository, commit: CommitId, root: TreeId): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const visit = async (tree: TreeId, prefix: string): Promise<void> => {
    for (const { mode, name, id } of parseTree(await repository.objects.readGit(tree, 'tree'), tree)) {
      if (mode === TREE_MODES.tree) await visit(id, `${prefix}${name}/`);
      else {
        const bytes = await repository.objects.readBlobWhole(id, 1 << 26);
        files[prefix + name] = `${mode} ${bytes.length} ${hash('sha256', bytes, 'hex')}`;
        const isRead = prefix !== '' || name !== 'attributes' || encodeAttributes(parseAttributes(bytes)).equals(bytes);
        if (!isRead) throw new Error(`the attributes of ${commit} are not read as they were written`);
      }
    }
  };
  await visit(root, '');
  return files;
}
