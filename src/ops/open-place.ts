// Opens what a remote's URL holds, without copying it: for a look, or to bring an agent back from there at once.

import { MoltError } from '../model/error.ts';
import { FORMAT_FILE, parseFormatFile } from '../format/format-file.ts';
import { OldestStorage } from '../repo/oldest.ts';
import { readOldest } from '../repo/remote-view.ts';
import { Repository } from '../repo/repository.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { DEFAULT_RULES, type RemoteRules, type RemoteStorage } from '../storage/remote.ts';
import type { TellingStorage } from '../storage/probe.ts';
import { StripedStorage } from '../storage/striped.ts';
import type { RepositoryId } from '../model/ids.ts';
import { blankAgent, chooseBranch } from './adopt.ts';
import type { OpsContext } from './context.ts';
import { openKeys } from './open-keys.ts';
import type { OpenAgent } from './open.ts';
import { normalizeRemoteUrl } from './remotes.ts';

/** A place that is open, as if an agent of this machine had its repository there. It must not be written to. */
export interface OpenPlace extends OpenAgent {
  readonly url: string;
}

/**
 * Opens a place.
 * @param branch by default main, or the only one
 * @throws {MoltError} NO_REPOSITORY when it is empty, WRONG_PASSPHRASE, and what the place fails with
 */
export async function openPlace(context: OpsContext, text: string, branch?: string): Promise<OpenPlace> {
  const url = normalizeRemoteUrl(text);
  const { repositoryId, rules } = await lookAt(context, url);
  const remote = await openRemoteStorage(url, { ...context.remoteOptions, rules, clock: context.clock });
  const storage = new StripedStorage(new OldestStorage(remote));
  try {
    const known = (await context.home.listAgents()).find(({ repository }) => repository === repositoryId);
    const agent = known ?? blankAgent(context, 'agent', repositoryId);
    const { keyring, roots } = await openKeys(context, storage, agent);
    const repository = await Repository.open(storage, { roots, generation: keyring.generation }, context);
    for (const { problem } of repository.problems) context.reporter.warn(problem);
    repository.refuseWrites(new MoltError('USAGE', `${url} is only read from`));
    return {
      url,
      agent: { ...agent, branch: chooseBranch(repository, branch) },
      repository,
      keyring,
      fetchedBytes: () => remote.traffic.bytesReceived,
      [Symbol.asyncDispose]: () => storage.close(),
    };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Finds out whose repository a place holds, and whether it keeps versions. */
export async function lookAt(
  context: OpsContext,
  url: string,
): Promise<{ readonly repositoryId: RepositoryId; readonly rules: RemoteRules }> {
  const rules = { ...DEFAULT_RULES, versioned: await hasVersions(context, url) };
  const storage = await openRemoteStorage(url, { ...context.remoteOptions, rules, clock: context.clock });
  try {
    const bytes = await readOldest(storage, FORMAT_FILE);
    if (bytes !== undefined) return { repositoryId: parseFormatFile(bytes, url).repositoryId, rules };
  } finally {
    await storage.close();
  }
  throw new MoltError('NO_REPOSITORY', `${url} holds no agent`, {
    hint: 'look whether the prefix is right; molt push writes an agent there',
  });
}

async function hasVersions(context: OpsContext, url: string): Promise<boolean> {
  const storage = await openRemoteStorage(url, { ...context.remoteOptions, clock: context.clock });
  try {
    if (!('readSettings' in storage)) return false;
    const { versioning } = await (storage as RemoteStorage & TellingStorage).readSettings();
    return versioning === 'on' || versioning === 'suspended';
  } finally {
    await storage.close();
  }
}
