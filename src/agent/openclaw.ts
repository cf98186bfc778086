// The profile for OpenClaw, in both of its layouts. The table is in openclaw-table.ts; here is what it takes to use it.

import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { checkOpenClaw } from './openclaw-check.ts';
import { readOpenClawConfig } from './openclaw-config.ts';
import { openClawDiffHints } from './openclaw-diff.ts';
import { readOpenClawExpectations } from './openclaw-expect.ts';
import { findOpenClawHazards } from './openclaw-hazards.ts';
import { countOpenClawRows } from './openclaw-rows.ts';
import { rebindOpenClaw } from './openclaw-rebind.ts';
import { OPENCLAW_DEFAULT_AREAS, OPENCLAW_RULES } from './openclaw-table.ts';
import { checkOpenClawVersion, installedOpenClaw } from './openclaw-version.ts';
import { compilePathTable } from './path-table.ts';
import type { AreaKind, Classification, FindRootsOptions, Profile, ProfileDescription, Root } from './profile.ts';
import { type RootCandidate, settleRoots } from './roots.ts';
import { readUserVersion } from './sqlite-header.ts';

const classifyPath = compilePathTable(OPENCLAW_RULES);

/** Reads the state of one OpenClaw install with all its agents. */
export const openclawProfile: Profile = {
  name: 'openclaw',
  rules: OPENCLAW_RULES,
  classify,
  findRoots,
  describe,
  readExpectations: readOpenClawExpectations,
  readToken: async (stateDir) => (await readOpenClawConfig(stateDir, homedir()))?.gatewayToken,
  rebind: rebindOpenClaw,
  check: checkOpenClaw,
  countRows: countOpenClawRows,
  diffHints: openClawDiffHints,
  findHazards: findOpenClawHazards,
  installedVersion: installedOpenClaw,
  checkVersion: checkOpenClawVersion,
};

/** Says whether a folder looks like OpenClaw's state. */
export async function isOpenClawState(stateDir: string): Promise<boolean> {
  return ['openclaw.json', 'openclaw.json5', 'state/openclaw.sqlite', 'agents/main'].some((path) =>
    existsSync(join(stateDir, path)),
  );
}

function classify(root: Root, path: string): Classification {
  let kind: AreaKind = root.areas[0]?.kind ?? 'state';
  let skipped = 0;
  for (const area of root.areas) {
    if (area.path.length > skipped && isAt(path, area.path)) {
      kind = area.kind;
      skipped = area.path.length;
    }
  }
  if (kind === 'state' && skipped === 0) {
    for (const area of OPENCLAW_DEFAULT_AREAS) {
      const match = area.path.exec(path);
      if (match !== null) [kind, skipped] = [area.kind, match[0].length];
    }
  }
  return classifyPath(kind, skipped === 0 ? path : path.slice(skipped + 1));
}

function isAt(path: string, area: string): boolean {
  return path.startsWith(area) && (path.length === area.length || path[area.length] === '/');
}

async function findRoots(stateDir: string, options: FindRootsOptions): Promise<Root[]> {
  const earlier = options.earlier ?? [];
  const config = await readOpenClawConfig(stateDir, options.home);
  if (config !== undefined) return settleRoots(stateDir, config.candidates, earlier);
  // Without a readable configuration nothing says that an earlier root has gone, so all of them stay.
  const candidates = earlier
    .filter((root) => root.key !== 'state')
    .flatMap(({ dir, reason = 'a folder of the previous commit', areas, only }): RootCandidate[] =>
      only === undefined
        ? [{ path: dir, kind: areas?.[0]?.kind ?? 'workspace', reason }]
        : only.map((name) => ({ path: join(dir, name), kind: 'include', reason })),
    );
  return settleRoots(stateDir, candidates, earlier);
}

async function describe(stateDir: string): Promise<ProfileDescription> {
  const config = await readOpenClawConfig(stateDir, homedir());
  const schemaVersions: Record<string, number> = {};
  for (const path of listDatabases(stateDir)) {
    const version = readUserVersion(join(stateDir, path));
    if (version !== undefined) schemaVersions[path] = version;
  }
  const programVersion = config?.lastTouchedVersion;
  return { profile: 'openclaw', ...(programVersion === undefined ? {} : { programVersion }), schemaVersions };
}

/** Lists where OpenClaw keeps its own databases, whether or not they are there. */
function listDatabases(stateDir: string): string[] {
  const agents = listNames(join(stateDir, 'agents'));
  const legacyMemory = listNames(join(stateDir, 'memory')).filter((name) => name.endsWith('.sqlite'));
  return [
    'state/openclaw.sqlite',
    ...agents.map((name) => `agents/${name}/agent/openclaw-agent.sqlite`),
    ...legacyMemory.map((name) => `memory/${name}`),
    'tasks/runs.sqlite',
  ];
}

function listNames(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch {
    return [];
  }
}
