// A storage in an S3 bucket. One object is one single-part PUT with If-None-Match, so that of many writers one wins; where a bucket
// ignores that but keeps versions, the oldest version is the object (docs/remotes.md has the reasoning). Loaded only when used.

import { createHash } from 'node:crypto';
import { DeleteObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { IoContext } from './io-error.ts';
import { checkName, checkPrefix } from './name.ts';
import { type ByteRange, cutRange } from './range.ts';
import type { S3Location } from './remote-url.ts';
import {
  DEFAULT_RULES,
  type ObjectLock,
  type RemoteOptions,
  type RemoteRules,
  type RemoteStorage,
  type Traffic,
  type VersionedObjects,
} from './remote.ts';
import { type BucketSettings, readBucketSettings } from './s3-bucket.ts';
import { S3Connection } from './s3-connection.ts';
import { checkIsS3, LostAnswer, s3Failure } from './s3-error.ts';
import { S3Keys } from './s3-keys.ts';
import { statOf } from './s3-objects.ts';
import { S3Versions } from './s3-versions.ts';
import type { ObjectStat } from './storage.ts';

const UNKNOWN = 'whether it was written is not known';
const DAY_MS = 86_400_000;
// Which of a bucket's many versions is the oldest never changes until that one is deleted, so it may be remembered.
const REMEMBERED_VERSIONS = 4_096;

/** Keeps objects in a bucket, under a prefix. What other programs keep there under names that are none of ours is passed over. */
export class S3Storage implements RemoteStorage {
  readonly label: string;
  readonly versions?: VersionedObjects;
  readonly #connection: S3Connection;
  readonly #keys: S3Keys;
  readonly #rules: RemoteRules;
  readonly #lock: ObjectLock | undefined;
  readonly #versions: S3Versions;
  readonly #oldest = new Map<string, string>();
  // Set once the bucket has answered anything but "not found", which a HEAD of a missing bucket answers too.
  #bucketIsThere = false;
  // Set once the server has asked for a checksum that we did not send: a bucket that locks by default does.
  #wantsChecksum = false;

  constructor(location: S3Location, options: RemoteOptions) {
    this.label = location.url;
    this.#connection = new S3Connection(location, options);
    this.#keys = new S3Keys(location);
    this.#rules = options.rules ?? DEFAULT_RULES;
    this.#lock = options.lock;
    this.#versions = new S3Versions(this.#connection, this.#keys, this.label, options.bypassGovernance ?? false);
    if (this.#rules.versioned) this.versions = this.#versions;
  }

  get traffic(): Traffic {
    return this.#connection.traffic;
  }

  nowMs(): number | undefined {
    return this.#connection.nowMs();
  }

  /** Returns how the bucket is set up, as far as it tells. */
  async readSettings(): Promise<BucketSettings> {
    return readBucketSettings(this.#connection, this.#keys, this.label);
  }

  async createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean> {
    checkName(name);
    const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
    // Once an attempt's answer was lost, an object with our bytes is ours. Before that, the same bytes are somebody else's.
    const lost = { any: false };
    return this.#connection.retrying(this.#doing('write', name, UNKNOWN), async () => {
      try {
        if (this.#rules.createOnce === 'oldest-version') return await this.#createOldest(name, bytes, lost);
        return await this.#createConditional(name, bytes, lost);
      } catch (error) {
        if (this.#connection.explain(error).mayHaveHappened) lost.any = true;
        throw error;
      }
    });
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    checkName(name);
    if (range !== undefined) cutRange(range, 0);
    if (this.#rules.createOnce === 'oldest-version') return this.#readOldest(name, range);
    const bytes = await this.#versions.readNewest(name, range);
    if (bytes !== undefined || !this.#rules.versioned) return bytes;
    // Nothing, or a delete marker, which hides an object that is still there.
    return this.#readOldest(name, range);
  }

  async stat(name: string): Promise<ObjectStat | undefined> {
    checkName(name);
    if (this.#rules.createOnce === 'oldest-version') return this.#statOldest(name);
    const stat = await this.#head(name);
    if (stat !== undefined) return stat;
    if (this.#rules.versioned) return this.#statOldest(name);
    if (!this.#bucketIsThere) await this.#checkBucket();
    return undefined;
  }

  async *list(prefix: string, startAfter = ''): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix);
    if (startAfter > prefix && !startAfter.startsWith(prefix)) return;
    // Names under delete markers are listed by version only; a page costs the same.
    const pages = this.#rules.versioned
      ? this.#versions.listOldest(prefix, startAfter)
      : this.#listCurrent(prefix, startAfter);
    for await (const stat of pages) {
      if (stat.name > startAfter) yield stat;
    }
  }

  async delete(name: string): Promise<void> {
    checkName(name);
    this.#oldest.delete(name);
    if (this.#rules.versioned) {
      await this.#versions.deleteAll(name);
      return;
    }
    await this.#connection.ask(
      this.#doing('delete', name),
      'delete',
      () => new DeleteObjectCommand(this.#keys.at(name)),
      () => undefined,
    );
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #createConditional(name: string, bytes: Uint8Array, lost: { readonly any: boolean }): Promise<boolean> {
    const guarded = this.#rules.createOnce === 'conditional';
    if (lost.any || !guarded) {
      const there = await this.#versions.readOnce(name, lost.any ? undefined : { start: 0, end: 1 });
      if (there !== undefined) return lost.any && there.equals(bytes);
    }
    try {
      await this.#put(name, bytes, guarded);
      return true;
    } catch (error) {
      if (this.#connection.explain(error).kind !== 'taken') throw error;
      if (!lost.any) return false;
      const there = await this.#versions.readOnce(name);
      // Taken and yet absent: deleted a moment ago.
      if (there === undefined) throw new LostAnswer(`the server says that the name is taken, and has no object`);
      return there.equals(bytes);
    }
  }

  /**
   * The server orders the versions of a name when it stores them, so whoever finds its own version oldest, after it was stored, has won
   * for ever. Looking before writing only avoids versions that nobody wants.
   */
  async #createOldest(name: string, bytes: Uint8Array, lost: { readonly any: boolean }): Promise<boolean> {
    const before = await this.#versions.findOldest(name);
    if (before !== undefined) {
      return lost.any && isSame(bytes, await this.#versions.readOnce(name, undefined, before.versionId));
    }
    // Without the condition, which has no effect here, and which some servers that keep versions refuse.
    const versionId = await this.#put(name, bytes, false);
    if (versionId === undefined) {
      throw s3Failure(
        {
          kind: 'refused',
          code: 'NoVersion',
          why: 'the bucket no longer keeps versions',
          hint: 'enable versioning on it again, or add the remote anew',
          canRetry: false,
          mayHaveHappened: true,
        },
        undefined,
        this.#doing('write', name, UNKNOWN),
      );
    }
    const oldest = await this.#versions.findOldest(name);
    if (oldest?.versionId === versionId) return true;
    if (oldest === undefined) throw new LostAnswer('the version that was just written is not listed');
    if (lost.any && isSame(bytes, await this.#versions.readOnce(name, undefined, oldest.versionId))) return true;
    if (this.#lock === undefined) await this.#versions.dropQuietly(name, versionId);
    return false;
  }

  async #put(name: string, bytes: Uint8Array, guarded: boolean): Promise<string | undefined> {
    try {
      return await this.#connection.exchange('put', this.#putCommand(name, bytes, guarded), (output) => {
        checkIsS3(output.ETag);
        this.#bucketIsThere = true;
        return output.VersionId;
      });
    } catch (error) {
      if (this.#wantsChecksum || !asksForChecksum(error)) throw error;
      this.#wantsChecksum = true;
      return this.#put(name, bytes, guarded);
    }
  }

  #putCommand(name: string, bytes: Uint8Array, guarded: boolean): PutObjectCommand {
    const lock = this.#lock;
    return new PutObjectCommand({
      ...this.#keys.at(name),
      Body: bytes,
      ContentLength: bytes.length,
      ContentType: 'application/octet-stream',
      ...(guarded ? { IfNoneMatch: '*' } : {}),
      ...(lock === undefined && !this.#wantsChecksum ? {} : { ChecksumSHA256: digest('sha256', bytes) }),
      ...(this.#wantsChecksum ? { ContentMD5: digest('md5', bytes) } : {}),
      ...(lock === undefined
        ? {}
        : {
            ObjectLockMode: lock.mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE',
            ObjectLockRetainUntilDate: new Date(this.#connection.nowOrLocalMs() + lock.days * DAY_MS),
          }),
    });
  }

  async #readOldest(name: string, range: ByteRange | undefined): Promise<Buffer | undefined> {
    const known = this.#oldest.get(name);
    const bytes = known === undefined ? undefined : await this.#versions.read(name, known, range);
    if (bytes !== undefined) return bytes;
    this.#oldest.delete(name);
    const oldest = await this.#versions.findOldestPatiently(name);
    if (oldest === undefined) return undefined;
    if (this.#oldest.size >= REMEMBERED_VERSIONS) this.#oldest.clear();
    this.#oldest.set(name, oldest.versionId);
    return this.#versions.read(name, oldest.versionId, range);
  }

  async #statOldest(name: string): Promise<ObjectStat | undefined> {
    const oldest = await this.#versions.findOldestPatiently(name);
    return oldest && { name, sizeBytes: oldest.sizeBytes, modifiedMs: oldest.modifiedMs };
  }

  async #head(name: string): Promise<ObjectStat | undefined> {
    const stat = await this.#connection.ask(
      this.#doing('look up', name),
      'head',
      () => new HeadObjectCommand(this.#keys.at(name)),
      ({ ContentLength, LastModified }) => statOf(name, ContentLength, LastModified),
    );
    if (stat !== undefined) this.#bucketIsThere = true;
    return stat;
  }

  async #checkBucket(): Promise<void> {
    await this.#nextPage('', '', 1, undefined);
    this.#bucketIsThere = true;
  }

  async *#listCurrent(prefix: string, startAfter: string): AsyncGenerator<ObjectStat> {
    let token: string | undefined;
    do {
      // oxlint-disable-next-line no-await-in-loop -- page by page
      const page = await this.#nextPage(prefix, startAfter, 1_000, token);
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        const name = this.#keys.findName(Key);
        if (name !== undefined) yield statOf(name, Size, LastModified);
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  async #nextPage(prefix: string, startAfter: string, pageSize: number, token: string | undefined) {
    const page = await this.#connection.ask(
      this.#doing('list', prefix === '' ? undefined : prefix),
      'list',
      () =>
        new ListObjectsV2Command({
          Bucket: this.#keys.bucket,
          Prefix: this.#keys.key(prefix),
          MaxKeys: pageSize,
          ...(token === undefined
            ? this.#keys.startAfter(prefix, startAfter, 'StartAfter')
            : { ContinuationToken: token }),
        }),
      (output) => {
        checkIsS3(output.IsTruncated);
        return output;
      },
    );
    return page ?? { Contents: [], NextContinuationToken: undefined };
  }

  #doing(verb: IoContext['verb'], object?: string, outcome?: string): IoContext {
    return {
      verb,
      place: this.label,
      ...(object === undefined ? {} : { object }),
      ...(outcome === undefined ? {} : { outcome }),
    };
  }
}

function isSame(bytes: Uint8Array, there: Buffer | undefined): boolean {
  return there !== undefined && there.equals(bytes);
}

function digest(algorithm: 'sha256' | 'md5', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('base64');
}

// AWS: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters".
function asksForChecksum(error: unknown): boolean {
  if (!(error instanceof Error) || !['InvalidRequest', 'MissingContentMD5', 'InvalidDigest'].includes(error.name))
    return false;
  return /md5|checksum/i.test(`${error.name} ${error.message}`);
}
