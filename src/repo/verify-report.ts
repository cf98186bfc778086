// What a check of a storage found, collected as it goes.

import { MoltError, type ErrorCode } from '../model/error.ts';

/** Something wrong with an object of a storage. */
export interface VerifyProblem {
  /** The object's name. */
  readonly object: string;
  readonly code: ErrorCode;
  readonly problem: string;
  readonly repaired: boolean;
}

/** Something that is worth knowing and hurts nothing. */
export interface VerifyNote {
  readonly object: string;
  readonly note: string;
}

/** How much was checked. */
export interface CheckedCounts {
  readonly segments: number;
  readonly packs: number;
  readonly objects: number;
  readonly bytes: number;
}

/** Collects problems, notes and counts. */
export class VerifyReport {
  readonly checked = { segments: 0, packs: 0, objects: 0, bytes: 0 };
  readonly notes: VerifyNote[] = [];
  #problems: VerifyProblem[] = [];
  readonly #named = new Set<string>();

  get problems(): readonly VerifyProblem[] {
    return this.#problems;
  }

  /** Says whether something is wrong with an object. */
  has(object: string): boolean {
    return this.#named.has(object);
  }

  /** Adds a problem with an object; more of the same kind with one object say nothing new. */
  add(object: string, error: MoltError): void {
    const { code, message } = error;
    if (this.#problems.some((known) => known.object === object && known.code === code)) return;
    this.#named.add(object);
    this.#problems.push({ object, code, problem: message, repaired: false });
  }

  note(object: string, note: string): void {
    this.notes.push({ object, note });
  }

  /** Marks the problems with an object as repaired. */
  setRepaired(object: string): void {
    this.#problems = this.#problems.map((problem) =>
      problem.object === object ? { ...problem, repaired: true } : problem,
    );
  }
}
