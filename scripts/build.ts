// Builds dist/, or the folder that is named: one bundle, split so that a command loads only what it uses. Everything is bundled, so
// the package needs no dependencies at run time; the license texts of what is bundled are written beside it.

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build, type Metafile, type PluginBuild } from 'esbuild';

const ROOT = path.dirname(import.meta.dirname);
// A script that builds first, by importing this, has arguments of its own.
const NAMED = import.meta.main ? process.argv[2] : undefined;
const DIST = path.resolve(NAMED ?? path.join(ROOT, 'dist'));

const { metafile, outputFiles } = await build({
  absWorkingDir: ROOT,
  outdir: DIST,
  entryPoints: {
    main: 'src/main.ts',
    'pack-worker': 'src/repo/pack-worker.ts',
    'sha1-worker': 'src/repo/sha1-worker.ts',
    'fill-worker': 'src/repo/fill-worker.ts',
    'pod-supervisor': 'src/pod/supervisor-main.ts',
  },
  bundle: true,
  splitting: true,
  // Beside the entries: a worker is found by new URL('./pack-worker.js', import.meta.url) from whichever chunk asks.
  chunkNames: '[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node24.16',
  // React's and ink's own checks and developer tools stay out: they cost time and another package.
  plugins: [
    { name: 'light-ink', setup: lightenInk },
    { name: 'light-yargs', setup: lightenYargs },
  ],
  define: { 'process.env.NODE_ENV': '"production"', 'process.env.DEV': '"false"' },
  // The SDK's CommonJS is one file of a megabyte; its modules leave out what isn't used: a third is left.
  mainFields: ['module', 'main'],
  // licenses.txt holds the whole texts instead.
  legalComments: 'none',
  // Bundled CommonJS packages call require() for Node's own modules.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  metafile: true,
  write: false,
  logLevel: 'warning',
});
refuseLazyCommonJs(metafile);
const licenses = await collectLicenses(metafile);

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
await Promise.all(outputFiles.map((file) => writeFile(file.path, file.contents)));
await writeFile(path.join(DIST, 'licenses.txt'), licenses);

/**
 * Makes ink start sooner. It loads React's developer tools where DEV is set; they are not in the package. Its layout engine fetches
 * its own WebAssembly, which stands in its text, as a data URL: Node's fetch takes a sixth of a second for that. And it measures
 * texts with what the system knows of all scripts, which is slow to load, and needed only where a text is not plain.
 */
function lightenInk({ onLoad }: PluginBuild): void {
  onLoad({ filter: /[/\\]ink[/\\]build[/\\]devtools\.js$/ }, () => ({ contents: '' }));
  onLoad({ filter: /[/\\]yoga-wasm-base64-esm\.js$/ }, async ({ path: file }) => ({
    contents: replaceIn(
      file,
      await readFile(file, 'utf8'),
      '"function"!=typeof fetch?Promise.resolve()',
      'true?Promise.resolve()',
    ),
  }));
  onLoad({ filter: /[/\\]string-width[/\\]index\.js$/ }, async ({ path: file }) => {
    const text = await readFile(file, 'utf8');
    // The one of cli-progress is an old one, a CommonJS module.
    return text.includes('require(') ? undefined : { contents: makeWhenCalled(file, text) };
  });
}

/** Lets a module that exports one function run its other statements when that is called for the first time. */
function makeWhenCalled(file: string, text: string): string {
  const imports = text.match(/^import .*$/gm)?.join('\n') ?? '';
  const body = replaceIn(file, text.replaceAll(/^import .*$/gm, ''), 'export default function', 'return function');
  const [before = '', after = ''] = body.split('return function');
  // The function is the last statement: what follows it would never run.
  if (/^(?:const|let|export)/m.test(after)) throw new Error(`${file} has statements behind its function by now`);
  return `${imports}
    let made;
    export default (...values) => (made ??= make())(...values);
    function make() {${before} return function${after}}`;
}

/** Replaces a part of a package's file, which must be there. */
function replaceIn(file: string, text: string, old: string, now: string): string {
  if (!text.includes(old)) throw new Error(`${file} is written in another way by now: see how long it takes to load`);
  return text.replace(old, now);
}

/** Leaves out what yargs would lay its own help out with, which is not used: it takes every command some 30 ms. */
function lightenYargs({ onResolve, onLoad }: PluginBuild): void {
  onResolve({ filter: /^(?:cliui|string-width)$/ }, ({ importer }) =>
    /[/\\]yargs[/\\]lib[/\\]/.test(importer) ? { path: 'layout', namespace: 'unused' } : undefined,
  );
  onLoad({ filter: /.*/, namespace: 'unused' }, () => ({
    contents: "export default () => { throw new Error('yargs lays out no help here'); };",
  }));
}

/**
 * Throws if a CommonJS package is the target of an import(): Node gives that its named exports, but a bundle only
 * `default`, so code that works from source would break once built.
 */
function refuseLazyCommonJs({ inputs }: Metafile): void {
  for (const [importer, { imports }] of Object.entries(inputs)) {
    for (const { kind, path: target } of imports) {
      if (kind === 'dynamic-import' && inputs[target]?.format === 'cjs' && !importer.includes('node_modules')) {
        throw new Error(
          `${importer} loads the CommonJS file ${target} with import(): import it statically in a module of ours, and load that module with import()`,
        );
      }
    }
  }
}

/** Returns the name, version, license and license texts of every package that the bundle holds. */
async function collectLicenses({ inputs }: Metafile): Promise<string> {
  const folders = new Set<string>();
  for (const input of Object.keys(inputs)) {
    const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
    if (folder !== undefined) folders.add(path.join(ROOT, folder));
  }
  const notices = await Promise.all([...folders].toSorted().map(readNotice));
  return `molt holds parts of the following packages.\n\n${notices.join('\n')}`;
}

async function readNotice(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  const files = (await readdir(folder)).filter((file) => /^(licen[sc]e|copying|notice)/i.test(file)).toSorted();
  const texts = await Promise.all(files.map((file) => readFile(path.join(folder, file), 'utf8')));
  return [`${'='.repeat(80)}\n${name} ${version} (${license})\n`, ...texts.map((text) => `${text.trim()}\n`)].join(
    '\n',
  );
}
