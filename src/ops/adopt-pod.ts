// Makes an agent of this machine of a pod that was restored straight from a remote: its history comes here, and it gets a branch of its
// own in it.

import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { findAgentOf } from './adopt.ts';
import { moveRef } from './branch.ts';
import { clone } from './clone.ts';
import { readCommitView } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openRepositoryOf } from './open.ts';
import { lookAt } from './open-place.ts';
import type { PodRecord } from './pod-record.ts';
import { dropPodRestoreNote } from './pod-restore-note.ts';
import { getPod } from './pod-look.ts';
import { refName } from './ref-name.ts';
import { normalizeRemoteUrl } from './remotes.ts';
import { agentOf } from './restore-pod.ts';

/**
 * Brings the history of a pod's agent here, unless it is here, and gives the pod's agent a label and branch.
 * @throws {MoltError} what clone throws; CONFLICT when the history here does not have the pod's moment yet
 */
export async function adoptPod(context: OpsContext, url: string, name: string): Promise<Agent> {
  const record = await getPod(context, name);
  const finish = async (agent: Agent): Promise<Agent> => {
    await dropPodRestoreNote(context.home, name);
    return agent;
  };
  const { repositoryId } = await lookAt(context, normalizeRemoteUrl(url));
  const known = await findAgentOf(context, repositoryId);
  if (known !== undefined) return finish(await giveBranch(context, known, record, { isNew: true }));
  const { stateDir } = record;
  await clone(context, { url, label: name, stateDir, name: 'origin' });
  const cloned = await context.home.findAgent(name);
  if (cloned === undefined) throw new Error(`agent ${name} was cloned and is not there`);
  return finish(await giveBranch(context, cloned, record, { isNew: false }));
}

async function giveBranch(
  context: OpsContext,
  known: Agent,
  { name, stateDir, spec, commit }: PodRecord,
  { isNew }: { readonly isNew: boolean },
): Promise<Agent> {
  await using open = await openRepositoryOf(context, known);
  const { repository } = open;
  const isHere =
    commit !== undefined && (await unlessDamaged(readCommitView(repository, commit as CommitId))) !== undefined;
  if (!isHere)
    throw new MoltError('CONFLICT', `the history here, of agent "${known.label}", does not have that moment yet`, {
      hint: `molt fetch -a ${known.label}`,
    });
  const ref = refName('branch', name);
  if (!repository.refs.has(ref)) await moveRef(repository, { name: ref, from: undefined, to: commit as CommitId });
  const agent = agentOf(context, { agent: known, target: name, stateDir, spec, profile: spec.profile });
  await (isNew ? context.home.addAgent(agent) : context.home.updateAgent(agent));
  return agent;
}
