// Reads a remote that keeps versions: the oldest version of a name is what molt wrote, whatever somebody else put on top of it. What
// carries its own hash as its name is read plainly and looked for only when it is something else.

import { hash } from 'node:crypto';
import { parseSegmentName } from '../format/segment.ts';
import type { ByteRange } from '../storage/range.ts';
import type { ObjectVersion, ObjectVersions, RemoteStorage, VersionedObjects } from '../storage/remote.ts';
import type { ObjectStat, Storage } from '../storage/storage.ts';

/** How many names' versions are remembered. */
const KEPT = 4_096;

/** A remote, seen through what lies on top of its objects. Where it keeps no versions, it is the remote itself. */
export class OldestStorage implements Storage {
  readonly label: string;
  readonly #remote: RemoteStorage;
  readonly #known = new Map<string, ObjectVersions>();
  /** The names of the log's end, from the first that was read on, that are not the only version. */
  #logEnd: { readonly from: string; readonly covered: Promise<ReadonlySet<string>> } | undefined;

  constructor(remote: RemoteStorage) {
    this.label = remote.label;
    this.#remote = remote;
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    const { versions } = this.#remote;
    if (versions === undefined) return this.#remote.read(name, range);
    const sha256 = findHash(name);
    if (sha256 !== undefined && range === undefined) {
      const bytes = await this.#remote.read(name);
      return bytes === undefined || hash('sha256', bytes, 'hex') === sha256
        ? bytes
        : ((await this.#search(versions, name, sha256)) ?? bytes);
    }
    const oldest = await this.#findCovered(versions, name);
    return oldest === undefined ? this.#remote.read(name, range) : versions.read(name, oldest.versionId, range);
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    const { versions } = this.#remote;
    if (versions === undefined || (parseSegmentName(name) !== undefined && !(await this.#mayBeCovered(versions, name))))
      return this.#remote.stat(name);
    // One request, as a look at the object itself would be.
    const [oldest] = (await this.#list(versions, name)).versions;
    return oldest && { name, sizeBytes: oldest.sizeBytes, modifiedMs: oldest.modifiedMs };
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    this.#known.delete(name);
    return this.#remote.createOnce(name, parts);
  }

  list(prefix: string, startAfter?: string): AsyncIterable<ObjectStat> {
    return this.#remote.list(prefix, startAfter);
  }

  async delete(name: string): Promise<void> {
    this.#known.delete(name);
    await this.#remote.delete(name);
  }

  async close(): Promise<void> {
    await this.#logEnd?.covered.catch(() => undefined);
    await this.#remote.close();
  }

  /** Returns the version to read of a name that has something on top. */
  async #findCovered(versions: VersionedObjects, name: string): Promise<ObjectVersion | undefined> {
    if (parseSegmentName(name) !== undefined && !(await this.#mayBeCovered(versions, name))) return undefined;
    const { versions: all, isHidden } = await this.#list(versions, name);
    return all.length > 1 || isHidden ? all[0] : undefined;
  }

  /** The end of the log is read whole, so that its versions are listed at once. */
  async #mayBeCovered(versions: VersionedObjects, name: string): Promise<boolean> {
    this.#logEnd ??= { from: name, covered: collect(versions.listCovered('log/', before(name))) };
    const { from, covered } = this.#logEnd;
    return name < from || (await covered).has(name);
  }

  async #list(versions: VersionedObjects, name: string): Promise<ObjectVersions> {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const found = await versions.list(name);
    if (this.#known.size >= KEPT) this.#known.clear();
    if (found.versions.length > 0) this.#known.set(name, found);
    return found;
  }

  async #search(versions: VersionedObjects, name: string, sha256: string): Promise<Buffer | undefined> {
    for (const { versionId } of (await this.#list(versions, name)).versions) {
      // oxlint-disable-next-line no-await-in-loop -- the oldest, nearly always
      const bytes = await versions.read(name, versionId);
      if (bytes !== undefined && hash('sha256', bytes, 'hex') === sha256) return bytes;
    }
    return undefined;
  }
}

function findHash(name: string): string | undefined {
  return /^(?:packs\/[0-9a-f]{2}|index)\/([0-9a-f]{64})$/.exec(name)?.[1];
}

/** Returns a text that is less than a segment's name, and not less than the one before it. */
function before(name: string): string {
  return `${name.slice(0, -1)}${String.fromCodePoint((name.codePointAt(name.length - 1) ?? 1) - 1)}`;
}

async function collect(names: AsyncIterable<string>): Promise<ReadonlySet<string>> {
  const all = new Set<string>();
  for await (const name of names) all.add(name);
  return all;
}
