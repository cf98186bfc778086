// What to do about a change that looks like a loss: the last good commit is held and retention stands still until somebody says whether
// it was one. The hold itself is the open question, so that every machine that fetches it knows.

import { MoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit } from './ancestry.ts';
import type { OpsContext } from './context.ts';
import { findHold, readHolds, writeHold, type Hold } from './hold.ts';
import type { OpenAgent } from './open.ts';
import { openForWords } from './open-words.ts';
import { resolveRevision } from './revision.ts';
import type { Suspicion } from './suspicion.ts';

/** A question that waits for an answer: CLI.md's JSON for `alert list`. */
export interface OpenAlert {
  /** The commit that looks like a loss, if it is known. */
  readonly commit: CommitId | undefined;
  /** The last good one, which is held, and when it was captured. */
  readonly good: CommitId;
  readonly goodTime: string;
  /** When it was noticed. */
  readonly time: string;
  readonly agent: string;
  /** What looks lost, a sentence each. */
  readonly findings: readonly string[];
}

/** What became of a loss, as somebody says: `fine`, it was none; `lost`, it was, and the good commit stays held. */
export type Verdict = 'fine' | 'lost';

const MOST_FINDINGS = 20;

/** Holds the last good commit after a suspicious change. */
export async function holdAfterLoss(context: OpsContext, open: OpenAgent, suspicion: Suspicion): Promise<void> {
  const { good, commit, findings } = suspicion;
  const known = await findHold(open.repository, good);
  const own = known?.isHeld === true && known.setBy === 'person' ? known.reason : undefined;
  const more = findings.length - MOST_FINDINGS;
  const lines = findings.slice(0, MOST_FINDINGS).map(({ text }) => text.replaceAll(/\s+/g, ' '));
  if (more > 0) lines.push(`and ${more} more`);
  await writeHold(context, open, {
    commit: good,
    isHeld: true,
    reason: lines.join('\n'),
    setBy: 'alert',
    suspect: commit,
    personReason: own ?? (known?.isHeld === true ? known.personReason : undefined),
  });
}

/** Returns the questions that wait for an answer, oldest first; while there is one, nothing may be pruned. */
export async function listOpenAlerts(repository: Repository): Promise<Hold[]> {
  const holds = [...(await readHolds(repository)).values()].filter(({ setBy }) => setBy === 'alert');
  return holds.toSorted((a, b) => a.timeMs - b.timeMs);
}

/**
 * Refuses to prune while a question is open: what retention would drop may be what was lost.
 * @throws {MoltError} CONFLICT
 */
export function refuseWhileAsked(label: string, holds: ReadonlyMap<CommitId, Hold>): void {
  const waiting = [...holds.values()].filter(({ setBy }) => setBy === 'alert');
  const [first] = waiting;
  if (first === undefined) return;
  throw new MoltError(
    'CONFLICT',
    `nothing is pruned: a change to ${first.agent} looks like a loss, and nobody has said whether it was one`,
    {
      hint: `molt alert list ${label} shows what looks lost; molt alert answer goes on`,
      details: { alerts: waiting.map(({ suspect, commit }) => suspect ?? commit) },
    },
  );
}

/** Returns an open question with what people want to know of it. */
export async function describeAlert(repository: Repository, hold: Hold): Promise<OpenAlert> {
  const { text } = await readHistoryCommit(repository, hold.commit);
  return {
    commit: hold.suspect,
    good: hold.commit,
    goodTime: formatJsonTime(text.timeMs),
    time: formatJsonTime(hold.timeMs),
    agent: hold.agent,
    findings: hold.reason.split('\n'),
  };
}

/** Lists the open questions of an agent's repository, oldest first. */
export async function readOpenAlerts(repository: Repository): Promise<OpenAlert[]> {
  const alerts: OpenAlert[] = [];
  for (const hold of await listOpenAlerts(repository)) {
    // oxlint-disable-next-line no-await-in-loop -- neighbouring commits share blocks
    alerts.push(await describeAlert(repository, hold));
  }
  return alerts;
}

/**
 * Answers open questions; retention goes on when none is left.
 * @param options.words an agent, a revision that names the suspicious or the held commit, or both; without one the only question is meant
 * @throws {MoltError} NOT_FOUND when there is none, AMBIGUOUS when several are open and none is named
 */
export async function answerAlerts(
  context: OpsContext,
  options: {
    readonly agent: string | undefined;
    readonly words: readonly string[];
    readonly all: boolean;
    readonly verdict: Verdict;
  },
): Promise<OpenAlert[]> {
  await using opened = await openForWords(context, options.agent, options.words);
  const { open, words } = opened;
  const [revision, surplus] = words;
  if (surplus !== undefined)
    throw new MoltError('USAGE', `alert answer takes one revision, not also '${surplus}'`, {
      hint: 'molt alert answer --help',
    });
  const { repository } = open;
  const waiting = await listOpenAlerts(repository);
  const named = revision === undefined ? undefined : await resolveRevision(context, open, revision);
  const meant = waiting.filter(({ commit, suspect }) => named === undefined || [commit, suspect].includes(named));
  if (meant.length === 0)
    throw new MoltError(
      'NOT_FOUND',
      `no alert${revision === undefined ? '' : ` about "${revision}"`} waits for an answer`,
      {
        hint: 'molt alert list shows those that do',
      },
    );
  if (meant.length > 1 && named === undefined && !options.all)
    throw new MoltError(
      'AMBIGUOUS',
      `which alert? those about ${meant.map(({ suspect, commit }) => shortId(suspect ?? commit)).join(', ')} wait for an answer`,
      { hint: 'name one, or answer all with --all' },
    );
  const answered: OpenAlert[] = [];
  for (const hold of meant) {
    const { commit, reason, personReason } = hold;
    const isKept = options.verdict === 'lost' || personReason !== undefined;
    const why = options.verdict === 'lost' ? `before a loss: ${reason}` : (personReason ?? '');
    // oxlint-disable-next-line no-await-in-loop -- one after the other, each an event of the log
    await writeHold(context, open, { commit, isHeld: isKept, reason: why, setBy: 'person' });
    // oxlint-disable-next-line no-await-in-loop -- the same
    answered.push(await describeAlert(repository, hold));
  }
  return answered;
}
