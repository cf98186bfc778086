// Makes a folder whole or not at all: it is written under another name beside its place, made durable, and renamed.

import { mkdir, open, readdir, rename, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { flushTree } from '../agent/rehydrate.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { makeRoot } from '../storage/folders.ts';
import { newMark } from '../storage/owner.ts';
import type { Home } from './home.ts';
import { removeTree } from './remove-tree.ts';
import { beginFolder, type Unfinished } from './unfinished.ts';

const NAME_CHARACTERS = 40;

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
 * Makes a folder, readable for this user alone, by what `write` writes into a temporary one beside it. Whatever fails, nothing is
 * left; what a killed process left is removed by the next one that commits, restores or begins an agent on this machine.
 * @param home where what is unfinished is noted
 * @param path as checkNewFolder returned it
 * @throws {MoltError} EXISTS when something took the name meanwhile, IO, or what `write` throws
 */
export async function makeFolder<T>(home: Home, path: string, write: (temp: string) => Promise<T>): Promise<T> {
  const parent = dirname(path);
  const temp = await makeTemp(home, parent, path);
  try {
    const result = await write(temp.path);
    await flushTree(temp.path);
    await takePlace(temp.path, path);
    await syncFolder(parent);
    return result;
  } catch (error) {
    await removeTree(temp.path);
    throw systemFailure(error, `cannot write "${path}"`, parent);
  } finally {
    await temp.end();
  }
}

async function makeTemp(home: Home, parent: string, path: string): Promise<Unfinished & { readonly path: string }> {
  await home.sweep(Date.now());
  // Short, since names have at most 255 bytes.
  const name = Array.from(basename(path)).slice(0, NAME_CHARACTERS).join('');
  const temp = await beginTemp(home, (suffix) => join(parent, `${name}${suffix}`));
  try {
    makeRoot(parent);
    await mkdir(temp.path, { mode: 0o700 });
    return temp;
  } catch (error) {
    await temp.end();
    throw systemFailure(error, `cannot make a folder in "${parent}"`, parent);
  }
}

/** A home that can't be written to (a read-only disk, a full one) is no reason not to restore: then only nobody sweeps. */
async function beginTemp(
  home: Home,
  nameFor: (suffix: string) => string,
): Promise<Unfinished & { readonly path: string }> {
  try {
    return await beginFolder(home.dir, nameFor);
  } catch (error) {
    if (isMoltError(error) || !(error instanceof Error)) throw error;
    const mark = newMark();
    return { mark, path: nameFor(`.molt-tmp-${mark}`), end: async () => {} };
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

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
