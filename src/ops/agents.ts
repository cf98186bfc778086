// Lists the agents that this machine knows, without opening their repositories.

import { realpath } from 'node:fs/promises';
import type { OpsContext } from './context.ts';

/** An agent as lists show it: CLI.md's JSON for `agents`. */
export interface AgentSummary {
  readonly agent: string;
  readonly repository: string;
  readonly branch: string;
  readonly stateDir: string;
  readonly profile: string;
  /** When this machine came to know it, ISO 8601. */
  readonly created: string;
  /** The state folder is there. */
  readonly present: boolean;
}

/** Lists the agents by name. */
export async function listAgents(context: OpsContext): Promise<AgentSummary[]> {
  const agents = await context.home.listAgents();
  return Promise.all(
    agents.map(async ({ label, repository, branch, stateDir, profile, createdMs }) => ({
      agent: label,
      repository,
      branch,
      stateDir,
      profile,
      created: new Date(createdMs).toISOString(),
      present: await realpath(stateDir).then(
        () => true,
        () => false,
      ),
    })),
  );
}
