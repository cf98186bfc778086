// Reads the backup log for a command: of one agent, of all of this machine, or what a fleet shares.

import type { RunFilter } from '../catalog/backup-log.ts';
import type { WaitingRuns } from '../catalog/local-runs.ts';
import { waitingRuns } from '../catalog/local-runs.ts';
import { newestFirst, readEmbedded, readPostgres } from '../catalog/read-runs.ts';
import { isMoltError, type MoltError } from '../model/error.ts';
import type { RunEntry } from '../model/run-entry.ts';
import type { OpsContext } from '../ops/context.ts';
import type { Agent } from '../ops/home.ts';
import { resolveAgent } from '../ops/open.ts';
import { findLoggedAgents, findMachineRunKeys, openRunKey } from '../ops/run-keys.ts';

/** What a command found in the log. */
export interface FoundRuns {
  /** Newest first. */
  readonly entries: readonly RunEntry[];
  /** Agents whose log was lost, and is made anew from their history. */
  readonly rebuilt: readonly string[];
  /** Why something may be missing. */
  readonly problems: readonly MoltError[];
}

interface Opened extends WaitingRuns {
  readonly agent: Agent;
  readonly problem: MoltError | undefined;
}

/**
 * Reads the log.
 * @param url of a log in PostgreSQL; undefined for the embedded one
 * @throws {MoltError} NOT_FOUND or NO_REPOSITORY when there is no such agent, and what reading throws
 */
export async function readRuns(
  ops: OpsContext,
  label: string | undefined,
  wanted: Omit<RunFilter, 'repository' | 'agent'>,
  url: string | undefined,
): Promise<FoundRuns> {
  const agents = await findLoggedAgents(ops, label);
  // Names the agents that there are.
  if (agents.length === 0 && url === undefined) await resolveAgent(ops, label);
  const opened = await openAll(ops, agents);
  const problems = opened.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  const all = await ops.home.listAgents();
  if (url !== undefined) {
    const [only] = agents;
    const isOne = only !== undefined && (label !== undefined || agents.length < all.length);
    const filter = isOne ? { ...wanted, ...filterOf(only, all) } : { ...wanted, agent: label };
    const read = await readPostgres(url, opened, filter);
    return { entries: read.entries, rebuilt: [], problems: read.problem === undefined ? problems : [read.problem] };
  }
  const entries: RunEntry[] = [];
  const rebuilt: string[] = [];
  for (const runs of opened) {
    const filter = label === undefined ? wanted : { ...wanted, ...filterOf(runs.agent, all) };
    // oxlint-disable-next-line no-await-in-loop -- one database in memory at a time
    const read = await readEmbedded(outsideOf(ops), runs, filter, () => rebuild(ops, runs.agent));
    entries.push(...read.entries);
    if (read.rebuilt === 'damaged') rebuilt.push(runs.agent.label);
    if (read.problem !== undefined) problems.push(read.problem);
  }
  return { entries: newestFirst(entries).slice(0, wanted.limit), rebuilt, problems };
}

/** Opens the log of each repository; one whose key can't be had still shows what was noted under the machine's. */
async function openAll(ops: OpsContext, agents: readonly Agent[]): Promise<Opened[]> {
  const machine = await findMachineRunKeys(ops);
  const opened: Opened[] = [];
  for (const agent of new Map(agents.map((agent) => [agent.repository, agent])).values()) {
    // oxlint-disable-next-line no-await-in-loop -- one may have to be asked for
    const key = await openRunKey(ops, agent).catch((error: unknown) => {
      if (!isMoltError(error) || isMoltError(error, 'INTERRUPTED')) throw error;
      return error;
    });
    const isOpen = !isMoltError(key);
    const runs = waitingRuns(ops.home.dir, agent.repository, isOpen ? [...machine, key] : machine);
    opened.push({ ...runs, agent, problem: isOpen ? undefined : key });
  }
  return opened;
}

/** Runs of a repository are those of its agent, whatever it was called; unless several of this machine share it. */
function filterOf({ label, repository }: Agent, all: readonly Agent[]): Pick<RunFilter, 'repository' | 'agent'> {
  const isShared = all.some((other) => other.repository === repository && other.label !== label);
  return isShared ? { repository, agent: label } : { repository };
}

async function rebuild(ops: OpsContext, agent: Agent): Promise<readonly RunEntry[]> {
  const { listRebuiltRuns } = await import('../ops/rebuilt-runs.ts');
  return listRebuiltRuns(ops, agent);
}

function outsideOf({ home, clock, random }: OpsContext): Parameters<typeof readEmbedded>[0] {
  return { homeDir: home.dir, clock, random };
}
