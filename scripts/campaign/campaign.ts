// What the campaigns share: their interface, seeded randomness, and the tally of what was tried and what failed.

import { seededRandom } from '../../test/crypto/random.ts';

/** What a campaign runs with. */
export interface CampaignRun {
  readonly seed: string;
  /** How much of the whole campaign is done, from 0 to 1. */
  readonly share: number;
  /** A folder of the campaign's own, empty, under its real path. */
  readonly base: string;
}

/** One line of the table at the end. */
export interface Figure {
  readonly what: string;
  readonly count: number;
}

/** Counts what was done, and keeps what went wrong. */
export class Tally {
  readonly failures: string[] = [];
  readonly skipped: string[] = [];
  readonly #counts = new Map<string, number>();

  add(what: string, count = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  fail(where: string, error: unknown): void {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.failures.push(`${where}: ${why}`);
    console.log(`FAILED ${where}: ${why}`);
  }

  skip(what: string, why: string): void {
    this.skipped.push(`${what}: ${why}`);
  }

  get figures(): Figure[] {
    return [...this.#counts].map(([what, count]) => ({ what, count }));
  }
}

/** A campaign: one subject, one file. */
export type Campaign = (run: CampaignRun, tally: Tally) => Promise<void>;

/** Returns a source of numbers from 0 to 1 that is the same for the same seed. */
export function seeded(seed: string): () => number {
  const random = seededRandom(seed);
  return () => random.bytes(4).readUInt32LE() / 2 ** 32;
}
