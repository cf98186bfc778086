// The scan on real file systems: what it finds, what it skips, and which patterns decide.

import { execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { getProfile } from '../../src/agent/profile.ts';
import { loadRules } from '../../src/agent/rules.ts';
import { scan } from '../../src/agent/scan.ts';
import { getEntry, scanRoots, tempFolders } from './support.ts';

const makeFolder = tempFolders(test);
const generic = getProfile('generic');
const openclaw = getProfile('openclaw');

async function scanState(
  dir: string,
  patterns: Parameters<typeof scanRoots>[2] = {},
  forbidden: string[] = [],
  profile = generic,
) {
  const result = scanRoots(profile, await profile.findRoots(dir, { home: '/nowhere' }), patterns, forbidden);
  return { ...result, paths: result.entries.map((entry) => entry.path) };
}

function put(dir: string, ...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    writeFileSync(join(dir, path), path);
  }
}

test('entries come in the order of Git’s trees, names escaped where Git refuses them', async (t) => {
  const dir = makeFolder();
  put(dir, 'a/x', 'a.b', 'a-b', 'a0', '.git/HEAD', '%41', 'é', '\ue000', '𐀀', '\ufffd');
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0x66])]), 'bytes');
  mkdirSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xfe])]));
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xfe]), Buffer.from('/inside')]), 'bytes');
  const { paths, skipped } = await scanState(dir);
  t.deepEqual(paths, [
    'state',
    'state/%2541',
    'state/%2Egit',
    'state/%2Egit/HEAD',
    'state/%FE',
    'state/%FE/inside',
    'state/%FFf',
    'state/a-b',
    'state/a.b',
    'state/a',
    'state/a/x',
    'state/a0',
    'state/é',
    'state/\ue000',
    'state/\ufffd',
    'state/𐀀',
  ]);
  t.deepEqual(skipped, []);
});

test('modes, types, times and links are what the system says', async (t) => {
  const dir = makeFolder();
  put(dir, 'f', 'sub/g');
  chmodSync(join(dir, 'f'), 0o640);
  chmodSync(join(dir, 'sub'), 0o2750);
  symlinkSync('nowhere', join(dir, 'dangling'));
  symlinkSync('sub', join(dir, 'to-folder'));
  linkSync(join(dir, 'f'), join(dir, 'sub/f2'));
  execFileSync('touch', ['-d', '1969-12-31T23:59:58.5Z', join(dir, 'sub/g')]);
  const result = await scanState(dir);
  t.deepEqual(result.paths, [
    'state',
    'state/dangling',
    'state/f',
    'state/sub',
    'state/sub/f2',
    'state/sub/g',
    'state/to-folder',
  ]);
  const f = getEntry(result, 'state/f');
  t.like(f, { type: 'file', mode: 0o640, sizeBytes: 1, linkCount: 2, linkGroup: 1, native: join(dir, 'f') });
  t.like(getEntry(result, 'state/sub/f2'), { linkGroup: 1, inode: f.inode });
  t.like(getEntry(result, 'state/sub'), { type: 'directory', mode: 0o2750, sizeBytes: 0, linkGroup: 0 });
  t.like(getEntry(result, 'state/to-folder'), { type: 'symlink', mode: 0o777, sizeBytes: 3 });
  t.is(getEntry(result, 'state/sub/g').mtimeNs, -1_500_000_000n);
});

test('sockets and pipes are reported and left out', async (t) => {
  const dir = makeFolder();
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  const server = createServer();
  await once(server.listen(join(dir, 'sock')), 'listening');
  const { paths, skipped } = await scanState(dir);
  await once(server.close(), 'close');
  t.deepEqual(paths, ['state']);
  t.deepEqual(skipped, [
    { path: 'state/pipe', reason: 'a pipe', kept: false },
    { path: 'state/sock', reason: 'a socket', kept: false },
  ]);
});

test('side files of a database are its stamps; of anything else they are files', async (t) => {
  const dir = makeFolder();
  const header = Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(84)]);
  for (const name of ['db', 'rollback.bin']) writeFileSync(join(dir, name), header);
  for (const name of ['db-wal', 'db-shm', 'rollback.bin-journal', 'text', 'text-wal', 'empty-journal', 'orphan-wal']) {
    writeFileSync(join(dir, name), name);
  }
  writeFileSync(join(dir, 'empty'), '');
  const result = await scanState(dir);
  t.deepEqual(
    result.paths.slice(1).map((path) => path.slice('state/'.length)),
    ['db', 'empty', 'empty-journal', 'orphan-wal', 'rollback.bin', 'text', 'text-wal'],
  );
  t.is(getEntry(result, 'state/db').wal?.sizeBytes, 'db-wal'.length);
  t.is(getEntry(result, 'state/db').journal, undefined);
  t.is(getEntry(result, 'state/rollback.bin').journal?.sizeBytes, 'rollback.bin-journal'.length);
});

test('what is known of a file spares reading its header', async (t) => {
  const dir = makeFolder();
  put(dir, 'known', 'known-wal');
  const roots = await generic.findRoots(dir, { home: '/nowhere' });
  const asked: [string, number][] = [];
  const isKnownSqlite = (path: string, stamp: { sizeBytes: number }) => asked.push([path, stamp.sizeBytes]) > 0;
  const { entries } = scan({
    roots,
    profile: generic,
    rules: loadRules(roots, { include: [], exclude: [] }),
    forbidden: [],
    isKnownSqlite,
  });
  t.deepEqual(
    entries.map((entry) => entry.path),
    ['state', 'state/known'],
  );
  t.deepEqual(asked, [['state/known', 5]]);
});

test('a database with two names is read under the one that has the log, and not at all if both have one', async (t) => {
  const dir = makeFolder();
  writeFileSync(join(dir, 'one'), Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(84)]));
  linkSync(join(dir, 'one'), join(dir, 'another'));
  writeFileSync(join(dir, 'one-wal'), 'log');
  const single = await scanState(dir);
  t.is(getEntry(single, 'state/another').native, join(dir, 'one'));
  t.is(getEntry(single, 'state/another').wal?.sizeBytes, 3);
  writeFileSync(join(dir, 'another-wal'), 'log');
  const double = await scanState(dir);
  t.deepEqual(double.paths, ['state']);
  t.deepEqual(
    double.skipped.map((path) => path.path),
    ['state/another', 'state/one'],
  );
});

test('200 levels and a path of 4,000 bytes are scanned; what the system can’t open is reported', async (t) => {
  const dir = makeFolder();
  const deep = Array.from({ length: 200 }, () => 'd').join('/');
  put(dir, `${deep}/leaf`);
  const name = 'n'.repeat(200);
  const long: string[] = [];
  while (dir.length + 1 + [...long, name].join('/').length < 4000) long.push(name);
  mkdirSync(join(dir, ...long), { recursive: true });
  writeFileSync(join(dir, ...long, 'leaf'), '');
  // Only by relative steps can anything be made below what one path can name.
  const script = `process.chdir(process.argv[1]); for (let i = 0; i < 3; i++) { fs.mkdirSync('${name}'); process.chdir('${name}'); }`;
  t.is(spawnSync(process.execPath, ['-e', script, join(dir, ...long)]).status, 0);
  const { paths, skipped } = await scanState(dir);
  t.true(paths.includes(`state/${deep}/leaf`));
  t.true(paths.includes(`state/${long.join('/')}/leaf`));
  t.deepEqual(
    skipped.map((path) => path.reason),
    ['a folder whose path is longer than the system can open'],
  );
  t.true(skipped[0]?.path.startsWith(`state/${long.join('/')}/${name}`));
  execFileSync('rm', ['-rf', dir]);
});

test('a folder that may not be read is skipped with its reason, and the rest is scanned', async (t) => {
  const dir = makeFolder();
  put(dir, 'closed/secret', 'open');
  chmodSync(join(dir, 'closed'), 0);
  if (process.getuid?.() !== 0) {
    t.deepEqual((await scanState(dir)).skipped, [
      { path: 'state/closed', reason: 'a folder that may not be read', kept: false },
    ]);
  } else {
    // Root may read everything, so somebody else scans.
    const url = (path: string) => JSON.stringify(new URL(`../../src/agent/${path}`, import.meta.url).href);
    const script = `
      const [{ scan }, { loadRules }, { getProfile }] = await Promise.all([import(${url('scan.ts')}), import(${url('rules.ts')}), import(${url('profile.ts')})]);
      process.setgid(65534); process.setuid(65534);
      const profile = getProfile('generic');
      const roots = [{ key: 'state', dir: process.argv[1], reason: '', areas: [{ path: '', kind: 'state' }] }];
      const result = scan({ roots, profile, rules: loadRules(roots, { include: [], exclude: [] }), forbidden: [] });
      console.log(JSON.stringify([result.skipped, result.entries.map((entry) => entry.path)]));`;
    const open = mkdtempSync('/tmp/molt-open-');
    chmodSync(open, 0o755);
    execFileSync('cp', ['-a', `${dir}/.`, open]);
    chmodSync(open, 0o755);
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, open], { encoding: 'utf8' });
    rmSync(open, { recursive: true });
    t.deepEqual(JSON.parse(run.stdout || JSON.stringify(run.stderr)), [
      [{ path: 'state/closed', reason: 'a folder that may not be read', kept: false }],
      ['state', 'state/closed', 'state/open'],
    ]);
  }
  chmodSync(join(dir, 'closed'), 0o700);
});

test('forbidden folders are never entered, even if included, but a root inside one is scanned', async (t) => {
  const dir = makeFolder();
  put(dir, 'molt-home/keys/device', 'molt-home/pods/p/file', 'note');
  t.deepEqual((await scanState(dir, { include: ['molt-home'] }, [join(dir, 'molt-home')])).paths, [
    'state',
    'state/note',
  ]);
  t.deepEqual((await scanState(join(dir, 'molt-home/pods/p'), {}, [join(dir, 'molt-home')])).paths, [
    'state',
    'state/file',
  ]);
});

const patterns = test.macro(
  async (
    t,
    files: string[],
    options: { ignore?: string; include?: string[]; exclude?: string[] },
    expected: string[],
  ) => {
    const dir = makeFolder();
    put(dir, 'openclaw.json', ...files);
    writeFileSync(join(dir, 'openclaw.json'), '{}');
    if (options.ignore !== undefined) writeFileSync(join(dir, '.moltignore'), options.ignore);
    const { paths } = await scanState(
      dir,
      { include: options.include ?? [], exclude: options.exclude ?? [] },
      [],
      openclaw,
    );
    const found = paths.slice(1).map((path) => path.slice('state/'.length));
    t.deepEqual(
      found.filter((path) => path !== '.moltignore' && path !== 'openclaw.json'),
      expected,
    );
  },
);

test(
  '.moltignore leaves out, anchored and not, and a case matters',
  patterns,
  ['a/x.log', 'x.log', 'X.LOG', 'top', 'a/top'],
  { ignore: '*.log\n/top\n' },
  ['X.LOG', 'a', 'a/top'],
);
test(
  '.moltignore takes back with ! what the profile leaves out',
  patterns,
  ['cache/x', 'cache/no', 'logs/y'],
  { ignore: '!/cache/\nno\n' },
  ['cache', 'cache/x'],
);
test(
  'an include wins over .moltignore and the profile',
  patterns,
  ['logs/y', 'secret.txt'],
  { ignore: 'secret.txt', include: ['logs', 'secret.txt'] },
  ['logs', 'logs/y', 'secret.txt'],
);
test('an exclude wins over an include', patterns, ['logs/y', 'logs/z'], { include: ['logs'], exclude: ['logs/z'] }, [
  'logs',
  'logs/y',
]);
test(
  'an include reaches into an excluded folder only for what it names',
  patterns,
  ['cache/notes/a.md', 'cache/notes/b.txt', 'cache/other/a.md'],
  { include: ['cache/notes/*.md'] },
  ['cache', 'cache/notes', 'cache/notes/a.md'],
);
test(
  'an include with ** looks through the whole folder',
  patterns,
  ['cache/p/q/a.md', 'cache/b.txt'],
  { include: ['cache/**/*.md'] },
  ['cache', 'cache/p', 'cache/p/q', 'cache/p/q/a.md'],
);
test(
  'an include without a path does not open excluded folders',
  patterns,
  ['cache/a.md', 'b.pid'],
  { include: ['*.md', '*.pid'] },
  ['b.pid'],
);
test(
  'an exclude can leave out anything, the configuration of a workspace too',
  patterns,
  ['workspace/MEMORY.md', 'workspace/n'],
  { exclude: ['MEMORY.md'] },
  ['workspace', 'workspace/n'],
);

test('files that come and go during the scan are no trouble', async (t) => {
  const dir = makeFolder();
  const script = `
    const [dir] = process.argv.slice(2); process.send('ready');
    process.on('message', () => process.exit());
    process.on('disconnect', () => process.exit());
    (function step() {
      for (let i = 0; i < 50; i++) { fs.mkdirSync(dir + '/d' + i); fs.writeFileSync(dir + '/d' + i + '/f', 'x'); }
      for (let i = 0; i < 50; i++) fs.rmSync(dir + '/d' + i, { recursive: true });
      setImmediate(step);
    })();`;
  const file = join(makeFolder(), 'churn.cjs');
  writeFileSync(file, `const fs = require('node:fs');${script}`);
  const child = fork(file, [dir]);
  await once(child, 'message');
  let seen = 0;
  for (let round = 0; round < 400 || (seen === 0 && round < 20_000); round += 1) {
    const { entries, skipped } = await scanState(dir);
    t.deepEqual(skipped, []);
    seen += entries.length - 1;
  }
  const ended = once(child, 'exit');
  child.send('stop');
  await ended;
  t.true(seen > 0, 'the churn was met');
});
