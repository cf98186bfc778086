// Reads openclaw.json as OpenClaw does: JSON5, with `$include`s merged in. Only what tells which folders belong to the agent and
// which version wrote them is taken from it; nothing of it is kept.

import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { expandHome } from './native-path.ts';
import { parseJson } from './parse-json.ts';
import type { RootCandidate } from './roots.ts';

/** What molt takes from an OpenClaw configuration. */
export interface OpenClawConfig {
  /** The folders and files that it names, in a fixed order. */
  readonly candidates: readonly RootCandidate[];
  readonly lastTouchedVersion: string | undefined;
  /** What a client has to show, if it is a token and stands there in clear text. */
  readonly gatewayToken: string | undefined;
}

/** Why the workspace belongs to the agent that agents work in which name none. */
export const DEFAULT_WORKSPACE = 'the default workspace';

type Fields = Readonly<Record<string, unknown>>;

// OpenClaw's own limit on nested includes.
const MAX_INCLUDE_DEPTH = 10;

/** Reads the configuration of a state folder; undefined if there is none or it can't be understood (a write may be under way). */
export async function readOpenClawConfig(stateDir: string, home: string): Promise<OpenClawConfig | undefined> {
  const path = join(stateDir, 'openclaw.json');
  const included = new Set<string>();
  let config: unknown;
  try {
    config = await readMerged(path, { home, included, depth: 0 });
  } catch {
    return undefined;
  }
  const { agents, meta, gateway } = asFields(config);
  const named = listAgents(asFields(agents));
  const candidates: RootCandidate[] = [];
  const add = (value: unknown, kind: 'workspace' | 'agent', reason: string) => {
    if (typeof value !== 'string' || value.trim() === '') return;
    candidates.push({ path: resolve(stateDir, expandHome(value.trim(), home)), kind, reason });
  };
  add(asFields(asFields(agents)['defaults'])['workspace'], 'workspace', DEFAULT_WORKSPACE);
  for (const [name, agent] of named) add(agent['workspace'], 'workspace', `the workspace of agent ${name}`);
  for (const [name, agent] of named) add(agent['agentDir'], 'agent', `the folder of agent ${name}`);
  candidates.push({ path, kind: 'include', reason: 'the configuration' });
  for (const file of included)
    candidates.push({ path: file, kind: 'include', reason: 'a file that the configuration includes' });
  const version = asFields(meta)['lastTouchedVersion'];
  const token = asFields(asFields(gateway)['auth'])['token'];
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return { candidates, lastTouchedVersion: text(version), gatewayToken: text(token) };
}

/** Lists the agents by name: `agents.entries` of today, `agents.list` of older versions. */
function listAgents(agents: Fields): [string, Fields][] {
  const entries = Object.entries(asFields(agents['entries'])).map(([name, agent]): [string, Fields] => [
    name,
    asFields(agent),
  ]);
  const list = Array.isArray(agents['list']) ? agents['list'] : [];
  const legacy = list.map((item, index): [string, Fields] => {
    const agent = asFields(item);
    return [typeof agent['id'] === 'string' ? agent['id'] : String(index + 1), agent];
  });
  return [...entries, ...legacy].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

interface ReadState {
  readonly home: string;
  readonly included: Set<string>;
  readonly depth: number;
}

async function readMerged(path: string, state: ReadState): Promise<unknown> {
  const text = await readFile(path, 'utf8');
  return mergeIncludes(await parseJson(text), path, state);
}

/** Replaces each `$include` by what it names; the keys beside it win. */
async function mergeIncludes(value: unknown, path: string, state: ReadState): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map((item) => mergeIncludes(item, path, state)));
  if (typeof value !== 'object' || value === null) return value;
  const { $include, ...own } = value as Fields;
  const names = (Array.isArray($include) ? $include : [$include]).filter((name) => typeof name === 'string');
  let merged: unknown = {};
  for (const name of names) {
    const file = resolve(dirname(path), expandHome(name, state.home));
    if (state.depth >= MAX_INCLUDE_DEPTH) break;
    state.included.add(file);
    try {
      // oxlint-disable-next-line no-await-in-loop -- later includes win over earlier ones
      merged = mergeDeep(merged, await readMerged(file, { ...state, depth: state.depth + 1 }));
    } catch {
      // A missing include is the agent's trouble; the rest still tells which folders are its own.
    }
  }
  const fields = await Promise.all(
    Object.entries(own).map(async ([key, item]) => [key, await mergeIncludes(item, path, state)] as const),
  );
  return mergeDeep(merged, Object.fromEntries(fields));
}

function mergeDeep(under: unknown, over: unknown): unknown {
  if (Array.isArray(under) && Array.isArray(over)) return [...under, ...over];
  if (!isFields(under) || !isFields(over)) return over;
  const merged = new Map(Object.entries(under));
  for (const [key, value] of Object.entries(over))
    merged.set(key, merged.has(key) ? mergeDeep(merged.get(key), value) : value);
  return Object.fromEntries(merged);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asFields(value: unknown): Fields {
  return isFields(value) ? value : {};
}
