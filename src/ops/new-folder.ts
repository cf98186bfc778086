// Makes a folder whole or not at all: it is written under another name beside its place, made durable, and renamed.

import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { flushTree } from '../agent/rehydrate.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';

/**
 * Returns a folder's absolute path if nothing is in its way: it does not exist, or is an empty folder.
 * @throws {MoltError} EXISTS or IO
 */
export async function checkNewFolder(cwd: string, dir: string): Promise<string> {
  const path = resolve(cwd, dir);
  try {
    const names = await readdir(path);
    if (names.length === 0) return path;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return path;
    if (!isSystemError(error, 'ENOTDIR')) throw systemFailure(error, `cannot look into "${path}"`, path);
  }
  throw new MoltError('EXISTS', `"${path}" is there already, and is not an empty folder`, {
    hint: 'name a folder that does not exist yet',
  });
}

/**
 * Makes a folder, readable for this user alone, by what `write` writes into a temporary one beside it. Whatever fails, and however
 * it is interrupted short of being killed, nothing is left.
 * @param path as checkNewFolder returned it
 * @throws {MoltError} EXISTS when something took the name meanwhile, IO, or what `write` throws
 */
export async function makeFolder<T>(path: string, write: (temp: string) => Promise<T>): Promise<T> {
  const parent = dirname(path);
  const temp = await makeTemp(parent, path);
  try {
    const result = await write(temp);
    await flushTree(temp);
    await takePlace(temp, path);
    await syncFolder(parent);
    return result;
  } catch (error) {
    await removeTree(temp);
    throw systemFailure(error, `cannot write "${path}"`, parent);
  }
}

async function makeTemp(parent: string, path: string): Promise<string> {
  try {
    await mkdir(parent, { recursive: true });
    return await mkdtemp(join(parent, `${basename(path)}.molt-tmp-`));
  } catch (error) {
    throw systemFailure(error, `cannot make a folder in "${parent}"`, parent);
  }
}

async function takePlace(temp: string, path: string): Promise<void> {
  try {
    // An empty folder may be in the place: it goes first, since not every system renames over one.
    await rmdir(path).catch((error: unknown) => {
      if (!isSystemError(error, 'ENOENT')) throw error;
    });
    await rename(temp, path);
  } catch (error) {
    if (isSystemError(error, 'EEXIST', 'ENOTEMPTY', 'ENOTDIR')) {
      throw new MoltError('EXISTS', `"${path}" was made by somebody else meanwhile`, { cause: error });
    }
    throw systemFailure(error, `cannot make "${path}"`, dirname(path));
  }
}

/** Removes a tree, also where its folders' modes forbid it. */
async function removeTree(dir: string): Promise<void> {
  try {
    await rm(dir, { recursive: true, force: true });
  } catch (error) {
    if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw error;
    await allowRemoval(Buffer.from(dir));
    await rm(dir, { recursive: true, force: true });
  }
}

async function allowRemoval(dir: Buffer): Promise<void> {
  await chmod(dir, 0o700);
  for (const entry of await readdir(dir, { withFileTypes: true, encoding: 'buffer' })) {
    // oxlint-disable-next-line no-await-in-loop -- one folder after the other
    if (entry.isDirectory()) await allowRemoval(Buffer.concat([dir, Buffer.from('/'), entry.name]));
  }
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
