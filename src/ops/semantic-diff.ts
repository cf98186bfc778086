// Two moments of an agent, compared by meaning: opening a comparison lists the files that differ and reads none of them; each file is
// compared when it is asked for, within bounds of time and memory, and may be given up.

import type { Component } from '../model/component.ts';
import type { CommitId } from '../model/ids.ts';
import type { ComparedFile, SemanticDiff } from '../model/semantic-diff.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';

/** What to compare. */
export interface ComparisonOptions {
  /** The older moment; undefined for nothing, so that everything of the other is new. */
  readonly from: CommitId | undefined;
  /** The newer moment; `live` captures the live agent, with nothing stored. */
  readonly to: CommitId | 'live';
  /** Paths of the commit tree to stay below; all unless given. */
  readonly paths?: readonly string[];
  /** Only this component. */
  readonly component?: Component | undefined;
}

/** How to compare a file. */
export interface CompareOptions {
  /** Secrets as they are, not masked. */
  readonly showSecrets?: boolean;
  /** Gives the work up: `compare` rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Two moments, opened to be compared. It holds nothing open beyond the agent's repository, and needs no closing. */
export interface Comparison {
  /** What differs, by path. */
  readonly files: readonly ComparedFile[];
  /**
   * Compares one of the files. Calls may overlap.
   * @throws the signal's reason; {MoltError} DAMAGED and its kin when content can't be read
   */
  compare(file: ComparedFile, options?: CompareOptions): Promise<SemanticDiff>;
}

/**
 * Opens a comparison of two moments of an agent.
 * @throws {MoltError} DAMAGED and its kin
 */
export async function openComparison(
  _context: OpsContext,
  _open: OpenAgent,
  _options: ComparisonOptions,
): Promise<Comparison> {
  throw new Error('not there yet');
}
