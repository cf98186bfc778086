// Opens what a restore reads from: the repository on this machine, or, where that is gone, a remote that was set for it.

import { readdirSync } from 'node:fs';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { OpsContext } from './context.ts';
import { resolveAgent } from './open.ts';
import { openPlace } from './open-place.ts';
import { openForTag, openForWords, takeAgent, type OpenWords } from './open-words.ts';
import { listRemotes } from './remotes.ts';

/**
 * Opens the agent of a line of words as openForWords does; if its repository is gone, the first of its remotes that answers is read.
 * @param options.isCopyWanted whether something new is made, and not the agent itself put back: only then will a remote do
 * @throws {MoltError} NO_REPOSITORY naming the way back, and what openForWords throws
 */
export async function openSomewhere(
  context: OpsContext,
  label: string | undefined,
  words: readonly string[],
  options: {
    readonly isCopyWanted: boolean;
    /** Whether no way was given: then, of several agents, the only one whose folder is gone is meant. */
    readonly isGoneMeant: boolean;
  },
): Promise<OpenWords> {
  try {
    return await (options.isCopyWanted ? openForTag : openForWords)(context, label, words);
  } catch (error) {
    if (isMoltError(error, 'AMBIGUOUS') && options.isGoneMeant && label === undefined) {
      const gone = (await context.home.listAgents()).filter(({ stateDir }) => isGone(stateDir));
      const [only] = gone;
      if (only !== undefined && gone.length === 1) return openForWords(context, only.label, words);
    }
    if (!isMoltError(error, 'NO_REPOSITORY')) throw error;
    const named = await takeAgent(context, label, words);
    const agent = await resolveAgent(context, named.agent).catch(() => undefined);
    const remotes = agent === undefined ? [] : await listRemotes(context.home, agent.repository);
    const [first] = remotes;
    if (agent === undefined || first === undefined) throw error;
    if (!options.isCopyWanted)
      throw new MoltError('NO_REPOSITORY', `${error.message}; remote ${first.name} may have it`, {
        hint: `molt agent remove ${agent.label}, then molt clone ${first.url} ${agent.label} --state ${agent.stateDir} brings its history back; or restore --target NEW, which reads the remote`,
        cause: error,
      });
    for (const { name, url } of remotes) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- the next only if this one does not answer
        const open = await openPlace(context, url, agent.branch);
        context.reporter.warn(`the repository on this machine is gone: ${name} (${url}) is read instead`);
        return { open, words: named.words, [Symbol.asyncDispose]: () => open[Symbol.asyncDispose]() };
      } catch (failure) {
        if (!isMoltError(failure)) throw failure;
        context.reporter.warn(`${name}: ${failure.message}`);
      }
    }
    throw error;
  }
}

function isGone(stateDir: string): boolean {
  try {
    return readdirSync(stateDir).length === 0;
  } catch (error) {
    return isSystemError(error, 'ENOENT');
  }
}
