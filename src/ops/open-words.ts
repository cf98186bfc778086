// Finds the agent that a line of words is about, and opens it.

import { isMoltError } from '../model/error.ts';
import { findRevisionPath, parseRevision } from '../policy/revision.ts';
import type { OpsContext } from './context.ts';
import { openAgent, type OpenAgent } from './open.ts';
import { refName } from './ref-name.ts';
import { ambiguous, findTagsAndIds, type Where } from './revision.ts';

/** An opened agent and the words that are left once it is named. */
export interface OpenWords extends AsyncDisposable {
  readonly open: OpenAgent;
  readonly words: readonly string[];
}

/**
 * Opens the agent of a line of words, of which the first may name it: `molt diff my-agent HEAD~3`. The agent in `my-agent@{yesterday}`
 * counts too. What -a names goes before all of them.
 * @throws {MoltError} AMBIGUOUS when the first word is an agent and also a tag or commit of that agent
 */
export async function openForWords(
  context: OpsContext,
  label: string | undefined,
  words: readonly string[],
): Promise<OpenWords> {
  const [first, ...rest] = words;
  if (label === undefined && first !== undefined) {
    const named = await context.home.findAgent(first);
    if (named !== undefined) {
      const open = await openAgent(context, named.label);
      await refuseSecondMeaning(open, first).catch(async (error: unknown) => {
        await open[Symbol.asyncDispose]();
        throw error;
      });
      return { open, words: rest, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
    }
  }
  const open = await openAgent(context, label ?? (await findAgentInRevision(context, first)));
  return { open, words, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
}

/**
 * Opens as openForWords does; where several agents could be meant, a tag that only one repository has tells which: its oldest agent, for
 * those that were restored beside it share its tags. Only for what leaves agents alone.
 */
export async function openForTag(
  context: OpsContext,
  label: string | undefined,
  words: readonly string[],
): Promise<OpenWords> {
  try {
    return await openForWords(context, label, words);
  } catch (error) {
    const [word] = words;
    if (label !== undefined || word === undefined || !isMoltError(error, 'AMBIGUOUS')) throw error;
    const found = await findAgentWithTag(context, word);
    if (found === undefined) throw error;
    return await openForWords(context, found, words);
  }
}

async function findAgentWithTag(context: OpsContext, word: string): Promise<string | undefined> {
  const { base } = parseRevision(word);
  if (base.kind !== 'name') return undefined;
  const agents = (await context.home.listAgents()).toSorted((a, b) => a.createdMs - b.createdMs);
  const firsts = agents.filter(
    ({ repository }, at) => agents.findIndex((other) => other.repository === repository) === at,
  );
  const found: string[] = [];
  for (const { label } of firsts) {
    // oxlint-disable-next-line no-await-in-loop -- one repository after the other
    await using open = await openAgent(context, label).catch(() => undefined);
    if (open?.repository.refs.has(refName('tag', base.name))) found.push(label);
  }
  return found.length === 1 ? found[0] : undefined;
}

/** Splits the agent, if -a does not name one already, off the front of words that name nothing yet. */
export async function takeAgent(
  context: OpsContext,
  label: string | undefined,
  words: readonly string[],
): Promise<{ readonly agent: string | undefined; readonly words: readonly string[] }> {
  const [first, ...rest] = words;
  const named = label === undefined && first !== undefined ? await context.home.findAgent(first) : undefined;
  return named === undefined ? { agent: label, words } : { agent: named.label, words: rest };
}

/** Returns the agent that a revision names: `my-agent`, `my-agent:PATH`, `my-agent@{yesterday}`. */
async function findAgentInRevision(context: OpsContext, word: string | undefined): Promise<string | undefined> {
  if (word === undefined) return undefined;
  const { base } = findRevisionPath(word)?.revision ?? parseRevision(word);
  const name = base.kind === 'at' || base.kind === 'name' ? base.name : undefined;
  return name === undefined ? undefined : (await context.home.findAgent(name))?.label;
}

async function refuseSecondMeaning({ agent, repository }: Where, word: string): Promise<void> {
  const base = parseRevision(word).base;
  const others = base.kind === 'name' ? await findTagsAndIds({ agent, repository }, base) : [];
  if (others.length > 0)
    throw ambiguous(word, [{ what: `agent "${word}"`, commit: undefined }, ...others], `-a ${word} names the agent`);
}
