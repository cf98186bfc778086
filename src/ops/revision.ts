// What a revision stands for in a repository. The grammar is policy/revision.ts; here its names, ids and times are looked up.

import { OBJECT } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import { shortId, type CommitId } from '../model/ids.ts';
import { findNearest } from '../model/nearest.ts';
import { formatTime } from '../model/time-format.ts';
import { parseRevision, type Revision, type RevisionBase, type RevisionStep } from '../policy/revision.ts';
import { parseTime } from '../policy/time.ts';
import { peelToCommit, readCommit } from '../repo/git.ts';
import { gitKey } from '../repo/keys.ts';
import type { OpsContext } from './context.ts';
import { findNewestAt, readHistoryCommit } from './ancestry.ts';
import { findCommitBefore } from './history.ts';
import { branchRef } from './home.ts';
import type { OpenAgent } from './open.ts';
import { listRefNames, orderTags } from './ref-name.ts';

/** How many names an error lists. */
const LISTED_NAMES = 8;

/** Something that a word stands for. */
export interface Match {
  /** `tag "v1"`. */
  readonly what: string;
  /** Undefined where it does not matter. */
  readonly commit: CommitId | undefined;
  /** When it was captured, in milliseconds since the Unix epoch, if that is to be told. */
  readonly timeMs?: number;
}

/** What a revision is looked up in. */
export type Where = Pick<OpenAgent, 'agent' | 'repository'>;

/**
 * Returns the commit that a revision stands for.
 * @throws {MoltError} USAGE when it is none, NOT_FOUND when it stands for nothing, AMBIGUOUS when it stands for several
 */
export async function resolveRevision(context: OpsContext, where: Where, text: string): Promise<CommitId> {
  return resolveParsed(context, where, parseRevision(text));
}

/** Returns the commit that a parsed revision stands for; throws as resolveRevision does. */
export async function resolveParsed(context: OpsContext, where: Where, revision: Revision): Promise<CommitId> {
  let commit = await resolveBase(context, where, revision);
  for (const step of revision.steps) {
    // oxlint-disable-next-line no-await-in-loop -- step by step
    commit = await takeStep(where, commit, step, revision);
  }
  return commit;
}

async function takeStep(
  where: Where,
  from: CommitId,
  { kind, n }: RevisionStep,
  revision: Revision,
): Promise<CommitId> {
  return kind === 'ancestor' ? goBack(where, from, n, revision) : takeParent(where, from, n, revision);
}

/**
 * Returns the commit at the tip of an agent's branch.
 * @throws {MoltError} NOT_FOUND when there is none
 */
export function getHead({ agent, repository }: Where): CommitId {
  const head = repository.refs.get(branchRef(agent));
  if (head !== undefined) return head;
  throw new MoltError('NOT_FOUND', `branch ${agent.branch} of agent "${agent.label}" has no commits yet`, {
    hint: `molt commit ${agent.label}`,
  });
}

async function resolveBase(context: OpsContext, where: Where, { base, text }: Revision): Promise<CommitId> {
  switch (base.kind) {
    case 'head':
    case 'latest':
      return getHead(where);
    case 'at':
      return resolveTime(context, where, base);
    case 'name': {
      const matches = await findMatches(context, where, base);
      const commits = new Set(matches.map(({ commit }) => commit));
      const [only] = commits;
      if (only !== undefined && commits.size === 1) return only;
      if (only !== undefined)
        throw ambiguous(
          base.name,
          await Promise.all(matches.map((match) => dated(where, match))),
          clearer(base.name, matches),
        );
      throw await unknownName(context, where, base.name, text);
    }
  }
}

/** Adds to a commit when it was captured: of two ids nobody knows which is which. */
async function dated({ repository }: Where, match: Match): Promise<Match> {
  if (match.commit === undefined) return match;
  const { text } = await readHistoryCommit(repository, match.commit);
  return { ...match, timeMs: text.timeMs };
}

/** Says how a word with these meanings can be written so that it has one. */
function clearer(name: string, matches: readonly Match[]): string {
  const forms = matches.flatMap(({ what }) =>
    what.startsWith('tag ') ? [`tags/${name}`] : what.startsWith('branch ') ? [`heads/${name}`] : [],
  );
  if (matches.some(({ what }) => what === 'commit')) forms.push('more digits of the id');
  return `write ${forms.join(' or ')}`;
}

async function findMatches(context: OpsContext, where: Where, base: RevisionBase & { kind: 'name' }): Promise<Match[]> {
  const { agent, repository } = where;
  const { name } = base;
  const matches: Match[] = [];
  const named = await context.home.findAgent(name);
  const head = named?.repository === agent.repository ? repository.refs.get(branchRef(named)) : undefined;
  if (head !== undefined) matches.push({ what: `agent "${name}"`, commit: head });
  const branch = repository.refs.get(`refs/heads/${name}`);
  if (branch !== undefined) matches.push({ what: `branch "${name}"`, commit: branch });
  const qualified = name.startsWith('refs/') ? name : /^(heads|tags)\//.test(name) ? `refs/${name}` : undefined;
  const ref = qualified === undefined ? undefined : repository.refs.get(qualified);
  if (ref !== undefined) matches.push({ what: name, commit: await peelToCommit(repository, ref) });
  return [...matches, ...(await findTagsAndIds(where, base))];
}

/** Finds the tag and the commits that a word stands for. */
export async function findTagsAndIds({ repository }: Where, base: RevisionBase & { kind: 'name' }): Promise<Match[]> {
  const { name, idPrefix } = base;
  const matches: Match[] = [];
  const tag = repository.refs.get(`refs/tags/${name}`);
  if (tag !== undefined) matches.push({ what: `tag "${name}"`, commit: await peelToCommit(repository, tag) });
  if (idPrefix === undefined) return matches;
  const ids =
    idPrefix.length === 40
      ? await findWholeId(repository, idPrefix as CommitId)
      : await repository.index.findCommitsByPrefix(idPrefix);
  return [...matches, ...ids.map((commit) => ({ what: 'commit', commit }))];
}

async function findWholeId(repository: Where['repository'], id: CommitId): Promise<CommitId[]> {
  const place = await repository.index.find(gitKey(id));
  return place?.type === OBJECT.commit ? [id] : [];
}

/** Returns the error for a word that stands for several things. */
export function ambiguous(word: string, matches: readonly Match[], hint: string): MoltError {
  const list = matches
    .slice(0, LISTED_NAMES)
    .map(({ what, commit, timeMs }) =>
      [what, commit && shortId(commit), timeMs !== undefined && `of ${formatTime(timeMs)}`].filter(Boolean).join(' '),
    );
  const more = matches.length > LISTED_NAMES ? ` and ${matches.length - LISTED_NAMES} more` : '';
  return new MoltError('AMBIGUOUS', `"${word}" has several meanings: ${list.join(', ')}${more}`, {
    hint,
    details: { matches },
  });
}

async function unknownName(
  context: OpsContext,
  { agent, repository }: Where,
  name: string,
  text: string,
): Promise<MoltError> {
  const other = await context.home.findAgent(name);
  if (other !== undefined) {
    return new MoltError(
      'NOT_FOUND',
      `agent "${name}" has a repository of its own, in which agent "${agent.label}" is not`,
      {
        hint: `molt log ${name}`,
      },
    );
  }
  const tags = orderTags(listRefNames(repository, 'tag'));
  const branches = listRefNames(repository, 'branch');
  const there = [listNames('tags', tags), branches.length > 1 ? listNames('branches', branches) : '']
    .filter((part) => part !== '')
    .join('; ');
  const agents = await context.home.listAgents().catch(() => []);
  const nearest = findNearest(name, [...branches, ...tags, 'HEAD', 'latest', ...agents.map(({ label }) => label)]);
  return new MoltError(
    'NOT_FOUND',
    `"${text}" is no commit, tag, branch or agent here${there === '' ? '' : `; there are ${there}`}`,
    {
      hint: nearest === undefined ? `molt log ${agent.label} shows the commits` : `did you mean ${nearest}`,
      details: { revision: text },
    },
  );
}

function listNames(what: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const more = names.length > LISTED_NAMES ? ` and ${names.length - LISTED_NAMES} more` : '';
  return `${what} ${names.slice(0, LISTED_NAMES).join(', ')}${more}`;
}

async function resolveTime(context: OpsContext, where: Where, base: RevisionBase & { kind: 'at' }): Promise<CommitId> {
  const { agent, repository } = where;
  const named = base.name === undefined ? undefined : await context.home.findAgent(base.name);
  const label = named?.label ?? agent.label;
  const ref =
    base.name === undefined
      ? branchRef(agent)
      : named?.repository === agent.repository
        ? branchRef(named)
        : `refs/heads/${base.name}`;
  const tip = repository.refs.get(ref);
  if (tip === undefined) throw await unknownLine(context, where, base.name ?? agent.branch);
  return findAt(context, where, { label, tip, time: base.time });
}

/** Returns the error for the name in `NAME@{TIME}`, which only an agent or a branch can be: what else there is never moves. */
async function unknownLine(context: OpsContext, where: Where, name: string): Promise<MoltError> {
  const { agent, repository } = where;
  if ((await context.home.findAgent(name)) !== undefined) return unknownName(context, where, name, name);
  const agents = (await context.home.listAgents().catch(() => []))
    .filter((other) => other.repository === agent.repository)
    .map(({ label }) => label);
  const branches = listRefNames(repository, 'branch');
  const nearest = findNearest(name, [...agents, ...branches]);
  const there = `${listNames('agents', agents)}; ${listNames('branches', branches)}`;
  return new MoltError('NOT_FOUND', `"${name}" is no agent or branch here; there are ${there}`, {
    hint: nearest === undefined ? `molt branch ${agent.label} lists the branches` : `did you mean ${nearest}`,
  });
}

/**
 * Returns the commit that an agent's branch had at a time, written as a TIME.
 * @throws {MoltError} USAGE when it is no time, NOT_FOUND when nothing had been saved by then
 */
export async function resolveTimestamp(context: OpsContext, where: Where, time: string): Promise<CommitId> {
  return findAt(context, where, { label: where.agent.label, tip: getHead(where), time });
}

async function findAt(
  context: OpsContext,
  { repository }: Where,
  wanted: { label: string; tip: CommitId; time: string },
): Promise<CommitId> {
  const { label, tip, time } = wanted;
  const { ms } = await parseTime(time, { nowMs: context.clock.now(), zone: context.zone ?? 'UTC', edge: 'end' });
  const found = await findCommitBefore(repository, tip, ms);
  if (found !== undefined && !found.isExpired) return found.commit.id;
  const whole = found && (await findNewestAt(repository, tip, ms, { isWhole: true }));
  if (found !== undefined && whole !== undefined) {
    const [gone, kept] = [formatTime(found.text.timeMs), formatTime(whole.text.timeMs)];
    context.reporter.warn(`what was saved at ${gone} has expired; this is ${kept}, the newest before it that is kept`);
    return whole.commit.id;
  }
  // Nothing that old is kept: what is asked for next says so.
  if (found !== undefined) return found.commit.id;
  const commits = await repository.index.readCommits();
  const since = commits.count === 0 ? '' : `; its first backup is of ${formatTime(commits.timeMs(0))}`;
  throw new MoltError('NOT_FOUND', `nothing of agent "${label}" had been saved by ${formatTime(ms)}${since}`, {
    hint: `molt backup list ${label}`,
  });
}

/** Returns the instants of --since and --until. */
export async function parseRange(
  context: OpsContext,
  options: { readonly since?: string | undefined; readonly until?: string | undefined },
): Promise<{ sinceMs: number | undefined; untilMs: number | undefined }> {
  const read = async (text: string | undefined, edge: 'start' | 'end'): Promise<number | undefined> =>
    text === undefined
      ? undefined
      : (await parseTime(text, { nowMs: context.clock.now(), zone: context.zone ?? 'UTC', edge })).ms;
  return { sinceMs: await read(options.since, 'start'), untilMs: await read(options.until, 'end') };
}

async function goBack({ repository }: Where, from: CommitId, steps: number, revision: Revision): Promise<CommitId> {
  let commit = from;
  for (let step = 0; step < steps; step += 1) {
    // oxlint-disable-next-line no-await-in-loop -- each commit names the one before it
    const [parent] = (await readCommit(repository, commit)).parents;
    if (parent === undefined) {
      throw new MoltError(
        'NOT_FOUND',
        `"${revision.text}" goes back past the first commit, ${shortId(commit)}, which is ${step} steps away`,
        {
          hint: 'molt log shows the commits',
        },
      );
    }
    commit = parent;
  }
  return commit;
}

async function takeParent({ repository }: Where, from: CommitId, n: number, revision: Revision): Promise<CommitId> {
  if (n === 0) return from;
  const { parents } = await readCommit(repository, from);
  const parent = parents[n - 1];
  if (parent !== undefined) return parent;
  const has =
    parents.length === 0
      ? 'is the first commit'
      : `has ${parents.length === 1 ? 'one parent' : `${parents.length} parents`}`;
  throw new MoltError('NOT_FOUND', `"${revision.text}" stands for nothing: ${shortId(from)} ${has}`, {
    hint: 'molt log shows the commits',
  });
}
