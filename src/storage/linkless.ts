// Gives objects their names where the file system has no hard links (exFAT, some shares), and nothing else that puts a whole file
// under a name only if it is free. Creating the name exclusively and writing into it would show readers half an object and leave
// one behind at a crash; rename(2) alone replaces what is there. So every writer takes a claim on the name (claim.ts), looks whether
// it is free, and renames. Readers still see a whole object or none, since rename is atomic.
//
// That holds among writers that all take claims. So the first one that finds links impossible leaves a marker that makes all take
// claims from then on, also those that could link (another kind of mount of the same folder).

import { closeSync, lstatSync, openSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSystemError } from '../model/error.ts';
import { withClaim } from './claim.ts';

const MARKER = 'claims';
// A writer looks for the marker right before it links. One that looked just before the marker came has linked after this time.
const SETTLE_MS = 200;

/** The names of one storage as they are given without hard links. */
export class LinklessNames {
  readonly #scratch: string;
  readonly #marker: string;
  #used: boolean;

  /** @param used true if links are not to be tried at all */
  constructor(scratch: string, used: boolean) {
    this.#scratch = scratch;
    this.#marker = join(scratch, MARKER);
    this.#used = used;
  }

  /** Says whether the writers of this storage take claims; looks anew each time. */
  areUsed(): boolean {
    this.#used ||= lstatSync(this.#marker, { throwIfNoEntry: false }) !== undefined;
    return this.#used;
  }

  /** Renames a written scratch file to an object's path unless that is taken; says whether it did. The scratch folder must exist. */
  async rename(scratchFile: string, path: string, name: string): Promise<boolean> {
    await this.#leaveMarker();
    return withClaim(this.#scratch, name, () => {
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
      renameSync(scratchFile, path);
      return true;
    });
  }

  async #leaveMarker(): Promise<void> {
    this.#used = true;
    try {
      closeSync(openSync(this.#marker, 'wx', 0o600));
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) return;
      throw error;
    }
    await sleep(SETTLE_MS);
  }
}
