// Copies of large files, made of the very bytes that a capture hashes: what a restore in place is about to replace, its safety commit
// reads anyway, and mostly little of it differs from what is to come. So the copy, whose content is known for certain, is staged, and
// only what differs is read from the repository and written. A copy is a shortcut: where there is none, the file is staged whole.

import {
  closeSync,
  constants,
  fdatasync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  write,
} from 'node:fs';
import { join } from 'node:path';
import type { KnownCopy } from '../agent/rehydrate.ts';
import { STAGING_FOLDER } from '../agent/switch.ts';
import type { Component } from '../model/component.ts';
import type { BlobWriter, EntryAttributes } from '../model/entry.ts';
import type { BlobId } from '../model/ids.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { TREE_MODES } from '../repo/trees.ts';
import type { CaptureWitness } from './capture-agent.ts';
import { TreeFinder } from './commit-files.ts';
import { keyOf } from './in-place-plan.ts';

/** Below this a file is quicker read from the repository than made of what there is. */
export const ALIKE_BYTES = 256 * 1024;
/** What the safety commit and everything else on the disk is left, beside as much room as the copy takes. */
const SPARED_BYTES = 256 << 20;

/** What decides whether a file is worth a copy. */
export interface CopyRules {
  /** Where the roots are, by their keys. */
  readonly dirs: ReadonlyMap<string, string>;
  /** Finds what is to be restored. */
  readonly wanted: TreeFinder;
  /** Only these are restored. */
  readonly components: readonly Component[] | undefined;
  /** Says whether a path is staged with a content. */
  readonly isStaged: (path: string, blob: BlobId) => boolean;
}

/** Keeps copies in the staging folders, from where they go with everything else that is staged. */
export class KeptCopies implements CaptureWitness {
  readonly #rules: CopyRules;
  readonly #copies = new Map<string, KnownCopy>();
  #count = 0;
  #flushing: Promise<void> = Promise.resolve();

  constructor(rules: CopyRules) {
    this.#rules = rules;
  }

  /** Returns the copy of what was captured of a path. */
  find(path: string): KnownCopy | undefined {
    return this.#copies.get(path);
  }

  watch(entry: EntryAttributes, sizeBytes: number, writer: BlobWriter): BlobWriter {
    if (sizeBytes < ALIKE_BYTES || entry.type !== 'file') return writer;
    let copy: Promise<Copy | undefined> | undefined;
    return {
      write: async (bytes) => {
        copy ??= this.#begin(entry, sizeBytes);
        await (await copy)?.write(bytes);
        await writer.write(bytes);
      },
      finish: async () => {
        const blob = await writer.finish();
        const native = await (
          await copy
        )?.finish((flushing) => {
          this.#flushing = flushing;
        });
        if (native !== undefined) this.#copies.set(entry.path, { native, blob: blob.id });
        return blob;
      },
      abort: () => {
        void copy?.then((begun) => begun?.drop());
        writer.abort();
      },
    };
  }

  async #begin({ path, component }: EntryAttributes, sizeBytes: number): Promise<Copy | undefined> {
    const { dirs, wanted, components, isStaged } = this.#rules;
    const dir = dirs.get(keyOf(path));
    if (dir === undefined || components?.includes(component) === false) return undefined;
    // What is wrong with a damaged commit is said where it is needed.
    const entry = await unlessDamaged(wanted.findEntry(path));
    const isFile = entry?.mode === TREE_MODES.file || entry?.mode === TREE_MODES.executable;
    if (!isFile || isStaged(path, entry.id)) return undefined;
    this.#count += 1;
    // No more than one is on its way to the disk: descriptors are scarce.
    await this.#flushing;
    return Copy.make(join(dir, STAGING_FOLDER, 'copies'), String(this.#count), sizeBytes);
  }
}

/** One copy that is being written. Whatever is refused to it, it is only dropped. */
class Copy {
  readonly #path: string;
  readonly #descriptor: number;
  #offsetBytes = 0;
  #isWhole = true;
  /** The last write: it goes on while its bytes are hashed. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  static make(dir: string, name: string, sizeBytes: number): Copy | undefined {
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const { bavail, bsize } = statfsSync(dir);
      if (bavail * bsize < 2 * sizeBytes + SPARED_BYTES) return undefined;
      const path = join(dir, name);
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      return new Copy(path, openSync(path, flags, 0o600));
    } catch {
      return undefined;
    }
  }

  /** Takes the next bytes, and resolves when those before them are written. */
  async write(bytes: Buffer): Promise<void> {
    await this.#writing;
    if (this.#isWhole) this.#writing = this.#append(bytes);
  }

  async #append(bytes: Buffer): Promise<void> {
    try {
      for (let done = 0; done < bytes.length;) {
        // oxlint-disable-next-line no-await-in-loop -- mostly once
        const written = await writeSome(this.#descriptor, bytes.subarray(done), this.#offsetBytes);
        done += written;
        this.#offsetBytes += written;
      }
    } catch {
      this.#isWhole = false;
      // The room is needed elsewhere.
      ftruncateSync(this.#descriptor);
    }
  }

  /**
   * Returns where the copy is, if it is whole.
   * @param onFlush told when it will be on the disk: who needs it there flushes the tree, and says then what can't be
   */
  async finish(onFlush: (flushing: Promise<void>) => void): Promise<string | undefined> {
    await this.#writing;
    if (this.#isWhole) onFlush(flushAndClose(this.#descriptor));
    else this.#remove();
    return this.#isWhole ? this.#path : undefined;
  }

  async drop(): Promise<void> {
    await this.#writing;
    this.#remove();
  }

  #remove(): void {
    closeSync(this.#descriptor);
    rmSync(this.#path, { force: true });
  }
}

function writeSome(descriptor: number, bytes: Buffer, offsetBytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, offsetBytes, (error, written) =>
      error === null ? resolve(written) : reject(error),
    );
  });
}

function flushAndClose(descriptor: number): Promise<void> {
  return new Promise((resolve) => {
    fdatasync(descriptor, () => {
      closeSync(descriptor);
      resolve();
    });
  });
}
