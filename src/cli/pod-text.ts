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

/** Returns where a pod is found, as the end of a sentence. */
export function atEndpoint(endpoint: string | undefined): string {
  return endpoint === undefined ? '' : ` at ${endpoint}`;
}
