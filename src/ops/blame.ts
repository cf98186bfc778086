// Tells which commit wrote each line of a file, and what was said to the agent before.

import type { CommitId } from '../model/ids.ts';
import type { PlacedTurn } from '../model/turn.ts';

/** Which lines to blame. */
export interface BlameOptions {
  readonly agent: string | undefined;
  /** An agent may stand before REV:PATH. */
  readonly words: readonly string[];
  /** Only these lines, from 1, both included. */
  readonly lines?: { readonly from: number; readonly to: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One line of the file. */
export interface BlameLine {
  /** From 1. */
  readonly number: number;
  /** Without its end; as it is stored, not safe for a terminal. */
  readonly text: string;
  /** The commit that wrote it; `moments` has more of it. */
  readonly commit: CommitId;
}

/** A commit that wrote lines, and the window before it. */
export interface BlameMoment {
  readonly commit: CommitId;
  readonly timeMs: number;
  readonly message: string;
  /** The file's escaped path then. */
  readonly path: string;
  /** The kept commit before it: what was said since then may be why. Undefined where history begins. */
  readonly before: { readonly commit: CommitId; readonly timeMs: number } | undefined;
  /** History begins here, or was pruned before: the lines may be older. */
  readonly mayBeEarlier: boolean;
}

/** A blamed file. */
export interface Blame {
  readonly commit: CommitId;
  /** Escaped commit path. */
  readonly path: string;
  readonly lines: readonly BlameLine[];
  /** Of the commits in `lines`, newest first. */
  readonly moments: readonly BlameMoment[];
}

/** A blamed file, its repository still open until it is disposed of. */
export interface OpenBlame extends AsyncDisposable {
  readonly blame: Blame;
  /** Returns what was said in the window of a moment, in the order of time. */
  readTurns(moment: BlameMoment): Promise<PlacedTurn[]>;
}
