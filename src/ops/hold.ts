// Holds: backups that are kept for ever, whatever retention says. Each is a ref of its own, so it travels like any other. A hold is ended
// by saying so in the same place, not by removing the ref: then the newest of two statements tells which side is behind, and a machine
// that was away can't bring an ended hold back.

import type { RefMove } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { isGitId, shortId, type CommitId, type GitId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import { readTag, writeTag } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { readHistoryCommit } from './ancestry.ts';
import { readCommitView } from './commit-files.ts';
import { splitTrailers } from './commit-message.ts';
import type { OpsContext } from './context.ts';
import { openAgent, type OpenAgent } from './open.ts';
import { openForWords } from './open-words.ts';
import { resolveRevision } from './revision.ts';

/** Where refs of holds live; the commit's id follows. */
export const HOLDS = 'refs/molt/holds/';

const MOST_TRIES = 100;

/** What was last said of holding a commit. */
export interface Hold {
  readonly commit: CommitId;
  /** False where a hold was ended. */
  readonly isHeld: boolean;
  /** Empty if none was given. */
  readonly reason: string;
  /** The agent for which it was said. */
  readonly agent: string;
  /** `alert`: by molt itself, because a commit after it looked like a loss. */
  readonly setBy: 'person' | 'alert';
  readonly timeMs: number;
  /** Of an alert: the commit that looked like a loss. */
  readonly suspect?: CommitId | undefined;
  /** Of an alert on a commit that a person holds as well: the person's reason. */
  readonly personReason?: string | undefined;
}

/** A held commit: CLI.md's JSON for `hold`. */
export interface HoldSummary {
  readonly commit: CommitId;
  /** When the commit was captured, and what it is. */
  readonly time: string;
  readonly kind: string;
  readonly message: string;
  readonly reason: string;
  readonly heldBy: string;
  readonly setBy: Hold['setBy'];
  readonly heldTime: string;
}

/** Returns the ref of a commit's hold. */
export function holdRef(commit: CommitId): string {
  return `${HOLDS}${commit}`;
}

/**
 * Returns the commits of a repository that are held now.
 * @throws {MoltError} DAMAGED when a statement can't be read: better nothing is dropped than something that is held
 */
export async function readHolds(repository: Repository): Promise<ReadonlyMap<CommitId, Hold>> {
  const holds = new Map<CommitId, Hold>();
  for (const [name, id] of repository.refs) {
    if (!name.startsWith(HOLDS)) continue;
    // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
    const hold = await readHoldTag(repository, id);
    if (hold.isHeld) holds.set(hold.commit, hold);
  }
  return holds;
}

/** Returns what was last said of holding a commit, or undefined. @throws {MoltError} DAMAGED when it can't be read */
export async function findHold(repository: Repository, commit: CommitId): Promise<Hold | undefined> {
  const id = repository.refs.get(holdRef(commit));
  return id === undefined ? undefined : readHoldTag(repository, id);
}

async function readHoldTag(repository: Repository, id: GitId): Promise<Hold> {
  const { commit, message, timestampS } = await readTag(repository, id);
  const { said, trailers } = splitTrailers(message);
  const timeMs = Date.parse(trailers.get('Time') ?? '');
  const suspect = trailers.get('Suspect');
  return {
    commit,
    isHeld: trailers.get('Hold') !== 'released',
    reason: said.split('\n').slice(1).join('\n').trim(),
    agent: trailers.get('By') ?? '',
    setBy: trailers.get('Why') === 'alert' ? 'alert' : 'person',
    timeMs: Number.isNaN(timeMs) ? timestampS * 1000 : timeMs,
    suspect: suspect !== undefined && isGitId(suspect) ? suspect : undefined,
    personReason: parseReason(trailers.get('Person')),
  };
}

function parseReason(text: string | undefined): string | undefined {
  try {
    const reason: unknown = JSON.parse(text ?? '');
    return typeof reason === 'string' ? reason : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Says whether a commit is held from now on. The statement is later than the one before it, whatever the clock shows.
 * @throws {MoltError} what publishing throws
 */
export async function writeHold(
  { clock }: Pick<OpsContext, 'clock'>,
  { agent, repository }: Pick<OpenAgent, 'agent' | 'repository'>,
  { commit, isHeld, reason, setBy, suspect, personReason }: Omit<Hold, 'agent' | 'timeMs'>,
): Promise<Hold> {
  const name = holdRef(commit);
  return repository.transact({ packs: false }, async (transaction) => {
    for (let tries = 1; ; tries += 1) {
      const from = repository.refs.get(name);
      // oxlint-disable-next-line no-await-in-loop -- again only when another process said something meanwhile
      const before = from === undefined ? undefined : await readHoldTag(repository, from);
      const timeMs = Math.max(clock.now(), (before?.timeMs ?? -Infinity) + 1);
      const subject = `${isHeld ? 'hold' : 'release'} ${shortId(commit)}`;
      const trailers = [
        `Molt-Hold: ${isHeld ? 'held' : 'released'}`,
        `Molt-Why: ${setBy}`,
        `Molt-By: ${agent.label}`,
        ...(suspect === undefined ? [] : [`Molt-Suspect: ${suspect}`]),
        ...(personReason === undefined ? [] : [`Molt-Person: ${JSON.stringify(personReason)}`]),
        `Molt-Time: ${formatJsonTime(timeMs)}`,
      ];
      // oxlint-disable-next-line no-await-in-loop -- the same
      const to = await writeTag(transaction, {
        name: name.slice('refs/'.length),
        commit,
        signature: { name: agent.label, email: 'agent@molt', timestampS: Math.floor(timeMs / 1000) },
        message: [subject, reason.trim(), trailers.join('\n')].filter((part) => part !== '').join('\n\n'),
      });
      try {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await transaction.publish([{ name, from, to, commit }], []);
        return { commit, isHeld, reason: reason.trim(), agent: agent.label, setBy, timeMs, suspect, personReason };
      } catch (error) {
        if (!isMoltError(error, 'CONFLICT') || error.details['ref'] === undefined || tries >= MOST_TRIES) throw error;
      }
    }
  });
}

/** Plans to move the holds of one repository to what another one knows that is newer. */
export async function planHolds(from: Repository, to: Repository): Promise<RefMove[]> {
  const moves: RefMove[] = [];
  for (const [name, id] of from.refs) {
    const there = to.refs.get(name);
    if (!name.startsWith(HOLDS) || there === id) continue;
    // oxlint-disable-next-line no-await-in-loop -- few differ
    if (there === undefined || (await isNewer(from, id, to, there)))
      moves.push({ name, from: there, to: id, commit: from.tagged.get(name) });
  }
  return moves;
}

async function isNewer(here: Repository, id: GitId, there: Repository, other: GitId): Promise<boolean> {
  const [ours, theirs] = [await readHoldTag(here, id), await readHoldTag(there, other)];
  // Two statements of one moment: both sides must choose the same.
  return ours.timeMs === theirs.timeMs ? id > other : ours.timeMs > theirs.timeMs;
}

/** Lists the held commits of an agent's repository, newest first. */
export async function listHolds(context: OpsContext, label: string | undefined): Promise<HoldSummary[]> {
  await using open = await openAgent(context, label);
  const summaries: HoldSummary[] = [];
  for (const hold of (await readHolds(open.repository)).values()) {
    // oxlint-disable-next-line no-await-in-loop -- neighbouring commits share blocks
    summaries.push(await summarizeHold(open.repository, hold));
  }
  return summaries.toSorted((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : a.commit < b.commit ? -1 : 1));
}

/** What came of holding: `unchanged` where it was held already. */
export interface HoldResult extends HoldSummary {
  readonly unchanged: boolean;
}

/**
 * Keeps a commit for ever. One that molt itself holds after a suspicious change is then held for the user too, whatever the answer.
 * @param options.words an agent, a revision (by default the newest commit), or both in this order
 * @throws {MoltError} EXPIRED when its content was pruned, and what looking up the revision throws
 */
export async function addHold(
  context: OpsContext,
  options: {
    readonly agent: string | undefined;
    readonly words: readonly string[];
    readonly reason?: string | undefined;
  },
): Promise<HoldResult> {
  await using opened = await openForWords(context, options.agent, options.words);
  const { open, words } = opened;
  refuseMore('add', words);
  const { repository } = open;
  const commit = await resolveRevision(context, open, words[0] ?? 'HEAD');
  // What is gone already can't be kept.
  await readCommitView(repository, commit);
  const known = await findHold(repository, commit);
  const own = known?.isHeld !== true ? undefined : known.setBy === 'person' ? known.reason : known.personReason;
  const reason = options.reason?.trim() ?? own ?? '';
  if (known !== undefined && own === reason) return { ...(await summarizeHold(repository, known)), unchanged: true };
  const isAlert = known?.isHeld === true && known.setBy === 'alert';
  const hold = await writeHold(
    context,
    open,
    isAlert ? { ...known, personReason: reason } : { commit, isHeld: true, reason, setBy: 'person' },
  );
  return { ...(await summarizeHold(repository, hold)), unchanged: false };
}

/**
 * Ends a hold; from then on retention decides.
 * @throws {MoltError} USAGE when no revision is given, NOT_FOUND when the commit is not held, CONFLICT when it is held by an alert alone
 */
export async function removeHold(
  context: OpsContext,
  options: { readonly agent: string | undefined; readonly words: readonly string[] },
): Promise<HoldSummary> {
  await using opened = await openForWords(context, options.agent, options.words);
  const { open, words } = opened;
  refuseMore('remove', words);
  const [revision] = words;
  if (revision === undefined)
    throw new MoltError('USAGE', 'hold remove needs REV: what is not to be held any longer', {
      hint: 'molt hold list shows what is held',
    });
  const { repository } = open;
  const commit = await resolveRevision(context, open, revision);
  const known = await findHold(repository, commit);
  if (known?.isHeld !== true)
    throw new MoltError('NOT_FOUND', `"${revision}" is not held: nothing keeps ${shortId(commit)} by a hold`, {
      hint: 'molt hold list shows what is held',
      details: { commit },
    });
  if (known.setBy === 'alert' && known.personReason === undefined)
    throw new MoltError('CONFLICT', `${shortId(commit)} is held because a change after it looks like a loss`, {
      hint: 'answer that first: molt alert list shows what looks lost, molt alert answer ends the hold',
      details: { commit },
    });
  await writeHold(
    context,
    open,
    known.setBy === 'alert'
      ? { ...known, personReason: undefined }
      : { commit, isHeld: false, reason: '', setBy: 'person' },
  );
  return await summarizeHold(repository, known);
}

/** Lists the ids of held commits and why each is held, for the shell's completion. */
export async function listHeldNames(
  context: OpsContext,
  label: string | undefined,
): Promise<{ readonly value: string; readonly meaning: string }[]> {
  const holds = await listHolds(context, label);
  return holds.map(({ commit, time, reason }) => ({
    value: shortId(commit),
    meaning: `${time}${reason === '' ? '' : `: ${reason}`}`,
  }));
}

function refuseMore(verb: string, [, surplus]: readonly string[]): void {
  if (surplus === undefined) return;
  throw new MoltError('USAGE', `hold ${verb} takes one revision, not also '${surplus}'`, {
    hint: `molt hold ${verb} --help`,
  });
}

async function summarizeHold(repository: Repository, hold: Hold): Promise<HoldSummary> {
  const { commit, text } = await readHistoryCommit(repository, hold.commit);
  return {
    commit: commit.id,
    time: formatJsonTime(text.timeMs),
    kind: text.kind,
    message: text.message,
    reason: hold.reason,
    heldBy: hold.agent,
    setBy: hold.setBy,
    heldTime: formatJsonTime(hold.timeMs),
  };
}
