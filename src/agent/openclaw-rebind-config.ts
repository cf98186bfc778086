// Binds OpenClaw's configuration to where a restored agent is: openclaw.json with what it includes, the older copies of it that OpenClaw
// would fall back to, and .env.

import { MoltError } from '../model/error.ts';
import { commitPathOf, findInside, quote, readInside, replaceInside } from './inside.ts';
import { type Edit, editJson, setAt, valueAt } from './json-edit.ts';
import { eachString } from './json-strings.ts';
import type { MovedPaths } from './moved-paths.ts';
import { isInside } from './native-path.ts';
import { CONFIG_PATH } from './openclaw-files.ts';
import { includedPath, isIncludeAt } from './openclaw-roots.ts';
import { parseJson } from './parse-json.ts';
import type { RebindChange, RebindOptions } from './revival.ts';

const OLDER = ['.bak', '.bak.1', '.bak.2', '.bak.3', '.bak.4', '.last-good'].map((suffix) => CONFIG_PATH + suffix);
const DEFAULT_PORT = 18789;
// Ways of showing who one is to which a token means nothing.
const OTHER_AUTH: ReadonlySet<unknown> = new Set(['password', 'none', 'trusted-proxy']);
const LOCAL_ORIGIN = /^(https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])):(\d+)$/;

type Wanted = Pick<RebindOptions, 'to' | 'ports' | 'token'>;

/**
 * Binds the configuration; files that are right already are not written.
 * @throws {MoltError} DAMAGED when openclaw.json is neither JSON nor JSON5; HOSTILE, IO
 */
export async function rebindConfig(paths: MovedPaths, wanted: Wanted): Promise<RebindChange[]> {
  const changes: RebindChange[] = [];
  const pending = [CONFIG_PATH];
  const seen = new Set<string>();
  for (let path = pending.shift(); path !== undefined; path = pending.shift()) {
    if (seen.has(path)) continue;
    seen.add(path);
    // oxlint-disable-next-line no-await-in-loop -- what a file includes is known once it was read
    const { edits, included } = await rebindFile(path, paths, wanted, path === CONFIG_PATH);
    changes.push(...edits);
    pending.push(...included);
  }
  for (const path of OLDER) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- five small files
      changes.push(...(await rebindFile(path, paths, wanted, true)).edits);
    } catch (error) {
      // A copy that was unfit for use before is no reason to fail.
      if (!(error instanceof MoltError && error.code === 'DAMAGED')) throw error;
    }
  }
  return [...changes, ...rebindEnv(paths, wanted)];
}

interface BoundFile {
  readonly edits: readonly RebindChange[];
  /** Paths of the commit. */
  readonly included: readonly string[];
}

async function rebindFile(path: string, paths: MovedPaths, wanted: Wanted, isMain: boolean): Promise<BoundFile> {
  const real = findInside(wanted.to, path);
  if (real === undefined) return { edits: [], included: [] };
  const text = readInside(real, path);
  const content = await parseJson(text).catch(() => {
    // What the parser says quotes the text, and there are secrets in it.
    throw new MoltError('DAMAGED', `${quote(path)} is neither JSON nor JSON5`, {
      hint: 'restore another moment, or take the file from one: molt checkout REV DIR -- PATH',
      details: { path },
    });
  });
  const { edits, included } = findPathEdits(content, path, paths);
  if (isMain) edits.push(...findGatewayEdits(content, wanted));
  const fitting = edits.filter((edit) => setAt(structuredClone(content), edit));
  if (fitting.length > 0) replaceInside(real, path, await editJson(text, fitting));
  return { edits: fitting.map((edit) => ({ path, what: edit.path.join('.'), count: 1 })), included };
}

/** Finds the texts that are paths of the agent's, and the files that are included. */
function findPathEdits(
  content: unknown,
  path: string,
  paths: MovedPaths,
): { readonly edits: Edit[]; readonly included: string[] } {
  const edits: Edit[] = [];
  const included: string[] = [];
  eachString(content, (text, way) => {
    const moved = isIncludeAt(way) ? moveInclude(text, path, paths, included) : paths.rewrite(text);
    if (moved !== undefined) edits.push({ path: way, value: moved });
  });
  return { edits, included };
}

/** Notes an included file of the copy; returns what its name has to be, if it can't stay. */
function moveInclude(name: string, path: string, paths: MovedPaths, included: string[]): string | undefined {
  const { from, to } = paths.relocation;
  const meant = includedPath(name, path, paths);
  const now = meant === undefined ? undefined : paths.locate(meant);
  const inCommit = now === undefined ? undefined : commitPathOf(to, now);
  if (inCommit !== undefined) included.push(inCommit);
  if (meant === name) return paths.rewrite(name);
  // A relative name stays right inside its own root.
  const isBeside = [...from].some(([key, root]) => path.startsWith(`${key}/`) && isInside(meant ?? '', root));
  return isBeside || !paths.isMoved ? undefined : now;
}

function findGatewayEdits(content: unknown, { ports, token }: Wanted): Edit[] {
  const edits: Edit[] = [];
  const set = (path: string[], value: unknown): void => {
    if (valueAt(content, path) !== value) edits.push({ path, value });
  };
  const port = ports['http'];
  if (port !== undefined) {
    const before = valueAt(content, ['gateway', 'port']) ?? DEFAULT_PORT;
    set(['gateway', 'port'], port);
    const way = ['gateway', 'controlUi', 'allowedOrigins'];
    eachString(valueAt(content, way), (origin, below) => {
      const [, start, number] = LOCAL_ORIGIN.exec(origin) ?? [];
      if (Number(number) === before) set([...way, ...below], `${start}:${port}`);
    });
  }
  if (token !== undefined && !OTHER_AUTH.has(valueAt(content, ['gateway', 'auth', 'mode'])))
    set(['gateway', 'auth', 'token'], token);
  return edits;
}

const ENV_PATH = 'state/.env';
const ENV_LINE = /^(\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*)(["']?)(.*?)(\3\s*)$/;

/** Binds `.env`, whose values OpenClaw takes where its surroundings say nothing. */
function rebindEnv(paths: MovedPaths, { to, ports, token }: Wanted): RebindChange[] {
  const real = findInside(to, ENV_PATH);
  if (real === undefined) return [];
  const bound: Readonly<Record<string, string | undefined>> = {
    OPENCLAW_GATEWAY_PORT: ports['http']?.toString(),
    OPENCLAW_GATEWAY_TOKEN: token,
  };
  const changes: RebindChange[] = [];
  const lines = readInside(real, ENV_PATH).split('\n');
  const edited = lines.map((line) => {
    const [, start = '', name = '', , value = '', end = ''] = ENV_LINE.exec(line) ?? [];
    const now = (Object.hasOwn(bound, name) ? bound[name] : undefined) ?? paths.rewrite(value);
    if (name === '' || now === undefined || now === value) return line;
    changes.push({ path: ENV_PATH, what: name, count: 1 });
    const quoteMark = end.trimEnd();
    return start + quoteMark + now + end;
  });
  if (changes.length > 0) replaceInside(real, ENV_PATH, edited.join('\n'));
  return changes;
}
