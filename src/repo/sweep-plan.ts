// Decides what a sweep takes away: how much of the log's beginning, and which packs, so that what is copied is little beside what is freed.

import type { PackId } from '../model/ids.ts';
import type { Census, CountedContainer } from './census.ts';

/** What a sweep takes away. */
export interface SweepPlan {
  /** Segments up to this number go; the number where the log begins now if none do. */
  readonly throughSeq: number;
  /** What goes: of what is needed in it copies are made first. */
  readonly going: readonly CountedContainer[];
  /** What it frees, and what of that is written again, about, in bytes. */
  readonly freedBytes: number;
  readonly copiedBytes: number;
}

/** A byte that is copied is written now and may be copied once more later; one that is freed is freed once. */
const COPY_COST = 2;
/** What a segment costs beside its bytes: an object of the storage. */
const OBJECT_BYTES = 4096;
/** The share of packs that may be waste. */
const WASTE_SHARE = 0.1;

/**
 * Decides.
 * @param throughSeq the last segment that goes, by findBegin
 * @param pinned packs that stay whatever is in them
 */
export function planSweep(census: Census, throughSeq: number, pinned: ReadonlySet<PackId>): SweepPlan {
  const isGoing = ({ ref }: CountedContainer): boolean => 'seq' in ref && ref.seq <= throughSeq;
  const going = [...census.containers.filter(isGoing), ...choosePacks(census, pinned)];
  const copiedBytes = sum(going.map(liveBytes));
  return { throughSeq, going, copiedBytes, freedBytes: sum(going.map(({ sizeBytes }) => sizeBytes)) };
}

/**
 * Returns the number up to which taking the log's beginning away gains most. What can't be read, or is locked, is left alone.
 * @param beginSeq the last number that is gone already
 */
export function findBegin({ containers }: Census, beginSeq: number): number {
  const segments = containers.flatMap((container) =>
    'seq' in container.ref ? [{ ...container, seq: container.ref.seq }] : [],
  );
  let best = { seq: beginSeq, gain: 0 };
  let gain = 0;
  // The last one stays: the next has to follow it.
  for (const segment of segments.toSorted((a, b) => a.seq - b.seq).slice(0, -1)) {
    if (segment.isDamaged || segment.isLocked) break;
    gain += wasteOf(segment) + OBJECT_BYTES - COPY_COST * liveBytes(segment);
    if (gain >= best.gain) best = { seq: segment.seq, gain };
  }
  return best.seq;
}

/** Chooses packs, those with the largest share of waste first, until little of it is left. */
function choosePacks({ containers }: Census, pinned: ReadonlySet<PackId>): CountedContainer[] {
  const mayGo = ({ isDamaged, isLocked }: CountedContainer): boolean => !isDamaged && !isLocked;
  const packs = containers.filter((one) => 'pack' in one.ref && mayGo(one) && !pinned.has(one.ref.pack));
  let waste = sum(packs.map(wasteOf));
  let kept = sum(packs.map(({ sizeBytes }) => sizeBytes));
  const chosen: CountedContainer[] = [];
  const byShare = packs.toSorted((a, b) => a.liveShare - b.liveShare);
  for (const pack of byShare) {
    if (pack.liveShare > 0 && waste <= WASTE_SHARE * kept) break;
    chosen.push(pack);
    waste -= wasteOf(pack);
    kept -= wasteOf(pack);
  }
  return chosen;
}

function liveBytes({ sizeBytes, liveShare }: CountedContainer): number {
  return sizeBytes * liveShare;
}

function wasteOf({ sizeBytes, liveShare }: CountedContainer): number {
  return sizeBytes * (1 - liveShare);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
