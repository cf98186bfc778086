// The words of commands that speak to a remote: an agent, if it is named, and the remote.

import { MoltError } from '../model/error.ts';
import type { OpsContext } from '../ops/context.ts';
import { takeAgent } from '../ops/open-words.ts';

/** What such a command takes. */
export const REMOTE_WORDS = {
  name: 'remote',
  place: 'AGENT REMOTE',
  many: true,
  description: 'an agent, and a remote; the only one, else origin',
  completes: ['agent', 'nothing'],
} as const;

/**
 * Tells agent and remote apart.
 * @throws {MoltError} USAGE when there are more words
 */
export async function takeRemote(
  ops: OpsContext,
  option: string | undefined,
  given: readonly string[],
): Promise<{ readonly agent: string | undefined; readonly remote: string | undefined }> {
  const { agent, words } = await takeAgent(ops, option, given);
  const [remote, surplus] = words;
  if (surplus !== undefined)
    throw new MoltError('USAGE', `'${surplus}' is one word too many: an agent and a remote are taken`, {
      hint: 'molt agents lists the agents, molt remote list the remotes',
    });
  return { agent, remote };
}
