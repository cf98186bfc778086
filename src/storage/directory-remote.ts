// A folder as a remote: the directory storage, counted as if its calls were requests.

import { isMoltError, MoltError } from '../model/error.ts';
import type { ByteRange } from './range.ts';
import { DirectoryStorage } from './directory.ts';
import { type RemoteStorage, TrafficMeter } from './remote.ts';
import type { ObjectStat } from './storage.ts';

/** Keeps objects in a folder (directory.ts) and counts what it is asked. */
export class DirectoryRemote implements RemoteStorage {
  readonly label: string;
  readonly traffic = new TrafficMeter();
  readonly #inner: DirectoryStorage;

  private constructor(inner: DirectoryStorage, label: string) {
    this.#inner = inner;
    this.label = label;
  }

  /**
   * Opens a folder. One that is not there is never taken for an empty remote: its disk or share may not be mounted.
   * @throws {MoltError} REMOTE_UNREACHABLE when there is none and `create` is false, IO when it can't be used
   */
  static async open(dir: string, label: string, create: boolean): Promise<DirectoryRemote> {
    try {
      return new DirectoryRemote(await DirectoryStorage.open(dir, { create }), label);
    } catch (error) {
      if (!isMoltError(error, 'NOT_FOUND')) throw error;
      throw new MoltError('REMOTE_UNREACHABLE', `${label} can't be reached: ${error.message}`, {
        hint: 'if it lies on a disk or share, mount that and try again; nothing was made or changed there',
        cause: error,
      });
    }
  }

  nowMs(): number {
    return this.#inner.nowMs();
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    this.traffic.requests.put += 1;
    const created = await this.#inner.createOnce(name, parts);
    if (created) this.traffic.bytesSent += parts.reduce((sum, part) => sum + part.length, 0);
    return created;
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    this.traffic.requests.get += 1;
    const bytes = await this.#inner.read(name, range);
    this.traffic.bytesReceived += bytes?.length ?? 0;
    return bytes;
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    this.traffic.requests.head += 1;
    return this.#inner.stat(name);
  }

  async *list(prefix: string, startAfter?: string): AsyncGenerator<ObjectStat> {
    this.traffic.requests.list += 1;
    yield* this.#inner.list(prefix, startAfter);
  }

  async delete(name: string): Promise<void> {
    this.traffic.requests.delete += 1;
    await this.#inner.delete(name);
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }
}
