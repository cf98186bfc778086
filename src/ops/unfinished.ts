// What this machine has begun to make and might be killed in the middle of: a repository that has no label yet, the temporary
// folder of a restore. Each has a record in MOLT_HOME before it is made and until it is whole or gone, named after the process that
// makes it, so that a later process can tell what is nobody's any more and remove it.
//
//     unfinished/<mark>.repository     the id of a repository
//     unfinished/<mark>.folder         the absolute path of a folder, whose name ends with the mark

import { lstat, open, readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { HEX_16 } from '../format/fields.ts';
import { isSystemError } from '../model/error.ts';
import { syncFolder } from '../storage/durable.ts';
import { makeRoot } from '../storage/folders.ts';
import { newMark, ownerState } from '../storage/owner.ts';
import { sweepScratch } from '../storage/scratch.ts';
import { removeTree } from './remove-tree.ts';

/** Something that is being made. */
export interface Unfinished {
  /** Names the process, and this making of it alone. */
  readonly mark: string;
  /** Says that it is whole or gone. */
  end(): Promise<void>;
}

type Kind = 'repository' | 'folder';

/** A process of another machine or boot can't be asked whether it lives; what it has not finished for a day it never will. */
const UNKNOWN_AFTER_MS = 24 * 3_600_000;
const RECORD = /^([0-9a-f]{12}-[0-9]{1,10}-[0-9a-f]{16})\.(repository|folder)$/;
const FOLDER_MARK = '.molt-tmp-';

/**
 * Records durably that a repository is about to be made.
 * @param homeDir MOLT_HOME
 */
export async function beginRepository(homeDir: string, id: string): Promise<Unfinished> {
  const mark = newMark();
  return record(homeDir, `${mark}.repository`, id, mark);
}

/**
 * Records durably that a folder is about to be made under a temporary name.
 * @param nameFor returns its absolute path, given what its name must end with
 */
export async function beginFolder(
  homeDir: string,
  nameFor: (suffix: string) => string,
): Promise<Unfinished & { readonly path: string }> {
  const mark = newMark();
  const path = nameFor(`${FOLDER_MARK}${mark}`);
  return { path, ...(await record(homeDir, `${mark}.folder`, path, mark)) };
}

/** Forgets that a repository may be unfinished: it has had its label. */
export async function keepRepository(homeDir: string, id: string): Promise<void> {
  for (const { path, kind } of await listRecords(homeDir)) {
    // oxlint-disable-next-line no-await-in-loop -- there is hardly ever one
    if (kind === 'repository' && (await readRecord(path)) === id) await rm(path, { force: true });
  }
}

/**
 * Removes what dead processes left unfinished; never anything of a living one. What can't be removed now stays for the next time.
 * @param isKnown says whether a repository has a label
 */
export async function sweepUnfinished(
  homeDir: string,
  nowMs: number,
  isKnown: (repository: string) => Promise<boolean>,
): Promise<void> {
  sweepScratch(join(homeDir, 'tmp'), nowMs);
  for (const { path, kind, mark } of await listRecords(homeDir).catch(() => [])) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- there is hardly ever one
      if (!(await isAbandoned(path, mark, nowMs))) continue;
      // oxlint-disable-next-line no-await-in-loop -- the same
      const subject = await readRecord(path);
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (kind === 'repository' && HEX_16.test(subject) && !(await isKnown(subject)))
        // oxlint-disable-next-line no-await-in-loop -- the same
        await removeTree(join(homeDir, 'repositories', subject));
      // A torn record names nothing: what it should have named was not begun.
      if (kind === 'folder' && subject.startsWith('/') && basename(subject).endsWith(`${FOLDER_MARK}${mark}`))
        // oxlint-disable-next-line no-await-in-loop -- the same
        await removeTree(subject);
      // oxlint-disable-next-line no-await-in-loop -- the same
      await rm(path, { force: true });
    } catch {
      continue;
    }
  }
}

async function record(homeDir: string, name: string, text: string, mark: string): Promise<Unfinished> {
  const dir = join(homeDir, 'unfinished');
  const path = join(dir, name);
  makeRoot(dir);
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
  syncFolder(dir);
  return {
    mark,
    // A record that can't be removed does no harm: what it names is gone, or has its label.
    end: () => rm(path, { force: true }).catch(() => undefined),
  };
}

async function listRecords(homeDir: string): Promise<{ path: string; mark: string; kind: Kind }[]> {
  const dir = join(homeDir, 'unfinished');
  const names = await readdir(dir).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  });
  return names.flatMap((name) => {
    const [, mark, kind] = RECORD.exec(name) ?? [];
    return mark === undefined ? [] : [{ path: join(dir, name), mark, kind: kind as Kind }];
  });
}

async function isAbandoned(path: string, mark: string, nowMs: number): Promise<boolean> {
  const state = ownerState(mark);
  if (state === 'dead') return true;
  return state === 'unknown' && nowMs - (await lstat(path)).mtimeMs > UNKNOWN_AFTER_MS;
}

async function readRecord(path: string): Promise<string> {
  return readFile(path, 'utf8');
}
