// What a restore in place is asked for, and what it comes to.

import type { RebindChange } from '../agent/revival.ts';
import type { Component } from '../model/component.ts';
import type { CommitId } from '../model/ids.ts';
import type { Incarnation } from './home.ts';
import { hazardsOf, type ComparedPlan } from './in-place-plan.ts';
import type { Phase } from './phase-timer.ts';
import type { PodSummary } from './pods.ts';
import { bytesOf } from './stage.ts';

/** What a restore in place would do, or did. */
export interface InPlaceResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  /** The commit of what was there before; undefined if nothing was, and for a dry run. */
  readonly safety: CommitId | undefined;
  /** The folder where what was there stays, because not all of it can be saved; absolute. */
  readonly kept?: string;
  readonly hazards: readonly string[];
  readonly phases: readonly Phase[];
  /** What was bound to where the files are, beside what the commit says. */
  readonly rebound?: readonly RebindChange[];
  /** Of an agent that runs: `stop-first` stops it, replaces its files and starts it; `beside` lets another generation take over. */
  readonly switch?: 'stop-first' | 'beside';
  /** Of a plan: whether it can't be carried out because the agent runs and molt can't stop it. */
  readonly isRefused?: boolean;
  /** Of an agent that was stopped or started: which, and what went wrong with starting it. */
  readonly lifecycle?: { readonly stopped: boolean; readonly started: boolean; readonly problem?: string };
  /** Why an agent that was gone was not started. */
  readonly unstarted?: string;
  /** The pod that runs the agent. */
  readonly pod?: PodSummary;
  /** What of the commit the running agent does not have, as sentences. */
  readonly problems?: readonly string[];
}

/** What of a commit to restore in place. */
export interface InPlaceOptions {
  /** Only these components; everything else stays as it is. */
  readonly components?: readonly Component[] | undefined;
  /** Whether an agent that was stopped for it is started afterwards; true unless given. */
  readonly isStartWanted?: boolean | undefined;
  /** Whether a state of a newer program than is known is bound to another place all the same. */
  readonly isForced?: boolean | undefined;
  /** Asks whether a pod of the backup may be run, where the agent's folder was gone and something has to start it; else nothing does. */
  readonly ask?: ((question: string) => Promise<boolean>) | undefined;
  /** What to call it in the incarnation that it begins; `in-place` unless given. */
  readonly why?: Incarnation['why'] | undefined;
}

/** Returns what carrying a plan out comes to. */
export function resultOf(plan: ComparedPlan, safety: CommitId | undefined): Omit<InPlaceResult, 'phases'> {
  return {
    files: {
      written: plan.put.length,
      removed: plan.remove.filter(({ type }) => type !== 'directory').length,
      unchanged: plan.unchanged,
    },
    bytes: { fetched: 0, written: bytesOf(plan.put) },
    safety,
    hazards: hazardsOf(plan),
  };
}
