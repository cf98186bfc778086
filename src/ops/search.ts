// Finds a phrase in all history.

import type { CommitId } from '../model/ids.ts';
import type { Turn } from '../model/turn.ts';

/** What to look for. */
export interface SearchOptions {
  readonly agent: string | undefined;
  /** Words before and after fold to the same: case and runs of white space don't matter unless `isExact` says that case does. */
  readonly phrase: string;
  /** Capital and small letters differ. */
  readonly isExact?: boolean;
  /** The line of history that ends here is searched; the branch's head if it is left out. REV. */
  readonly revision?: string | undefined;
  /** Only in these files, and below these folders. */
  readonly paths?: readonly string[];
  /** No more is looked for after the first answer, and when it went away. */
  readonly isFirstOnly?: boolean;
  /** Stops the search; what was indexed so far stays. */
  readonly signal?: AbortSignal | undefined;
}

/** A commit and when it was captured. */
export interface SearchMoment {
  readonly commit: CommitId;
  readonly timeMs: number;
}

/** A span of history in which a file, or a turn of a conversation, had the phrase. */
export interface SearchAnswer {
  /** From 0. An answer comes again with its number once more is known of it, and replaces the one before. */
  readonly number: number;
  /** Escaped commit path. */
  readonly path: string;
  /** The first kept commit of the span. */
  readonly appeared: SearchMoment;
  /** The kept commit before it, which does not have the phrase; undefined where `appeared` is the first that is kept. */
  readonly before: SearchMoment | undefined;
  /** Commits between `before` and `appeared`, or before `appeared`, were pruned: it may have appeared in one of these. */
  readonly mayBeEarlier: boolean;
  /** `pending` until it was looked for; undefined if the phrase is there to the end of the line of history. */
  readonly gone: SearchMoment | 'pending' | undefined;
  /** The last kept commit of the span that is known: the one before `gone`, or the end of the line of history. */
  readonly lastSeen: SearchMoment | undefined;
  /** The line of the file, from 1, where the phrase is in `appeared`; undefined for a turn of a database. */
  readonly line: number | undefined;
  /** Text around the phrase, one line, secrets masked, safe for a terminal. */
  readonly excerpt: string;
  /** The turn that has the phrase, if it is a conversation's. */
  readonly turn: Turn | undefined;
}
