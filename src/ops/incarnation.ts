// Incarnations of a branch: the first one is what init or clone made, and each restore that puts an agent's own place back to a moment
// raises it. Who lives in an older one may not push any more: otherwise a machine that comes back would go on with a line of history
// that was left for good. A branch's incarnation is a ref of its own, so it travels like any other; it moves upwards only.

import type { RefMove } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId } from '../model/ids.ts';
import { formatTime } from '../model/time-format.ts';
import { readTag, writeTag } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import type { OpsContext } from './context.ts';
import type { Agent, Incarnation } from './home.ts';
import type { OpenAgent } from './open.ts';

/** Where refs of incarnations live; the branch's name follows. */
export const INCARNATIONS = 'refs/molt/incarnations/';

/** What a branch is in before it was ever raised; no ref says so. */
const FIRST = 1;
const MOST_TRIES = 100;

/** What raised an incarnation, in words. */
const REASONS: Readonly<Record<Incarnation['why'], string>> = {
  'in-place': 'by a restore in place',
  deploy: 'on deploy',
};

/** Returns the ref of a branch's incarnation. */
export function incarnationRef(branch: string): string {
  return `${INCARNATIONS}${branch}`;
}

/**
 * Returns the incarnation that a repository knows of a branch; undefined for the first.
 * @throws {MoltError} DAMAGED when it can't be read
 */
export async function readIncarnation(repository: Repository, branch: string): Promise<Incarnation | undefined> {
  const id = repository.refs.get(incarnationRef(branch));
  return id === undefined ? undefined : readIncarnationTag(repository, id);
}

/** Reads an incarnation from its tag. @throws {MoltError} DAMAGED when it can't be read */
export async function readIncarnationTag(repository: Repository, id: GitId): Promise<Incarnation> {
  const { message, timestampS } = await readTag(repository, id);
  const said = new Map([...message.matchAll(/^Molt-([A-Za-z]+): (.*)$/gm)].map(([, name, value]) => [name, value]));
  const number = Number(said.get('Incarnation'));
  const timeMs = Date.parse(said.get('Time') ?? '');
  return {
    number: Number.isSafeInteger(number) && number > FIRST ? number : FIRST,
    id,
    timeMs: Number.isNaN(timeMs) ? timestampS * 1000 : timeMs,
    why: said.get('Why') === 'deploy' ? 'deploy' : 'in-place',
  };
}

/** Returns the number of the incarnation that an agent of this machine lives in. */
export function ownNumber({ incarnations, branch }: Agent): number {
  return incarnations?.[branch]?.number ?? FIRST;
}

/** Returns the incarnation that fences an agent off its branch: the given one, if it is not the agent's own and not older. */
export function findFence(agent: Agent, known: Incarnation | undefined): Incarnation | undefined {
  if (known === undefined || known.id === agent.incarnations?.[agent.branch]?.id) return undefined;
  return known.number >= ownNumber(agent) ? known : undefined;
}

/** Returns the incarnation that is known here to fence an agent off, without asking any remote. */
export async function findKnownFence({ agent, repository }: OpenAgent): Promise<Incarnation | undefined> {
  return (
    findFence(agent, await readIncarnation(repository, agent.branch)) ?? findFence(agent, agent.fences?.[agent.branch])
  );
}

/** Returns the error of an agent that is fenced off. */
export function fencedError({ label, branch }: Agent, { number, timeMs, why }: Incarnation, what: string): MoltError {
  return new MoltError(
    'FENCED',
    `branch ${branch} was restored elsewhere since ${label} was (incarnation ${number}, ${REASONS[why]}, ${formatTime(timeMs)}): ${what}`,
    {
      hint:
        `molt switch ${label} --create NEW keeps what was saved here on a branch of its own, which molt push sends; ` +
        `to take over ${branch} with this machine instead: after that, molt switch ${label} ${branch}, molt pull, molt restore --in-place`,
      details: { branch, incarnation: number, why, time: new Date(timeMs).toISOString() },
    },
  );
}

/**
 * Refuses to push for an agent whose branch was restored elsewhere since, as far as this remote knows; that is remembered, so that the
 * next push need not ask.
 * @throws {MoltError} FENCED
 */
export async function checkRemoteFence(
  { home }: Pick<OpsContext, 'home'>,
  agent: Agent,
  remote: Repository,
): Promise<void> {
  const fence = findFence(agent, await readIncarnation(remote, agent.branch));
  if (fence === undefined) return;
  const now = (await home.findAgent(agent.label)) ?? agent;
  await home.updateAgent({ ...now, fences: { ...now.fences, [agent.branch]: fence } });
  throw fencedError(agent, fence, 'nothing was sent');
}

/**
 * Refuses to commit to a branch that another agent of this machine restored since. What was restored on other machines is no reason: a
 * commit stays here.
 * @throws {MoltError} FENCED
 */
export async function checkCommitFence(
  { home }: Pick<OpsContext, 'home'>,
  agent: Agent,
  repository: Repository,
): Promise<void> {
  const known = repository.refs.get(incarnationRef(agent.branch));
  if (known === undefined || known === agent.incarnations?.[agent.branch]?.id) return;
  const fence = findFence(agent, await readIncarnation(repository, agent.branch));
  if (fence === undefined) return;
  const agents = await home.listAgents();
  const isOfThisMachine = agents.some(
    ({ label, repository: id, incarnations }) =>
      label !== agent.label && id === agent.repository && incarnations?.[agent.branch]?.id === fence.id,
  );
  if (isOfThisMachine) throw fencedError(agent, fence, 'nothing was saved');
}

/**
 * Raises the incarnation of an agent's branch above all that is known of it, and makes the new one the agent's own. `open.agent` is as
 * it was afterwards: what is done next needs the agent opened anew.
 * @param raise.commit the commit that was restored
 * @throws {MoltError} what publishing throws; doing it again is right after any failure
 */
export async function raiseIncarnation(
  context: OpsContext,
  { agent: { label, branch }, repository }: OpenAgent,
  raise: { readonly commit: CommitId; readonly why: Incarnation['why'] },
): Promise<Incarnation> {
  const { home, clock, random } = context;
  const { commit, why } = raise;
  const ref = incarnationRef(branch);
  return repository.transact({ packs: false }, async (transaction) => {
    for (let tries = 1; ; tries += 1) {
      // oxlint-disable-next-line no-await-in-loop -- again only when another process raised it
      const agent = await home.findAgent(label);
      if (agent === undefined) throw new MoltError('NOT_FOUND', `there is no agent "${label}" any more`);
      const from = repository.refs.get(ref);
      // oxlint-disable-next-line no-await-in-loop -- the same
      const known = [await readIncarnation(repository, branch), agent.incarnations?.[branch], agent.fences?.[branch]];
      const number = Math.max(FIRST, ...known.map((one) => one?.number ?? FIRST)) + 1;
      const timeMs = clock.now();
      // oxlint-disable-next-line no-await-in-loop -- the same
      const id = await writeTag(transaction, {
        name: ref.slice('refs/'.length),
        commit,
        signature: { name: label, email: 'agent@molt', timestampS: Math.floor(timeMs / 1000) },
        message: `incarnation ${number} of branch ${branch}\n\nMolt-Incarnation: ${number}\nMolt-Why: ${why}\nMolt-Time: ${new Date(timeMs).toISOString()}\nMolt-Mark: ${random.bytes(16).toString('hex')}\n`,
      });
      const raised = { number, id, timeMs, why };
      // First the agent's own: an agent that is behind its own repository would be fenced off after a crash in between.
      // oxlint-disable-next-line no-await-in-loop -- the same
      await home.updateAgent({ ...agent, incarnations: { ...agent.incarnations, [branch]: raised } });
      try {
        // oxlint-disable-next-line no-await-in-loop -- the same
        await transaction.publish([{ name: ref, from, to: id, commit }], []);
        return raised;
      } catch (error) {
        if (!isMoltError(error, 'CONFLICT') || error.details['ref'] === undefined || tries >= MOST_TRIES) throw error;
      }
    }
  });
}

/** Plans to raise what one repository knows of incarnations to what another one knows. */
export async function planIncarnations(from: Repository, to: Repository): Promise<RefMove[]> {
  const moves: RefMove[] = [];
  for (const [name, id] of from.refs) {
    const there = to.refs.get(name);
    if (!name.startsWith(INCARNATIONS) || there === id) continue;
    const branch = name.slice(INCARNATIONS.length);
    // oxlint-disable-next-line no-await-in-loop -- few differ
    const [known, knownThere] = [await readIncarnation(from, branch), await readIncarnation(to, branch)];
    if ((known?.number ?? FIRST) > (knownThere?.number ?? FIRST))
      moves.push({ name, from: there, to: id, commit: from.tagged.get(name) });
  }
  return moves;
}

/** Returns a move that goes nowhere: what is published with it is refused once a branch's incarnation is another one. */
export function guardIncarnation({ refs }: Pick<Repository, 'refs'>, branch: string): RefMove {
  const name = incarnationRef(branch);
  const at = refs.get(name);
  return { name, from: at, to: at };
}
