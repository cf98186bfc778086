// A storage in a folder of the local file system or a mounted share. An object is written to a scratch file, synced, and only then
// linked to its name: link(2) fails if the name is taken, so that one of many writers wins, and readers see a whole object or none.

import { closeSync, fstatSync, linkSync, lstatSync, openSync, realpathSync, statSync, unlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { isSystemError, MoltError } from '../model/error.ts';
import { syncFolder, writeDurably } from './durable.ts';
import { Folders, makeRoot, parentOf, scratchOf } from './folders.ts';
import { ioError, type IoContext } from './io-error.ts';
import { LinklessNames } from './linkless.ts';
import { checkName, checkPrefix, SCRATCH_FOLDER } from './name.ts';
import { newMark } from './owner.ts';
import type { ByteRange } from './range.ts';
import { notPlain, ObjectReader } from './reader.ts';
import { sweepScratch } from './scratch.ts';
import type { ObjectStat, Storage } from './storage.ts';
import { walkObjects } from './walk.ts';

/** How a directory storage is opened. */
export interface DirectoryOptions {
  /** Make the folder, readable for this user alone, if it is not there. */
  readonly create?: boolean;
  /** False treats the file system as one without hard links (linkless.ts); otherwise molt finds out at the first write. */
  readonly hardLinks?: boolean;
}

const UNCHANGED = 'nothing was changed';
const UNKNOWN = 'whether it was written is not known';
// After these the name was not given for certain. After others (EIO, ETIMEDOUT) a share may have done what it was asked.
const CLEAN_REFUSALS = ['ENOENT', 'ENOTDIR', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EXDEV', 'ENAMETOOLONG'];

/**
 * Keeps objects as files, `<dir>/<name>`, mode 0600 in folders of mode 0700; `<dir>/tmp` is scratch space. Many processes may use
 * one folder at a time. Symbolic links under the folder are not followed, and whatever else stands under an object's name without
 * being a plain file is reported as HOSTILE; `list` passes over it.
 */
export class DirectoryStorage implements Storage {
  readonly label: string;
  readonly #folders: Folders;
  readonly #linkless: LinklessNames;
  readonly #reader: ObjectReader;

  private constructor(root: string, hardLinks: boolean) {
    this.label = root;
    this.#folders = new Folders(root);
    this.#reader = new ObjectReader(this.#folders);
    this.#linkless = new LinklessNames(scratchOf(root), !hardLinks);
  }

  /**
   * Opens the storage in a folder, and sweeps what dead processes left in its scratch space.
   * @throws {MoltError} NOT_FOUND when there is no such folder and `create` is not set, IO when it can't be used
   */
  static async open(dir: string, options: DirectoryOptions = {}): Promise<DirectoryStorage> {
    const path = resolve(dir);
    try {
      if (options.create === true) makeRoot(path);
      const isFolder = statSync(path).isDirectory();
      if (!isFolder) throw new MoltError('IO', `${path} is not a folder`, { hint: 'name a folder' });
      const root = realpathSync(path);
      sweepScratch(scratchOf(root), Date.now());
      return new DirectoryStorage(root, options.hardLinks ?? true);
    } catch (error) {
      if (isSystemError(error, 'ENOENT') && options.create !== true) {
        throw new MoltError('NOT_FOUND', `there is no folder ${path}`, {
          hint: 'check the path, and that its disk is mounted',
          cause: error,
        });
      }
      throw ioError(error, { verb: 'open', place: path });
    }
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    checkName(name);
    try {
      return await this.#create(name, parts);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw ioError(error, this.#writing(name, UNCHANGED));
    }
    // Somebody removed a folder that this process had seen: once more, from the root down.
    this.#folders.forget();
    try {
      return await this.#create(name, parts);
    } catch (error) {
      throw ioError(error, this.#writing(name, UNCHANGED));
    }
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    checkName(name);
    try {
      return await this.#reader.read(name, range);
    } catch (error) {
      throw ioError(error, { verb: 'read', object: name, place: this.label });
    }
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    checkName(name);
    try {
      if (!this.#folders.has(parentOf(name))) return undefined;
      const stat = lstatSync(this.#folders.path(name), { throwIfNoEntry: false });
      if (stat === undefined || stat.isDirectory()) return undefined;
      if (!stat.isFile()) throw notPlain(this.label, name);
      return { name, sizeBytes: stat.size, modifiedMs: Math.trunc(stat.mtimeMs) };
    } catch (error) {
      throw ioError(error, { verb: 'look up', object: name, place: this.label });
    }
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix);
    try {
      yield* walkObjects(this.label, prefix, startAfter);
    } catch (error) {
      throw ioError(error, { verb: 'list', ...(prefix === '' ? {} : { object: prefix }), place: this.label });
    }
  }

  async delete(name: string): Promise<void> {
    checkName(name);
    const path = this.#folders.path(name);
    try {
      this.#reader.forget(name);
      if (!this.#folders.has(parentOf(name))) return;
      // Systems differ in how they refuse to unlink a folder, which is no object.
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined || stat.isDirectory()) return;
      unlinkSync(path);
      syncFolder(this.#folders.path(parentOf(name)));
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return;
      throw ioError(error, { verb: 'delete', object: name, place: this.label });
    }
  }

  /**
   * Returns the time by the clock of whatever keeps the folder, which on a share is another machine's.
   * @throws {MoltError} IO when nothing can be written there
   */
  nowMs(): number {
    const scratch = `${scratchOf(this.label)}/${newMark()}.tmp`;
    try {
      this.#folders.make(SCRATCH_FOLDER);
      const descriptor = openSync(scratch, 'wx', 0o600);
      try {
        return Math.trunc(fstatSync(descriptor).mtimeMs);
      } finally {
        closeSync(descriptor);
        removeScratch(scratch);
      }
    } catch (error) {
      throw ioError(error, { verb: 'write', place: this.label, outcome: UNCHANGED });
    }
  }

  async close(): Promise<void> {
    this.#reader.close();
  }

  async #create(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const path = this.#folders.path(name);
    this.#folders.make(SCRATCH_FOLDER);
    this.#folders.make(parentOf(name));
    if (this.#isTaken(name)) return false;
    const scratch = `${scratchOf(this.label)}/${newMark()}.tmp`;
    const descriptor = openSync(scratch, 'wx', 0o600);
    try {
      try {
        await writeDurably(descriptor, parts);
      } finally {
        closeSync(descriptor);
      }
      const won = await this.#giveName(scratch, path, name).catch((error: unknown) => {
        throw isSystemError(error, ...CLEAN_REFUSALS) ? error : ioError(error, this.#writing(name, UNKNOWN));
      });
      if (won) this.#syncName(name);
      else this.#isTaken(name);
      return won;
    } finally {
      removeScratch(scratch);
    }
  }

  /** Gives a written file its name unless that is taken; says whether it did. */
  async #giveName(scratch: string, path: string, name: string): Promise<boolean> {
    if (!this.#linkless.areUsed()) {
      try {
        linkSync(scratch, path);
        return true;
      } catch (error) {
        // A network share may have done what it was asked, lost its answer, and refuse the repetition.
        if (isSystemError(error, 'EEXIST')) return isSameFile(scratch, path);
        if (!isSystemError(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS')) throw error;
      }
    }
    return this.#linkless.rename(scratch, path, name);
  }

  /** Says whether a name is taken, and makes the name durable if it is: its writer may not have come to that yet. */
  #isTaken(name: string): boolean {
    const stat = lstatSync(this.#folders.path(name), { throwIfNoEntry: false });
    if (stat === undefined) return false;
    if (!stat.isFile()) throw notPlain(this.label, name);
    this.#syncName(name);
    return true;
  }

  #syncName(name: string): void {
    try {
      syncFolder(this.#folders.path(parentOf(name)));
    } catch (error) {
      throw ioError(error, this.#writing(name, 'it is there, but may not survive a power loss'));
    }
  }

  #writing(name: string, outcome: string): IoContext {
    return { verb: 'write', object: name, place: this.label, outcome };
  }
}

function isSameFile(a: string, b: string): boolean {
  const first = lstatSync(a, { bigint: true });
  const second = lstatSync(b, { bigint: true, throwIfNoEntry: false });
  return second !== undefined && first.ino === second.ino && first.dev === second.dev;
}

// A scratch file that can't be removed is swept at a later start; the object is what it should be.
function removeScratch(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    return;
  }
}
