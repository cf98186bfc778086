// What backups cost a month: storage, requests, what is downloaded, and what only a lock keeps. Pure: what an agent does, how it is saved
// and what things cost are arguments. docs/operations.md, "Cost", says what the model takes into account.

import { keptBy, type Kept } from './kept-share.ts';
import type { RetentionRules } from './retention-rules.ts';

/** A month, as the model has it. */
export const MONTH_DAYS = 30;
const GB = 1e9;

/** What things cost, in one currency. */
export interface Prices {
  /** Written before sums. */
  readonly currency: string;
  /** A gigabyte (1e9 bytes) for a month. */
  readonly storageGbMonth: number;
  /** A gigabyte that is downloaded. */
  readonly egressGb: number;
  /** A gigabyte that a restore downloads. */
  readonly restoreGb: number;
  /** A thousand requests of a kind. */
  readonly thousand: Requests;
}

/** Requests by kind, as a remote counts them. */
export interface Requests {
  readonly put: number;
  readonly get: number;
  readonly list: number;
  readonly head: number;
  readonly delete: number;
}

/** The kinds of requests. */
export const REQUEST_KINDS = ['put', 'get', 'list', 'head', 'delete'] as const;

/** The prices of product-page.md: requests and restores are free. */
export const PRODUCT_PRICES: Prices = {
  currency: '$',
  storageGbMonth: 0.03,
  egressGb: 0.09,
  restoreGb: 0,
  thousand: { put: 0, get: 0, list: 0, head: 0, delete: 0 },
};

/** What an agent does to a storage, as it was measured. Sizes are bytes as stored. */
export interface Load {
  /** Commits a day that saved something, and are no full backups. */
  readonly ticksADay: number;
  readonly tickBytes: number;
  readonly fullsADay: number;
  /** What a full backup adds to those before it. */
  readonly fullBytes: number;
  /** What one full backup takes by itself. */
  readonly wholeBytes: number;
  /** Whatever else lies there: index, checkpoints, keys, lines of what expired. */
  readonly otherBytes: number;
  /** All that lies there now. */
  readonly storedBytes: number;
  /** How often a commit looks whether something changed, in milliseconds. */
  readonly everyMs: number;
  /** What a day really took of one remote, where that was counted, as things are saved now. */
  readonly counted?: { readonly requests: Requests; readonly egressBytes: number } | undefined;
}

/** How an agent is saved. */
export interface Saving {
  readonly everyMs: number;
  readonly rules: RetentionRules | undefined;
  /** How many remotes have it. */
  readonly copies: number;
  /** How long each object is locked on each of them; 0 for not at all. */
  readonly lockDays: number;
}

/** What a month of one way of saving comes to, over all copies. */
export interface MonthlyCost {
  /** What lies there, on average; of what grows without end, in the month to come. */
  readonly storedBytes: number;
  /** What of it is only there because it is locked. */
  readonly lockedBytes: number;
  /** By how much it grows a month when nothing expires; 0 where retention holds it. */
  readonly growthBytes: number;
  readonly requests: Requests;
  readonly egressBytes: number;
  /** Sums in the currency of the prices. The lock's is no part of the storage's. */
  readonly cost: Sums;
}

/** Sums by what they are for. */
export interface Sums {
  readonly storage: number;
  readonly lock: number;
  readonly requests: number;
  readonly egress: number;
  readonly total: number;
}

/** A segment's metadata (trees, attributes, commit, footer), which a commit takes however little changed. */
const SEGMENT_BYTES = 4096;
/** Names of the log are deleted when they are three days old (repo/sweep-delete.ts). */
const LOG_GRACE_DAYS = 3;
/** Packs that were swept stay for a day: twice what a full adds, since what of them stays is written anew (measured, `campaign:year`). */
const SWEPT_FULLS = 2;
/** A push writes an index run and a checkpoint with every so many segments (ops/exchange.ts). */
const CHECKPOINT_EVERY = 64;
const PACK_BYTES = 16 << 20;
/** Of a segment's beginning and end, by which a prune knows what it holds. */
const END_BYTES = 6500;
/** The end of a pack: a row for each chunk, some 12 kB of it. */
const PACK_END_SHARE = 0.006;
/** A smaller segment is read whole, in one request (repo/containers.ts). */
const ONE_REQUEST_BYTES = 12 << 10;
/** Packs beside those of fulls: what prunes wrote anew, and the lines of what expired. */
const OTHER_PACKS = 5;
/** Looking at a remote once a day: format.json and the newest segment, keys and log, and whether a checkpoint is new. */
const LOOK: Requests = { put: 0, get: 2, list: 2, head: 1, delete: 0 };
/** What a prune takes whatever there is (keys, index, the sweep and what is swept), and the push after it, which comes upon it. */
const PRUNE: Requests = { put: 10, get: 90, list: 15, head: 50, delete: 18 };
/** What a push asks where something was pruned: whether the log is still the one that it knows. */
const LOOK_UP: Requests = { put: 0, get: 1, list: 0, head: 0, delete: 0 };
/** What a request of those two brings, on average: index runs, and ends of packs. */
const READ_BYTES = 16_000;

/** Returns what a load becomes if it is looked at in another interval: a commit that comes half as often holds twice the change. */
export function rescale(load: Load, everyMs: number): Load {
  const factor = everyMs / load.everyMs;
  const change = Math.max(0, load.tickBytes - SEGMENT_BYTES);
  const most = Math.max(load.fullBytes, load.tickBytes);
  const tickBytes = Math.min(most, Math.min(load.tickBytes, SEGMENT_BYTES) + change * factor);
  return { ...load, ticksADay: load.ticksADay / factor, tickBytes, everyMs };
}

/**
 * Estimates a month.
 * @param present how it is saved now, which is what the load was counted by
 */
export function estimateMonth(measured: Load, saving: Saving, prices: Prices, present: Saving = saving): MonthlyCost {
  const load = rescale(measured, saving.everyMs);
  const { rules, copies, lockDays } = saving;
  const growthBytes = rules === undefined ? MONTH_DAYS * bytesADay(load) * copies : 0;
  const kept = rules && keptBy(load, rules);
  // What never expires is there now already, and half of what comes is, on average.
  const plain = kept === undefined ? load.storedBytes : storedBytes(load, kept);
  const locked = rules === undefined || lockDays === 0 ? plain : storedBytes(load, keptBy(load, rules, lockDays));
  const day = askedADay(load, kept);
  const { counted } = measured;
  if (counted !== undefined) {
    const was = askedADay(rescale(measured, present.everyMs), present.rules && keptBy(measured, present.rules));
    for (const kind of REQUEST_KINDS)
      if (was.requests[kind] > 0) day.requests[kind] *= counted.requests[kind] / was.requests[kind];
    if (was.egressBytes > 0) day.egressBytes *= counted.egressBytes / was.egressBytes;
  }
  const totals = {
    storedBytes: Math.max(plain, locked) * copies + growthBytes / 2,
    lockedBytes: Math.max(0, locked - plain) * copies,
    requests: scale(day.requests, MONTH_DAYS * copies),
    egressBytes: day.egressBytes * MONTH_DAYS * copies,
  };
  return { ...totals, growthBytes, cost: priceOf(totals, prices) };
}

/** Returns what things cost. */
export function priceOf(
  { storedBytes, lockedBytes, requests, egressBytes }: Omit<MonthlyCost, 'growthBytes' | 'cost'>,
  { storageGbMonth, egressGb, thousand }: Prices,
): Sums {
  const storage = ((storedBytes - lockedBytes) / GB) * storageGbMonth;
  const lock = (lockedBytes / GB) * storageGbMonth;
  const asked = REQUEST_KINDS.reduce((sum, kind) => sum + (requests[kind] / 1000) * thousand[kind], 0);
  const egress = (egressBytes / GB) * egressGb;
  return { storage, lock, requests: asked, egress, total: storage + lock + asked + egress };
}

/** Returns what one restore of everything downloads, and what that costs. */
export function restoreCost({ wholeBytes }: Load, { restoreGb }: Prices): { bytes: number; cost: number } {
  return { bytes: wholeBytes, cost: (wholeBytes / GB) * restoreGb };
}

function bytesADay({ ticksADay, tickBytes, fullsADay, fullBytes }: Load): number {
  return ticksADay * tickBytes + fullsADay * fullBytes;
}

/** Fulls share what did not change between them; what is swept stays for as long as somebody may still read it. */
function storedBytes(load: Load, { fulls, followers, loose }: Kept): number {
  const { ticksADay, tickBytes, fullsADay, fullBytes, wholeBytes, otherBytes } = load;
  const segments = Math.max(followers, LOG_GRACE_DAYS * ticksADay);
  const packs = wholeBytes + (Math.max(0, fulls - 1 + loose) + SWEPT_FULLS * fullsADay) * fullBytes;
  return packs + segments * tickBytes + otherBytes;
}

/** Returns what a day takes of one remote: pushes, a look, and, where something expires, a prune after each full backup. */
function askedADay(load: Load, kept: Kept | undefined): { requests: Mutable<Requests>; egressBytes: number } {
  const { ticksADay, fullsADay, fullBytes, tickBytes } = load;
  const segments = ticksADay + fullsADay;
  const packs = fullsADay * Math.ceil(fullBytes / PACK_BYTES);
  const caches = 2 * (fullsADay + ticksADay / CHECKPOINT_EVERY);
  const pushed = { ...LOOK, put: segments + packs + caches };
  if (kept === undefined) return { requests: pushed, egressBytes: 0 };
  // Of segments the ends that are new are read, of packs all: whoever prunes keeps the former.
  const [isWhole, read] = [tickBytes <= ONE_REQUEST_BYTES, fullsADay * (kept.fulls + OTHER_PACKS)];
  const swept = { put: 0, get: segments * (isWhole ? 1 : 2) + 2 * read, list: 0, head: 0, delete: segments + packs };
  const around = add(scale(PRUNE, fullsADay), scale(LOOK_UP, segments));
  return {
    requests: add(add(pushed, swept), around),
    egressBytes:
      around.get * READ_BYTES +
      segments * (isWhole ? tickBytes : END_BYTES) +
      read * (END_BYTES + PACK_END_SHARE * fullBytes),
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function add(a: Requests, b: Requests): Requests {
  return combine(a, b, (one, other) => one + other);
}

function scale(requests: Requests, factor: number): Requests {
  return combine(requests, requests, (one) => one * factor);
}

function combine(a: Requests, b: Requests, join: (one: number, other: number) => number): Requests {
  const of = (kind: keyof Requests): number => join(a[kind], b[kind]);
  return { put: of('put'), get: of('get'), list: of('list'), head: of('head'), delete: of('delete') };
}
