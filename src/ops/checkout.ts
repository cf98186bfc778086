// Puts the files of a commit into a new folder, as its tree has them. The agent itself is not touched.

import type { RestoreEntry } from '../model/entry.ts';
import type { CommitId } from '../model/ids.ts';
import { escapeName } from '../model/name.ts';
import { readCommitView, readRestoreEntries } from './commit-files.ts';
import { findPath } from './commit-path.ts';
import type { OpsContext } from './context.ts';
import { readHistoryCommit } from './ancestry.ts';
import { checkNewFolder, makeFolder } from './new-folder.ts';
import type { OpenAgent } from './open.ts';
import { placeFiles, selectEntries } from './place-files.ts';
import { resolveRevision } from './revision.ts';

/** What to check out. */
export interface CheckoutOptions {
  readonly revision: string;
  /** A folder that does not exist or is empty. */
  readonly dir: string;
  /** Paths of the commit as the user writes them; none means all. */
  readonly paths: readonly string[];
}

/** What came of it. */
export interface CheckoutResult {
  readonly agent: string;
  readonly commit: CommitId;
  /** When it was captured, in milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** Absolute. */
  readonly dir: string;
  readonly files: { readonly written: number };
  readonly bytes: { readonly written: number };
  readonly durationMs: number;
}

/**
 * Checks a commit out.
 * @throws {MoltError} EXISTS when the folder is not empty, NOT_FOUND for a revision or path that is none, DAMAGED or HOSTILE for
 * content that is not what it should be; then the folder is as it was
 */
export async function checkout(
  context: OpsContext,
  open: OpenAgent,
  options: CheckoutOptions,
): Promise<CheckoutResult> {
  const startedMs = context.clock.now();
  const { agent, repository } = open;
  const dir = await checkNewFolder(context.cwd, options.dir);
  const commit = await resolveRevision(context, open, options.revision);
  const view = await readCommitView(repository, commit);
  const all = await readRestoreEntries(repository, view);
  const paths: string[] = [];
  for (const text of options.paths) {
    // oxlint-disable-next-line no-await-in-loop -- a few paths
    paths.push(findFolder(all, text) ?? (await findPath(context, open, view, text)).path);
  }
  const entries = paths.length === 0 ? all : selectEntries(all, paths);
  const written = await makeFolder(context.home, dir, (temp) => placeFiles(context, repository, entries, temp));
  return {
    agent: agent.label,
    commit,
    timeMs: (await readHistoryCommit(repository, commit)).text.timeMs,
    dir,
    files: { written: written.files + written.links },
    bytes: { written: written.bytes },
    durationMs: context.clock.now() - startedMs,
  };
}

/** Finds a folder by its path in the commit or below the state folder: Git's trees know only those that hold something. */
function findFolder(entries: readonly RestoreEntry[], text: string): string | undefined {
  const names = text.split('/').filter((name) => name !== '');
  const path = names.map((name) => escapeName(name)).join('/');
  return entries.find((entry) => entry.type === 'directory' && (entry.path === path || entry.path === `state/${path}`))
    ?.path;
}
