// How long the steps of a restore take.

import type { OpsContext } from './context.ts';

/** One step and how long it took. */
export interface Phase {
  readonly name: string;
  readonly durationMs: number;
}

/** Measures steps that follow each other. */
export class PhaseTimer {
  readonly phases: Phase[] = [];
  readonly #context: Pick<OpsContext, 'clock'>;
  #sinceMs: number;

  constructor(context: Pick<OpsContext, 'clock'>) {
    this.#context = context;
    this.#sinceMs = context.clock.now();
  }

  /** Ends a step that began with the last one's end. */
  end(name: string): void {
    const now = this.#context.clock.now();
    this.phases.push({ name, durationMs: now - this.#sinceMs });
    this.#sinceMs = now;
  }
}
