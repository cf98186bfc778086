// Whose backup logs are meant, and the keys of them.

import { realpath } from 'node:fs/promises';
import { deriveMachineLineKey } from '../crypto/line.ts';
import type { RunKey } from '../model/ports.ts';
import { deriveRepositoryKeys } from '../repo/secrets.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openKeys } from './open-keys.ts';
import { openStorage } from './open.ts';

/** Returns the agents whose logs are meant: the named one, if it is here; else the one whose folder this is; else all. */
export async function findLoggedAgents({ home, cwd }: OpsContext, label: string | undefined): Promise<Agent[]> {
  if (label !== undefined) {
    const named = await home.findAgent(label);
    return named === undefined ? [] : [named];
  }
  const agents = await home.listAgents();
  const dir = await realpath(cwd).catch(() => cwd);
  const here = agents.filter(({ stateDir }) => dir === stateDir || dir.startsWith(`${stateDir}/`));
  return here.length > 0 ? here : agents;
}

/** Returns the key of what could only be noted under this machine's own; none if it has none. */
export async function findMachineRunKeys({ home }: Pick<OpsContext, 'home'>): Promise<RunKey[]> {
  const device = await home.findDeviceKey();
  return device === undefined ? [] : [{ of: 'machine', key: deriveMachineLineKey(device) }];
}

/** Opens the key of an agent's log. @throws {MoltError} what opening a repository's keys throws */
export async function openRunKey(context: OpsContext, agent: Agent): Promise<RunKey> {
  const storage = await openStorage(context, agent.repository);
  try {
    const { roots } = await openKeys(context, storage, agent);
    return { of: 'repository', key: deriveRepositoryKeys(roots).cacheKey };
  } finally {
    await storage.close();
  }
}
