// The profile for an agent that molt knows nothing about: everything in the state folder is captured as custom data, and nothing
// is guessed to be a cache, a lock or a secret. `.moltignore` and --exclude say what to leave out.

import { applyBindings } from './bindings.ts';
import { compilePathTable } from './path-table.ts';
import type { PathRule, Profile } from './profile.ts';
import { settleRoots } from './roots.ts';

const RULES: readonly PathRule[] = [{ area: 'state', path: '**', component: 'custom', why: 'the agent’s own data' }];

const classifyPath = compilePathTable(RULES);

/** Reads any folder as custom data. */
export const genericProfile: Profile = {
  name: 'generic',
  rules: RULES,
  classify: (_root, path) => classifyPath('state', path),
  findRoots: async (stateDir, options) => settleRoots(stateDir, [], options.earlier ?? []),
  describe: async () => ({ profile: 'generic', schemaVersions: {} }),
  // Only its pod's own health check can say more about an agent that molt knows nothing about.
  readExpectations: async () => ({ sessions: [], cronJobs: [], workspaces: [], memory: [], schemaVersions: {} }),
  readToken: async () => undefined,
  rebind: ({ to, bindings }) => applyBindings(to, bindings ?? []),
  check: async () => [],
  countRows: async () => undefined,
  diffHints: () => ({}),
  findHazards: async () => [],
  installedVersion: async () => undefined,
  checkVersion: () => {},
};
