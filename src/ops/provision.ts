// Gives an agent that nothing is known to run a pod where its state is, so that it can be started once that is restored.

import type { CommitId } from '../model/ids.ts';
import { isMoltError } from '../model/error.ts';
import { parsePodSpec, type PodSpec } from '../pod/spec.ts';
import { acceptSpec } from './accept-spec.ts';
import { POD_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { findPod } from './pod-look.ts';
import { checkRuntime, makePod } from './pods.ts';
import { podRunner, type Runner } from './runner.ts';

/** What runs the agent from now on, or why nothing does. */
export type Provisioned = { readonly runner: Runner } | { readonly problem: string };

/**
 * Makes the pod of an agent: as this machine's user gave it, else as the commit has it if that is accepted.
 * @returns why there is none, where it can't be run here
 * @throws {MoltError} INTERRUPTED when the user says no, USAGE when nobody can be asked
 */
export async function provision(
  context: OpsContext,
  open: OpenAgent,
  commit: CommitId,
  ask: (question: string) => Promise<boolean>,
): Promise<Provisioned> {
  const { agent, repository } = open;
  const { label, stateDir, profile } = agent;
  const own = agent.pod === undefined ? undefined : parsePodSpec({ name: label, ...agent.pod }, { profile });
  const spec = own ?? (await readSpec(open, commit));
  if (spec.command === undefined) return { problem: 'its pod.json has no command to start it with' };
  try {
    await checkRuntime(spec, { name: label, stateDir });
  } catch (error) {
    if (!isMoltError(error)) throw error;
    return { problem: error.message };
  }
  await acceptSpec(context, spec, { repository: repository.id, known: own === undefined ? [] : [own], ask });
  const known = await findPod(context, label);
  if (known !== undefined && known.stateDir !== stateDir) return { problem: `another pod is called "${label}"` };
  const options = { name: label, agent: label, spec, stateDir, generation: 1, commit };
  return { runner: podRunner(context, known ?? (await makePod(context, options))) };
}

async function readSpec({ agent, repository }: OpenAgent, commit: CommitId): Promise<PodSpec> {
  const said = await readDescription(repository, await readCommitView(repository, commit), POD_FILE);
  return parsePodSpec(said, { profile: agent.profile });
}
