// Where the folders of a pod's agent lie: MOLT_HOME/pods/NAME/gen-N/state and, beside it, gen-N/roots/1 and so on for what the agent
// keeps outside its state folder, as a restore lays them out.

import { dirname, join } from 'node:path';
import type { Agent, Home } from './home.ts';
import { podDir } from './pod-record.ts';

/** Returns the folder of a generation. */
export function generationDir(home: Home, pod: string, generation: number): string {
  return join(podDir(home, pod), `gen-${generation}`);
}

/** Returns where a root lies: for an agent in a pod beside its state folder, else where it was. */
export function rootDir(home: Home, agent: Pick<Agent, 'stateDir'>, key: string, recorded: string): string {
  if (key === 'state') return agent.stateDir;
  return isInPod(home, agent) ? join(dirname(agent.stateDir), key) : recorded;
}

/** Says whether an agent's state is a pod's own. */
export function isInPod(home: Home, agent: Pick<Agent, 'stateDir'>): boolean {
  return findPodName(home, agent) !== undefined;
}

/** Returns the name of the pod in whose folder an agent's state lies, or undefined. */
export function findPodName(home: Home, { stateDir }: Pick<Agent, 'stateDir'>): string | undefined {
  const pods = `${join(home.dir, 'pods')}/`;
  return stateDir.startsWith(pods) ? stateDir.slice(pods.length).split('/')[0] : undefined;
}
