// What a remote is beyond a storage: it counts what it costs, knows the store's clock, and may keep versions and locks.

import type { Clock } from '../model/ports.ts';
import type { ByteRange } from './range.ts';
import type { RetryTiming } from './retry.ts';
import type { Storage } from './storage.ts';

/** What was sent to a remote so far: every attempt counts, as the provider will bill it. Bytes are those of bodies. */
export interface Traffic {
  readonly requests: Readonly<Record<RequestKind, number>>;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** The kinds of requests that providers price. */
export type RequestKind = 'put' | 'get' | 'list' | 'head' | 'delete';

/**
 * How create-once is kept on a remote. `conditional`: the server enforces If-None-Match. `oldest-version`: it does not, but the bucket
 * keeps versions, and the oldest one is the object. `single-writer`: nothing keeps it; the user promised that nobody else writes.
 */
export type CreateOnceRule = 'conditional' | 'oldest-version' | 'single-writer';

/** What the probe found out about a remote once, and every opening needs to know. Plain data, kept in the configuration. */
export interface RemoteRules {
  readonly createOnce: CreateOnceRule;
  /** Whether the bucket keeps versions, so that an object may lie below a delete marker. */
  readonly versioned: boolean;
}

/** How each new object is locked from birth. */
export interface ObjectLock {
  readonly mode: LockMode;
  readonly days: number;
}

/** `governance` yields to a special permission; `compliance` to nobody, not even the owner of the account. */
export type LockMode = 'governance' | 'compliance';

/** Until when a version can't be deleted. */
export interface Retention {
  readonly mode: LockMode;
  readonly untilMs: number;
}

/** One of the contents that a versioned bucket keeps under one name. */
export interface ObjectVersion {
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** Everything that a versioned bucket keeps under one name. */
export interface ObjectVersions {
  /** Oldest first, as the server ordered them when they were written. */
  readonly versions: readonly ObjectVersion[];
  /** How many delete markers lie among them; molt itself never makes one. */
  readonly deleteMarkers: number;
  /** Whether a delete marker lies on top, so that other programs see no object. */
  readonly isHidden: boolean;
}

/** What a bucket with versions offers beyond a storage. The storage can't tell which version is authentic: its caller can. */
export interface VersionedObjects {
  list(name: string): Promise<ObjectVersions>;
  /** Lists the names under a prefix that have more than their one version: others on top, or delete markers. */
  listCovered(prefix: string, startAfter?: string): AsyncIterable<string>;
  /** Reads one version, or a range of it; undefined if it is gone. */
  read(name: string, versionId: string, range?: ByteRange): Promise<Buffer | undefined>;
  /** Returns until when a version is locked, or undefined if it is not; without an id that of the newest. */
  findRetention(name: string, versionId?: string): Promise<Retention | undefined>;
  /**
   * Locks a version until a time.
   * @throws {MoltError} REMOTE_REFUSED when that is earlier than its present lock, or the server does not allow it
   */
  extendRetention(name: string, versionId: string, retention: Retention): Promise<void>;
}

/** A storage elsewhere. */
export interface RemoteStorage extends Storage {
  /** What was asked of the remote since it was opened. */
  readonly traffic: Traffic;
  /** Present where objects have versions. */
  readonly versions?: VersionedObjects;
  /** Returns the time by the store's own clock, or undefined before its first answer. */
  nowMs(): number | undefined;
}

/** How a remote is opened. Everything has a default. */
export interface RemoteOptions {
  /** For file URLs: make the folder if it is not there. */
  readonly create?: boolean;
  /** What the probe decided; by default conditional writes without versions. */
  readonly rules?: RemoteRules;
  /** Lock every new object from birth. */
  readonly lock?: ObjectLock;
  /** Delete objects under a governance lock; needs the permission for it. */
  readonly bypassGovernance?: boolean;
  /** The most bytes per second, in each direction. */
  readonly limitBytesPerSecond?: number;
  /** The most requests at a time; throttling makes it fewer. */
  readonly maxRequestsAtOnce?: number;
  /** Stops everything: calls in flight reject with INTERRUPTED. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  /** Deadlines and pauses, for tests. */
  readonly timing?: Partial<RetryTiming>;
}

/** What is true of a remote until a probe has found out more. */
export const DEFAULT_RULES: RemoteRules = { createOnce: 'conditional', versioned: false };

/** Counts traffic. */
export class TrafficMeter implements Traffic {
  readonly requests: Record<RequestKind, number> = { put: 0, get: 0, list: 0, head: 0, delete: 0 };
  bytesSent = 0;
  bytesReceived = 0;
}
