// How the command line writes about pods.

import type { PodSummary } from '../ops/pods.ts';
import type { Output } from './output.ts';

/** Returns how a pod is, in a word or two. */
export function podState(output: Output, { state, healthy }: PodSummary): string {
  if (state === 'running') {
    return healthy === false ? output.style('red', 'running, not healthy') : output.style('green', 'running');
  }
  return state === 'stopped' ? state : output.style(state === 'failed' ? 'red' : 'yellow', state);
}

/** Returns what else there is to say about a pod, as sentences. */
export function podNotes({ name, problem, restarts, lastRestart }: PodSummary): string[] {
  const times = restarts === 1 ? 'once' : `${restarts} times, the last time`;
  return [
    ...(problem === undefined ? [] : [`${name}: ${problem}`]),
    ...(lastRestart === undefined ? [] : [`${name}: it was started again ${times} because ${lastRestart}`]),
  ];
}

/** Returns where a pod is found, as the end of a sentence. */
export function atEndpoint(endpoint: string | undefined): string {
  return endpoint === undefined ? '' : ` at ${endpoint}`;
}
