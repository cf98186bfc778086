// What a restore into a pod would set off, found out before anything is made: from the few files of the commit that tell, in a private
// copy that is gone at once, and from this machine.

import { join } from 'node:path';
import type { Hazard } from '../agent/revival.ts';
import { makeTempFolder, removeTempFolder } from '../agent/temp.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { isMoltError } from '../model/error.ts';
import { findFreePort, isPortFree } from '../pod/ports.ts';
import type { OpsContext } from './context.ts';
import type { OpenAgent } from './open.ts';
import { placeFiles } from './place-files.ts';
import { checkRuntime } from './pods.ts';
import type { PodPlan } from './restore-pod.ts';
import { checkInstalled } from './revived.ts';

/** A database of more than this is not looked into beforehand; the restore itself does, before the start. */
const LOOK_BYTES = 64 << 20;

/** Returns what a restore would set off or stumble over, as sentences without their full stops. */
export async function findHazardsOf(context: OpsContext, open: OpenAgent, plan: PodPlan): Promise<string[]> {
  const inside = await lookInside(context, open, plan);
  return [...(await lookAround(context, plan)), ...inside.map(({ text }) => text)];
}

async function lookInside(context: OpsContext, open: OpenAgent, plan: PodPlan): Promise<Hazard[]> {
  const entries = plan.entries.filter((entry) => isTelling(plan, entry));
  const temp = makeTempFolder(context.home.tempDir);
  try {
    await placeFiles(context, open.repository, entries, temp);
    const to = new Map([...plan.to.keys()].map((key) => [key, join(temp, key)]));
    return await plan.profile.findHazards({ from: plan.from, to }, context.clock.now());
  } finally {
    removeTempFolder(temp);
  }
}

function isTelling({ profile }: PodPlan, { type, path, component, sizeBytes }: RestoreEntry): boolean {
  if (type === 'directory') return true;
  if (profile.name === 'generic' || sizeBytes > LOOK_BYTES) return false;
  return component === 'configuration' || path.startsWith('state/credentials/') || path.endsWith('.sqlite');
}

/** Ports, runtime and version: what of this machine stands in the way. */
async function lookAround(context: OpsContext, plan: PodPlan): Promise<string[]> {
  const hazards: string[] = [];
  for (const { name, port } of plan.spec.ports) {
    // oxlint-disable-next-line no-await-in-loop -- one port after the other
    if (await isPortFree(port)) continue;
    // oxlint-disable-next-line no-await-in-loop -- the same
    const free = await findFreePort(port);
    hazards.push(`port ${port} (${name}) is in use: the pod gets ${free}, or the next one that is free`);
  }
  for (const look of [
    () => checkRuntime(plan.spec, { name: plan.target, stateDir: plan.dir }),
    () => checkInstalled(context, plan),
  ]) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- without a runtime there is no version to ask for
      await look();
    } catch (error) {
      if (!isMoltError(error)) throw error;
      hazards.push(error.message);
      break;
    }
  }
  return hazards;
}
