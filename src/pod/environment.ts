// What an agent gets to see of the surroundings: what its spec allows by name, and what its spec sets.

import type { FilledPod } from './spec.ts';

/** Returns the environment of a pod's agent. */
export function podEnvironment(
  { env, envAllow }: Pick<FilledPod, 'env' | 'envAllow'>,
  surroundings: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, string> {
  const allowed = envAllow.flatMap((name) => {
    const value = surroundings[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(allowed), ...env };
}
