// Packs the project, installs the package in an empty folder as a user would, without a registry, and starts it.
// Runs by `npm run test:package`, which builds first; `npm test` leaves it out.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import test from 'ava';
import { transform } from 'esbuild';

const run = promisify(execFile);
const ROOT = path.dirname(import.meta.dirname);

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const scratch = await mkdtemp(path.join(tmpdir(), 'molt-package-'));
const installed = path.join(scratch, 'lib', 'node_modules', 'molt');
const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'));

test.before(async () => {
  // Not `prepare`: it would rebuild dist under whatever else is running.
  const packed = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', scratch], { cwd: ROOT });
  const [{ filename }] = JSON.parse(packed.stdout);
  await run('npm', ['install', '--global', '--prefix', scratch, '--offline', path.join(scratch, filename)], {
    cwd: scratch,
  });
});

test.after.always(() => rm(scratch, { recursive: true, force: true }));

/** Runs an installed program under this test's Node, by its installed name, in a cleared environment. */
async function start(name: string, args: readonly string[], nodeArgs: readonly string[] = []): Promise<Outcome> {
  const env = { PATH: '', HOME: scratch, TMPDIR: scratch, MOLT_HOME: path.join(scratch, 'home') };
  return new Promise((resolve) => {
    const program = path.join(scratch, 'bin', name);
    const child = execFile(process.execPath, [...nodeArgs, program, ...args], { env }, (_, stdout, stderr) => {
      resolve({ status: child.exitCode ?? -1, stdout, stderr });
    });
  });
}

/** Writes a module that, loaded before the program, makes Node claim another version. */
async function fakeVersion(claimed: string): Promise<string[]> {
  const file = path.join(scratch, `node-${claimed}.cjs`);
  await writeFile(
    file,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${claimed}' } });`,
  );
  return ['--require', file];
}

for (const name of ['molt', 'moltghost']) {
  test(`an installed ${name} prints its name and version and nothing else`, async (t) => {
    t.deepEqual(await start(name, ['--version']), { status: 0, stdout: `${name} ${version}\n`, stderr: '' });
  });
}

test('an installed molt needs no other package', async (t) => {
  t.false((await readdir(installed)).includes('node_modules'));
  const { dependencies } = JSON.parse(await readFile(path.join(installed, 'package.json'), 'utf8'));
  t.is(dependencies, undefined);
});

test('the package carries the licenses of what it bundles', async (t) => {
  const licenses = await readFile(path.join(installed, 'dist', 'licenses.txt'), 'utf8');
  t.regex(licenses, /^yargs \d.* \(MIT\)$/m);
  t.regex(await readFile(path.join(installed, 'LICENSE'), 'utf8'), /MIT License/);
});

test('the package holds no source, test or development file', async (t) => {
  const top = ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'package.json', 'src'];
  t.deepEqual((await readdir(installed)).toSorted(), top);
  t.deepEqual(await readdir(path.join(installed, 'src'), { recursive: true }), ['format', 'format/FORMAT.md']);
});

for (const old of ['8.17.0', '20.20.2', '24.15.9']) {
  test(`under Node ${old} an installed molt says which Node it needs and how to get it`, async (t) => {
    const { status, stdout, stderr } = await start('molt', ['--version'], await fakeVersion(old));
    t.is(status, 1);
    t.is(stdout, '');
    t.regex(stderr, /^molt: needs Node 24\.16 or newer, but this is Node \d/);
    t.true(stderr.includes(`this is Node ${old}\n`));
    t.regex(stderr, /nodejs\.org/);
  });
}

for (const recent of ['24.16.0', '25.0.0', '26.1.0']) {
  test(`under Node ${recent} an installed molt starts`, async (t) => {
    t.is((await start('molt', ['--version'], await fakeVersion(recent))).stdout, `molt ${version}\n`);
  });
}

test('compiled code is kept in a folder that nobody else can read or write', async (t) => {
  await start('molt', ['--version']);
  const folders = (await readdir(scratch)).filter((name) => name.startsWith('molt-compile-cache'));
  t.is(folders.length, 1);
  const { mode } = await stat(path.join(scratch, folders[0] ?? ''));
  t.is(mode & 0o077, 0);
});

test('the start script is written in ES5, so that any Node can read it', async (t) => {
  const source = await readFile(path.join(installed, 'bin', 'molt.cjs'), 'utf8');
  const [asIs, lowered] = await Promise.all(['esnext', 'es5'].map((target) => transform(source, { target })));
  t.is(lowered?.code, asIs?.code);
});

test('every dependency has its row in docs/dependencies.md', async (t) => {
  const { devDependencies } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'));
  const page = await readFile(path.join(ROOT, 'docs', 'dependencies.md'), 'utf8');
  const firstCells = [...page.matchAll(/^\| ([^|]+) \|/gm)].map(([, cell = '']) => cell.replaceAll(/\(\S+\)/g, ''));
  const named = new Set(firstCells.join(' ').match(/@?[\w-]+(\/[\w.-]+|\.js)?/g));
  t.deepEqual(
    Object.keys(devDependencies).filter((name) => !named.has(name)),
    [],
  );
});

/** Makes a folder that looks like a checkout of the project, with `main` as its built program. */
async function makeCheckout(name: string, main: string): Promise<string> {
  const checkout = path.join(scratch, name);
  await Promise.all(
    ['dist', 'tools/node', 'node_modules/.bin'].map((folder) =>
      mkdir(path.join(checkout, folder), { recursive: true }),
    ),
  );
  const ownNode = path.join(checkout, 'node_modules', '.bin', 'node');
  await Promise.all([
    cp(path.join(ROOT, 'bin'), path.join(checkout, 'bin'), { recursive: true }),
    cp(path.join(ROOT, 'tools', 'node', 'package.json'), path.join(checkout, 'tools', 'node', 'package.json')),
    writeFile(path.join(checkout, 'package.json'), '{ "type": "module" }'),
    writeFile(path.join(checkout, 'dist', 'main.js'), main),
    writeFile(ownNode, `#!/bin/sh\nexec '${process.execPath}' "$@"\n`, { mode: 0o755 }),
  ]);
  return path.join(checkout, 'bin', 'molt.cjs');
}

test("in a checkout an old Node hands over to the project's own, with the arguments and the exit status", async (t) => {
  const program = await makeCheckout('arguments', 'console.log(process.argv.slice(1).join()); process.exitCode = 13;');
  const child = spawn(process.execPath, [...(await fakeVersion('20.1.0')), program, 'log', '--json']);
  const [stdout, [status]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  t.is(stdout, `${program},log,--json\n`);
  t.is(status, 13);
});

test("in a checkout a SIGTERM reaches the molt that runs under the project's own Node", async (t) => {
  const main = "process.on('SIGTERM', () => process.exit(7)); console.log('ready'); setInterval(() => {}, 1000);";
  const program = await makeCheckout('signal', main);
  const child = spawn(process.execPath, [...(await fakeVersion('20.2.0')), program]);
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [status] = await once(child, 'exit');
  t.is(status, 7);
});
