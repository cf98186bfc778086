// Tells what changed since the last commit, and how old the newest backup is.

import type { CommitKind } from '../format/segment.ts';
import type { Component, ComponentSize } from '../model/component.ts';
import type { EntryAttributes, SkippedPath } from '../model/entry.ts';
import type { CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { Repository } from '../repo/repository.ts';
import { readOpenAlerts, type OpenAlert } from './alert-question.ts';
import { ATTRIBUTES_FILE } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { readComponents } from './diff.ts';
import { readHistoryCommit } from './ancestry.ts';
import type { Incarnation } from './home.ts';
import { findKnownFence, ownNumber } from './incarnation.ts';
import { openAgent } from './open.ts';
import { listRemoteStatus, type RemoteStatus } from './remote-status.ts';
import { commitSide, liveSide, type LiveSide } from './side.ts';
import { getHead } from './revision.ts';
import { listChanges, type ChangeKind } from './tree-diff.ts';

/** A path that differs from the last commit. */
export interface ChangedPath {
  /** Escaped path in the commit tree. */
  readonly path: string;
  readonly component: Component;
  readonly change: ChangeKind;
  readonly from?: string;
}

/** How an agent stands: CLI.md's JSON for `status`. */
export interface Status {
  readonly agent: string;
  readonly profile: string;
  readonly stateDir: string;
  readonly branch: string;
  readonly head: CommitId;
  readonly headTime: string;
  readonly headKind: CommitKind;
  readonly headMessage: string;
  /** When the live state was last seen to be what the head holds: by a commit that found no change, else the head's own time. */
  readonly checkedTime: string;
  /** How long ago that was. */
  readonly ageMs: number;
  readonly changed: readonly ChangedPath[];
  /** How many more files and folders differ only in their times or permissions, or are folders without files. */
  readonly attributesChanged: number;
  /** Of the live agent. */
  readonly components: readonly ComponentSize[];
  readonly skipped: readonly SkippedPath[];
  readonly remotes: readonly RemoteStatus[];
  /** The incarnation of the branch that the agent lives in, and the one that fences it off, as far as this machine knows. */
  readonly incarnation: number;
  /** Changes that look like losses, and wait for an answer; until then nothing is pruned. */
  readonly alerts: readonly OpenAlert[];
  readonly fencedBy: (Pick<Incarnation, 'number' | 'why'> & { readonly time: string }) | undefined;
}

/** Compares the live agent with its branch's head; stores nothing. */
export async function readStatus(context: OpsContext, label: string | undefined): Promise<Status> {
  await using open = await openAgent(context, label);
  const { agent, repository } = open;
  const head = getHead(open);
  const { text } = await readHistoryCommit(repository, head);
  const live = await liveSide(context, open, { keepContent: false });
  const { captured } = live;
  const checkedMs = Math.max(text.timeMs, captured.checkedMs ?? 0);
  const fence = await findKnownFence(open);
  const { changed, attributesChanged } = await compareWithHead(repository, head, live);
  return {
    agent: agent.label,
    profile: agent.profile,
    stateDir: agent.stateDir,
    branch: agent.branch,
    head,
    headTime: formatJsonTime(text.timeMs),
    headKind: text.kind,
    headMessage: text.message,
    checkedTime: formatJsonTime(checkedMs),
    ageMs: context.clock.now() - checkedMs,
    changed,
    attributesChanged,
    components: captured.components,
    skipped: captured.skipped,
    remotes: await listRemoteStatus(context, open, head, checkedMs),
    incarnation: ownNumber(agent),
    alerts: await readOpenAlerts(repository),
    fencedBy: fence && { number: fence.number, why: fence.why, time: formatJsonTime(fence.timeMs) },
  };
}

async function compareWithHead(
  repository: Repository,
  head: CommitId,
  live: LiveSide,
): Promise<Pick<Status, 'changed' | 'attributesChanged'>> {
  const before = await commitSide(repository, head);
  const changes = await listChanges(before, live);
  const sameAttributes = live.attributesId === before.view.top.get(ATTRIBUTES_FILE)?.id;
  if (changes.length === 0 && sameAttributes) return { changed: [], attributesChanged: 0 };
  const componentOf = await readComponents(before, live);
  const changed = changes.map(({ path, change, from }) => ({
    path,
    component: componentOf(path),
    change,
    ...(from !== undefined && { from }),
  }));
  const paths = changes.flatMap(({ path, from }) => (from === undefined ? [path] : [path, from]));
  const attributesChanged = sameAttributes
    ? 0
    : countAttributes(await before.attributes(), await live.attributes(), paths);
  return { changed, attributesChanged };
}

/** Counts the entries that differ although their content does not; folders around a change, whose times follow, don't count. */
function countAttributes(
  before: ReadonlyMap<string, EntryAttributes>,
  after: ReadonlyMap<string, EntryAttributes>,
  changed: readonly string[],
): number {
  const explained = new Set<string>();
  for (const path of changed) {
    for (let at = path.length; at > 0; at = path.lastIndexOf('/', at - 1)) explained.add(path.slice(0, at));
  }
  let count = 0;
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(path), after.get(path)];
    const isSame = was?.type === is?.type && was?.mode === is?.mode && was?.mtimeNs === is?.mtimeNs;
    if (!isSame && !explained.has(path)) count += 1;
  }
  return count;
}
