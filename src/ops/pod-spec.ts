// pod.json: what the agent's pod is. The user's own, or one made from the profile.

import type { Agent } from './home.ts';

/** Returns the agent's pod spec: what the user gave, named after the agent if it has no name. */
export function podSpecOf(agent: Agent): Record<string, unknown> {
  return { name: agent.label, profile: agent.profile, ...agent.pod };
}
