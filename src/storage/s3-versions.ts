// The versions that a bucket keeps of each object, and the locks on them. A server lists the versions of a key newest first, in the order
// in which it stored them; times are too coarse to tell, so that order is what counts here.

import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3';
import { isMoltError, MoltError } from '../model/error.ts';
import { formatTime } from '../model/time-format.ts';
import type { IoContext } from './io-error.ts';
import { checkName } from './name.ts';
import type { ByteRange } from './range.ts';
import type { LockMode, ObjectVersion, ObjectVersions, Retention, VersionedObjects } from './remote.ts';
import type { S3Connection } from './s3-connection.ts';
import type { S3Keys } from './s3-keys.ts';
import { collectBody, rangeParameter, statOf } from './s3-objects.ts';
import { checkIsS3 } from './s3-error.ts';
import type { ObjectStat } from './storage.ts';

/** What a retry loop around a list does: nothing where the list is an attempt of something larger. */
type Ask = <T>(action: () => Promise<T>) => Promise<T>;

interface VersionPage {
  readonly entries: readonly {
    readonly name: string | undefined;
    readonly key: string;
    readonly version: ObjectVersion;
  }[];
  readonly markers: readonly { readonly key: string; readonly versionId: string; readonly isLatest: boolean }[];
  readonly next: { readonly KeyMarker: string; readonly VersionIdMarker?: string } | undefined;
}

const FEW = 50;
const MANY = 1_000;

/** Lists, reads, locks and deletes versions. */
export class S3Versions implements VersionedObjects {
  readonly #connection: S3Connection;
  readonly #keys: S3Keys;
  readonly #label: string;
  readonly #bypass: boolean;

  constructor(connection: S3Connection, keys: S3Keys, label: string, bypassGovernance: boolean) {
    this.#connection = connection;
    this.#keys = keys;
    this.#label = label;
    this.#bypass = bypassGovernance;
  }

  async list(name: string): Promise<ObjectVersions> {
    checkName(name);
    return this.#collect(name, this.#patient('list', name));
  }

  async read(name: string, versionId: string, range?: ByteRange): Promise<Buffer | undefined> {
    return this.#read(name, range, versionId);
  }

  /** Reads what lies on top. */
  async readNewest(name: string, range: ByteRange | undefined): Promise<Buffer | undefined> {
    return this.#read(name, range, undefined);
  }

  /** Returns the oldest version of an object in one attempt, within an attempt of something else. */
  async findOldest(name: string): Promise<ObjectVersion | undefined> {
    const { versions } = await this.#collect(name, async (action) => action());
    return versions[0];
  }

  /** Returns the oldest version of an object; asks again if need be. */
  async findOldestPatiently(name: string): Promise<ObjectVersion | undefined> {
    const { versions } = await this.list(name);
    return versions[0];
  }

  /** Lists the oldest version of each object under a prefix. */
  async *listOldest(prefix: string, startAfter: string): AsyncGenerator<ObjectStat> {
    const patient = this.#patient('list', prefix);
    let held: ObjectStat | undefined;
    let after = this.#keys.startAfter(prefix, startAfter, 'KeyMarker') as VersionPage['next'];
    do {
      const from = after;
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const page = await patient(async () => this.#page(this.#keys.key(prefix), MANY, from));
      for (const { name, version } of page.entries) {
        if (name === undefined) continue;
        if (held !== undefined && held.name !== name) yield held;
        held = { name, sizeBytes: version.sizeBytes, modifiedMs: version.modifiedMs };
      }
      after = page.next;
    } while (after !== undefined);
    if (held !== undefined) yield held;
  }

  async *listCovered(prefix: string, startAfter = ''): AsyncGenerator<string> {
    const patient = this.#patient('list', prefix);
    let after = this.#keys.startAfter(prefix, startAfter, 'KeyMarker') as VersionPage['next'];
    let held: { name: string; isTold: boolean } | undefined;
    do {
      const from = after;
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const page = await patient(async () => this.#page(this.#keys.key(prefix), MANY, from));
      const markers = new Set(page.markers.map(({ key }) => this.#keys.findName(key)));
      for (const { name } of page.entries) {
        if (name === undefined || name <= startAfter) continue;
        // A page may end between a marker and what it hides.
        const isMore = held?.name === name || markers.has(name);
        if (held?.name !== name) held = { name, isTold: false };
        if (isMore && !held.isTold) yield name;
        held.isTold ||= isMore;
      }
      const [last] = page.markers.slice(-1);
      const lastName = last && this.#keys.findName(last.key);
      if (lastName !== undefined && lastName > (held?.name ?? '')) held = { name: lastName, isTold: false };
      after = page.next;
    } while (after !== undefined);
  }

  /**
   * Deletes every version of an object and every marker on it; the oldest, which is the object, last.
   * @throws {MoltError} REMOTE_REFUSED when one of them is locked, with `lockedUntilMs` in its details if the server tells
   */
  async deleteAll(name: string): Promise<void> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- what was written meanwhile goes too
      const ids = await this.#listIds(name);
      if (ids.length === 0) return;
      // oxlint-disable-next-line no-await-in-loop -- in this order, so that no other version looks like the object in between
      for (const id of ids) await this.#deleteUnlessLocked(name, id);
    }
  }

  async #deleteUnlessLocked(name: string, versionId: string): Promise<void> {
    try {
      await this.deleteVersion(name, versionId);
    } catch (error) {
      const untilMs = isMoltError(error, 'REMOTE_REFUSED') ? await this.#findLockEnd(name, versionId) : undefined;
      if (untilMs === undefined) throw error;
      throw new MoltError(
        'REMOTE_REFUSED',
        `cannot delete "${name}" in ${this.#label}: it is locked until ${formatTime(untilMs)}`,
        {
          hint: 'nothing is wrong; it can go once its lock has ended',
          details: { object: name, lockedUntilMs: untilMs },
          cause: error,
        },
      );
    }
  }

  /** Returns when the lock of a version ends, if it has one and may be asked about. */
  async #findLockEnd(name: string, versionId: string): Promise<number | undefined> {
    try {
      const { untilMs = 0 } = (await this.findRetention(name, versionId)) ?? {};
      return untilMs > this.#connection.nowOrLocalMs() ? untilMs : undefined;
    } catch (error) {
      if (isMoltError(error, 'REMOTE_REFUSED')) return undefined;
      throw error;
    }
  }

  /** Deletes a version that nobody wants, if that is allowed. */
  async dropQuietly(name: string, versionId: string): Promise<void> {
    try {
      await this.#connection.exchange('delete', this.#deleteCommand(name, versionId), () => undefined);
    } catch {
      return; // It stays above the oldest, where it does no harm.
    }
  }

  /** @throws {MoltError} REMOTE_REFUSED when the version is locked */
  async deleteVersion(name: string, versionId: string): Promise<void> {
    await this.#connection.ask(
      this.#doing('delete', name),
      'delete',
      () => this.#deleteCommand(name, versionId),
      () => undefined,
    );
  }

  async findRetention(name: string, versionId?: string): Promise<Retention | undefined> {
    checkName(name);
    return this.#connection.ask(
      this.#doing('look up', name),
      'get',
      () => new GetObjectRetentionCommand({ ...this.#keys.at(name), ...versionParameter(versionId) }),
      ({ Retention: found }) => parseRetention(found?.Mode, found?.RetainUntilDate),
    );
  }

  async extendRetention(name: string, versionId: string, { mode, untilMs }: Retention): Promise<void> {
    checkName(name);
    await this.#connection.ask(
      this.#doing('lock', name),
      'put',
      () =>
        new PutObjectRetentionCommand({
          ...this.#keys.at(name),
          VersionId: versionId,
          Retention: { Mode: mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE', RetainUntilDate: new Date(untilMs) },
        }),
      () => undefined,
    );
  }

  /** Returns the command that reads an object, a version of it, or a range. */
  getCommand(name: string, range?: ByteRange, versionId?: string): GetObjectCommand {
    return new GetObjectCommand({ ...this.#keys.at(name), ...rangeParameter(range), ...versionParameter(versionId) });
  }

  async #read(name: string, range: ByteRange | undefined, versionId: string | undefined): Promise<Buffer | undefined> {
    checkName(name);
    return this.#connection.retrying(this.#doing('read', name), async () => this.readOnce(name, range, versionId));
  }

  /** Reads in one attempt, within an attempt of something else. */
  async readOnce(name: string, range?: ByteRange, versionId?: string): Promise<Buffer | undefined> {
    try {
      const command = this.getCommand(name, range, versionId);
      return await this.#connection.exchange('get', command, async (output) => collectBody(output, range));
    } catch (error) {
      const { kind, code } = this.#connection.explain(error);
      // The object is there and has no byte at that place.
      if (code === 'InvalidRange') return Buffer.alloc(0);
      if (kind === 'absent') return undefined;
      throw error;
    }
  }

  async #collect(name: string, ask: Ask): Promise<ObjectVersions> {
    const key = this.#keys.key(name);
    const versions: ObjectVersion[] = [];
    let deleteMarkers = 0;
    let isHidden = false;
    let after: VersionPage['next'];
    do {
      const from = after;
      // Other keys that begin with this one come behind it, so the first pages are enough.
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const page = await ask(async () => this.#page(key, FEW, from));
      versions.push(...page.entries.filter((entry) => entry.key === key).map(({ version }) => version));
      const markers = page.markers.filter((marker) => marker.key === key);
      deleteMarkers += markers.length;
      isHidden ||= markers.some(({ isLatest }) => isLatest);
      after = page.next?.KeyMarker === key ? page.next : undefined;
    } while (after !== undefined);
    return { versions: versions.toReversed(), deleteMarkers, isHidden };
  }

  /** Lists the ids to delete: markers, then versions, newest first. */
  async #listIds(name: string): Promise<string[]> {
    const key = this.#keys.key(name);
    const page = await this.#patient('list', name)(async () => this.#page(key, MANY, undefined));
    const markers = page.markers.filter((marker) => marker.key === key).map(({ versionId }) => versionId);
    return [...markers, ...page.entries.filter((entry) => entry.key === key).map(({ version }) => version.versionId)];
  }

  async #page(prefix: string, size: number, after: VersionPage['next']): Promise<VersionPage> {
    const command = new ListObjectVersionsCommand({
      Bucket: this.#keys.bucket,
      Prefix: prefix,
      MaxKeys: size,
      ...after,
    });
    return this.#connection.exchange('list', command, (output) => parsePage(output, this.#keys));
  }

  #deleteCommand(name: string, versionId: string): DeleteObjectCommand {
    return new DeleteObjectCommand({
      ...this.#keys.at(name),
      VersionId: versionId,
      ...(this.#bypass ? { BypassGovernanceRetention: true } : {}),
    });
  }

  #patient(verb: IoContext['verb'], object: string): Ask {
    return async (action) => this.#connection.retrying(this.#doing(verb, object), action);
  }

  #doing(verb: IoContext['verb'], object: string): IoContext {
    return object === '' ? { verb, place: this.#label } : { verb, object, place: this.#label };
  }
}

function parsePage(output: ListObjectVersionsCommandOutput, keys: S3Keys): VersionPage {
  checkIsS3(output.IsTruncated);
  const entries = (output.Versions ?? []).map(({ Key = '', VersionId = 'null', Size, LastModified }) => {
    const { sizeBytes, modifiedMs } = statOf(Key, Size, LastModified);
    return { key: Key, name: keys.findName(Key), version: { versionId: VersionId, sizeBytes, modifiedMs } };
  });
  const markers = (output.DeleteMarkers ?? []).map(({ Key = '', VersionId = 'null', IsLatest = false }) => ({
    key: Key,
    versionId: VersionId,
    isLatest: IsLatest,
  }));
  const { IsTruncated = false, NextKeyMarker, NextVersionIdMarker } = output;
  const hasNext = IsTruncated && NextKeyMarker !== undefined && NextKeyMarker !== '';
  const versionMarker =
    NextVersionIdMarker === undefined || NextVersionIdMarker === '' ? {} : { VersionIdMarker: NextVersionIdMarker };
  return { entries, markers, next: hasNext ? { KeyMarker: NextKeyMarker, ...versionMarker } : undefined };
}

function parseRetention(mode: string | undefined, until: Date | undefined): Retention | undefined {
  const known: LockMode | undefined =
    mode === 'GOVERNANCE' ? 'governance' : mode === 'COMPLIANCE' ? 'compliance' : undefined;
  return known === undefined || until === undefined ? undefined : { mode: known, untilMs: until.getTime() };
}

function versionParameter(versionId: string | undefined): { readonly VersionId?: string } {
  return versionId === undefined ? {} : { VersionId: versionId };
}
