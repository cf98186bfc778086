// Compares two moments of an agent whose repository is open, as an interface needs it: first which files differ and how large they are,
// then one file when somebody looks at it.

import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import type { ComparedFile, SemanticDiff } from '../model/semantic-diff.ts';
import { readCommit } from '../repo/git.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { openComparison } from './semantic-diff.ts';

/** A file that differs. */
export interface ComparedPath extends ComparedFile {
  /** Undefined where it is not there on that side. */
  readonly beforeBytes: number | undefined;
  readonly afterBytes: number | undefined;
}

/** What differs between two moments. */
export interface Comparison {
  /** By path. */
  readonly changes: readonly ComparedPath[];
  /** Compares one of the changes by meaning; its secrets are masked. Rejects with the signal's reason when it is aborted. */
  readFile(path: string, signal: AbortSignal): Promise<SemanticDiff>;
}

/** The moments of a comparison: a commit, the live agent, or before there was anything. */
export interface Moments {
  readonly from: CommitId | 'nothing';
  readonly to: CommitId | 'live';
}

/** Returns what a commit is compared with to see what it changed: its first parent, if that has its content still. */
export async function momentsOf({ repository }: OpenAgent, id: CommitId): Promise<Moments> {
  const [first] = (await readCommit(repository, id)).parents;
  const isThere = first !== undefined && !(await repository.isExpired(first));
  return { from: isThere ? first : 'nothing', to: id };
}

/** Compares two moments. @throws {MoltError} EXPIRED when one of them has no content any more, and what reading them throws */
export async function compareMoments(context: OpsContext, open: OpenAgent, { from, to }: Moments): Promise<Comparison> {
  const comparison = await openComparison(context, open, { from: from === 'nothing' ? undefined : from, to });
  const changes: ComparedPath[] = [];
  for (const file of comparison.files) {
    context.signal?.throwIfAborted();
    // oxlint-disable-next-line no-await-in-loop -- records of neighbouring files share a block
    const { before, after } = await comparison.contents(file);
    changes.push({ ...file, beforeBytes: before?.sizeBytes, afterBytes: after?.sizeBytes });
  }
  const byPath = new Map(comparison.files.map((file) => [file.path, file]));
  return {
    changes,
    async readFile(path, signal) {
      const file = byPath.get(path);
      if (file === undefined) throw new MoltError('NOT_FOUND', `"${path}" does not differ`);
      return comparison.compare(file, { signal });
    },
  };
}
