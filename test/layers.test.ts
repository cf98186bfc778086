// Holds the floors of the source tree (CONTRIBUTING.md, "Layers"): an import that climbs, or goes between peers, fails here
// with the file and the import named. Reads source text, so that type-only imports count too.

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';

const ROOT = path.dirname(import.meta.dirname);

const FLOORS_0_TO_2 = ['model', 'crypto', 'chunk', 'storage', 'policy', 'diff', 'format'];
const FLOORS_0_TO_3 = [...FLOORS_0_TO_2, 'repo', 'agent', 'pod'];

/** Each folder and the folders that it may import from, besides itself. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  model: [],
  crypto: ['model'],
  chunk: ['model'],
  storage: ['model'],
  policy: ['model'],
  diff: ['model'],
  format: ['model', 'crypto', 'chunk'],
  repo: FLOORS_0_TO_2,
  agent: ['model', 'chunk'],
  pod: ['model'],
  ops: FLOORS_0_TO_3,
  catalog: FLOORS_0_TO_3,
  cli: ['model', 'ops', 'catalog'],
  tui: ['model', 'ops', 'catalog'],
  main: ['model', 'cli', 'tui'],
};

/** Packages that only some folders may import, and those folders. */
const OWNED_PACKAGES: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^libsodium/, ['crypto']],
  [/^(@aws-sdk|@smithy|@azure|@google-cloud)\//, ['storage']],
  [/^isomorphic-git(\/|$)/, ['repo']],
  [/^sql\.js(\/|$)/, ['catalog', 'diff']],
  [/^pg(\/|$)/, ['catalog']],
  [/^(ink|react)([-/]|$)/, ['tui']],
  [/^yargs(\/|$)/, ['cli']],
];

/** Folders that work on values and bytes alone, and what they therefore may not import. */
const PURE = ['model', 'chunk', 'policy', 'diff', 'format'];
const INPUT_OUTPUT = /^node:(fs|child_process|net|tls|http|https|http2|dgram|sqlite)(\/|$)/;

interface Import {
  readonly specifier: string;
  readonly kind: 'static' | 'type' | 'lazy';
}

const STATIC = /^(?:import|export)\s+(type\s)?[^'"`;()=]*?\bfrom\s+['"]([^'"]+)['"]/gm;
const SIDE_EFFECT = /^import\s+['"]([^'"]+)['"]/gm;
const LAZY = /\bimport\(\s*(?:['"]([^'"]+)['"])?/g;

/** Lists what a source text imports; an import() of anything but a literal has the specifier ''. */
function listImports(source: string): Import[] {
  const found: Import[] = [];
  for (const [, type, specifier = ''] of source.matchAll(STATIC)) {
    found.push({ specifier, kind: type === undefined ? 'static' : 'type' });
  }
  for (const [, specifier = ''] of source.matchAll(SIDE_EFFECT)) found.push({ specifier, kind: 'static' });
  for (const [, specifier = ''] of source.matchAll(LAZY)) found.push({ specifier, kind: 'lazy' });
  return found;
}

/** Returns the layer that a file (a path from the root, with `/`) stands on, or undefined. */
function findLayer(file: string): string | undefined {
  if (file === 'src/main.ts') return 'main';
  if (file.startsWith('tui/')) return 'tui';
  const [, folder] = /^src\/([^/]+)\//.exec(file) ?? [];
  return folder !== undefined && folder in LAYERS && folder !== 'tui' && folder !== 'main' ? folder : undefined;
}

/** Returns why a file of a layer may not have an import, or undefined if it may. */
function findViolation(file: string, layer: string, { specifier, kind }: Import): string | undefined {
  if (specifier === '') return 'import() needs a literal, so that it can be checked and bundled';
  if (!specifier.startsWith('.')) return findPackageViolation(layer, specifier);
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (target === 'package.json') return undefined;
  const targetLayer = findLayer(target);
  if (targetLayer === undefined) return 'leads outside the layers';
  if (targetLayer !== layer && !LAYERS[layer]?.includes(targetLayer)) return `${layer} may not import ${targetLayer}`;
  if (layer === 'main' && targetLayer !== 'model' && kind === 'static') return `main must load ${targetLayer} lazily`;
  return undefined;
}

function findPackageViolation(layer: string, specifier: string): string | undefined {
  if (PURE.includes(layer) && INPUT_OUTPUT.test(specifier)) return `${layer} does no I/O`;
  const [, owners] = OWNED_PACKAGES.find(([pattern]) => pattern.test(specifier)) ?? [];
  return owners === undefined || owners.includes(layer) ? undefined : `belongs to ${owners.join(' and ')} alone`;
}

/** Returns one line for each import of a file that the layers forbid. */
function listViolations(file: string, source: string): string[] {
  const layer = findLayer(file);
  if (layer === undefined) return [`${file}: stands on no layer`];
  return listImports(source).flatMap((one) => {
    const violation = findViolation(file, layer, one);
    return violation === undefined ? [] : [`${file}: '${one.specifier}': ${violation}`];
  });
}

async function listSources(): Promise<string[]> {
  const folders = await Promise.all(
    ['src', 'tui'].map(async (folder) => {
      const names = await readdir(path.join(ROOT, folder), { recursive: true }).catch(() => []);
      return names.map((name) => `${folder}/${name.split(path.sep).join('/')}`);
    }),
  );
  return folders.flat().filter((file) => /\.[cm]?tsx?$/.test(file));
}

test('no source file imports from a floor above it, from a peer, or a package that another folder owns', async (t) => {
  const files = await listSources();
  t.true(files.includes('src/model/error.ts'), 'the source tree was found');
  const violations = await Promise.all(
    files.map(async (file) => listViolations(file, await readFile(path.join(ROOT, file), 'utf8'))),
  );
  t.deepEqual(violations.flat(), []);
});

const refused = test.macro({
  exec(t, file: string, source: string, reason: string) {
    const [line, ...rest] = listViolations(file, source);
    t.true(line?.includes(file) && line.includes(reason), line);
    t.deepEqual(rest, []);
  },
  title: (_, file: string, source: string) => `${file} may not hold: ${source.replaceAll('\n', ' ')}`,
});

test(refused, 'src/model/ids.ts', "import { seal } from '../crypto/seal.ts';", 'model may not import crypto');
test(refused, 'src/model/ids.ts', "import { readFile } from 'node:fs/promises';", 'model does no I/O');
test(refused, 'src/chunk/pool.ts', "import { seal } from '../crypto/seal.ts';", 'chunk may not import crypto');
test(refused, 'src/agent/scan.ts', "import type { Log } from '../repo/log.ts';", 'agent may not import repo');
test(refused, 'src/pod/health.ts', "export { seal } from '../crypto/seal.ts';", 'pod may not import crypto');
test(refused, 'src/repo/log.ts', "import {\n  commit,\n} from '../ops/commit.ts';", 'repo may not import ops');
test(refused, 'src/ops/list.ts', "import { find } from '../catalog/find.ts';", 'ops may not import catalog');
test(refused, 'src/ops/list.ts', "const { x } = await import('../cli/output.ts');", 'ops may not import cli');
test(refused, 'src/cli/log.ts', "import '../repo/log.ts';", 'cli may not import repo');
test(refused, 'src/cli/log.ts', "import { App } from '../../tui/app.tsx';", 'cli may not import tui');
test(refused, 'tui/app.tsx', "import { open } from '../src/repo/open.ts';", 'tui may not import repo');
test(refused, 'src/cli/log.ts', "import { x } from '../../test/contract.ts';", 'leads outside the layers');
test(refused, 'src/cli/log.ts', 'const x = await import(name);', 'needs a literal');
test(refused, 'src/main.ts', "import { run } from './cli/run.ts';", 'main must load cli lazily');
test(refused, 'src/other.ts', '', 'stands on no layer');
test(refused, 'src/extra/other.ts', '', 'stands on no layer');
test(refused, 'src/format/keyring.ts', "import sodium from 'libsodium-wrappers';", 'belongs to crypto alone');
test(refused, 'src/ops/push.ts', "import { S3Client } from '@aws-sdk/client-s3';", 'belongs to storage alone');
test(refused, 'src/ops/log.ts', "import git from 'isomorphic-git';", 'belongs to repo alone');
test(refused, 'src/repo/log.ts', "import initSqlJs from 'sql.js';", 'belongs to catalog and diff alone');
test(refused, 'src/ops/log.ts', "import pg from 'pg';", 'belongs to catalog alone');
test(refused, 'src/cli/log.ts', "import { Box } from 'ink';", 'belongs to tui alone');
test(refused, 'tui/app.tsx', "import { hideBin } from 'yargs/helpers';", 'belongs to cli alone');

const allowed = test.macro({
  exec(t, file: string, source: string) {
    t.not(listImports(source).length, 0);
    t.deepEqual(listViolations(file, source), []);
  },
  title: (_, file: string, source: string) => `${file} may hold: ${source.replaceAll('\n', ' ')}`,
});

test(allowed, 'src/main.ts', "const { run } = await import('./cli/run.ts');");
test(allowed, 'src/main.ts', "import type { Run } from './cli/run.ts';");
test(allowed, 'src/main.ts', "const { start } = await import('../tui/start.tsx');");
test(allowed, 'src/cli/version.ts', "import packageJson from '../../package.json' with { type: 'json' };");
test(
  allowed,
  'src/repo/git.ts',
  "import * as git from 'isomorphic-git';\nimport { seal } from '../format/container.ts';",
);
test(allowed, 'src/catalog/search.ts', "import initSqlJs from 'sql.js';");
test(allowed, 'src/storage/directory.ts', "import { open } from 'node:fs/promises';");
