// Finds the agent that a line of words is about, and opens it.

import { findRevisionPath, parseRevision } from '../policy/revision.ts';
import type { OpsContext } from './context.ts';
import { openAgent, type OpenAgent } from './open.ts';
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
