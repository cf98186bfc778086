// Writing trees back: round trips of real states, and commits that try to write elsewhere.

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { captureFile } from '../../src/agent/capture.ts';
import { type Profile, getProfile } from '../../src/agent/profile.ts';
import { flushTree, writeEntries } from '../../src/agent/rehydrate.ts';
import type { ScannedEntry } from '../../src/agent/scan.ts';
import type { RestoreEntry } from '../../src/model/entry.ts';
import { isMoltError } from '../../src/model/error.ts';
import {
  MemoryBlobs,
  captureContext,
  contentOf,
  getCaptured,
  scanRoots,
  tempFolders,
  unpackFixture,
} from './support.ts';

const makeFolder = tempFolders(test);
const generic = getProfile('generic');

async function scanFolder(dir: string, profile: Profile = generic): Promise<readonly ScannedEntry[]> {
  return scanRoots(profile, await profile.findRoots(dir, { home: '/nowhere' })).entries;
}

/** Captures a folder whole, as a restore would find it. */
async function captureAll(dir: string, profile: Profile = generic) {
  const blobs = new MemoryBlobs();
  const entries: RestoreEntry[] = [];
  for (const entry of await scanFolder(dir, profile)) {
    if (entry.type === 'directory') entries.push({ ...entry, blob: undefined });
    else {
      const { id, sizeBytes } = getCaptured(await captureFile(entry, blobs.open, captureContext(makeFolder())));
      entries.push({ ...entry, blob: id, sizeBytes });
    }
  }
  return { blobs, entries };
}

/** What must be the same after a round trip. */
function compare(entries: readonly ScannedEntry[]) {
  return entries.map(({ path, type, mode, sizeBytes, mtimeNs, linkGroup }) => ({
    path,
    type,
    mode,
    sizeBytes,
    mtimeUs: mtimeNs / 1000n,
    linkGroup,
  }));
}

/** Rounds the times of a folder's entries to what any clock and Node's seconds can hold, so that they compare exactly. */
function setTimes(dir: string): void {
  execFileSync('find', [dir, '-depth', '-exec', 'touch', '-h', '-d', '2026-11-20T01:02:03.25Z', '{}', '+']);
}

test('a tree with everything in it comes back as it was', async (t) => {
  const dir = makeFolder();
  mkdirSync(join(dir, 'empty'));
  mkdirSync(join(dir, 'project/.git/objects'), { recursive: true });
  writeFileSync(join(dir, 'project/.git/config'), '[core]');
  writeFileSync(join(dir, 'zero'), '');
  writeFileSync(join(dir, 'secret'), 'key', { mode: 0o600 });
  writeFileSync(join(dir, 'run.sh'), '#!/bin/sh', { mode: 0o755 });
  linkSync(join(dir, 'secret'), join(dir, 'project/same'));
  symlinkSync('nowhere at all', join(dir, 'dangling'));
  symlinkSync('project', join(dir, 'to-folder'));
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0x0a, 0x25])]), 'bytes');
  mkdirSync(join(dir, 'locked'));
  writeFileSync(join(dir, 'locked/inside'), 'x', { mode: 0o400 });
  chmodSync(join(dir, 'locked'), 0o500);
  setTimes(dir);
  utimesSync(join(dir, 'zero'), '-12345.5', '-12345.5');
  const { blobs, entries } = await captureAll(dir);
  const target = join(makeFolder(), 'new');
  const result = await writeEntries({ targets: new Map([['state', target]]), entries, content: contentOf(blobs.read) });
  t.deepEqual(compare(await scanFolder(target)), compare(await scanFolder(dir)));
  t.is(readlinkSync(join(target, 'dangling')), 'nowhere at all');
  t.is(lstatSync(join(target, 'secret')).ino, lstatSync(join(target, 'project/same')).ino);
  t.deepEqual(result, { files: 7, folders: 5, links: 2, bytes: 24 });
  execFileSync('diff', ['-r', '--no-dereference', dir, target]);
  for (const folder of [dir, target]) chmodSync(join(folder, 'locked'), 0o700);
});

test('times come back within a microsecond', async (t) => {
  const dir = makeFolder();
  writeFileSync(join(dir, 'f'), 'x');
  symlinkSync('x', join(dir, 'l'));
  const { blobs, entries } = await captureAll(dir);
  const target = makeFolder();
  await writeEntries({ targets: new Map([['state', target]]), entries, content: contentOf(blobs.read) });
  const written = await scanFolder(target);
  for (const [index, entry] of entries.entries()) {
    const difference = (written[index]?.mtimeNs ?? 0n) - entry.mtimeNs;
    t.true(difference < 1000n && difference > -1000n, `${entry.path}: ${difference} ns`);
  }
});

for (const version of ['2026.9.6', '2026.5.28'] as const) {
  test(`the recorded state of ${version} comes back, every file of it`, async (t) => {
    const stateDir = unpackFixture(version, makeFolder());
    const openclaw = getProfile('openclaw');
    const { blobs, entries } = await captureAll(stateDir, openclaw);
    const target = join(makeFolder(), 'state');
    await writeEntries({ targets: new Map([['state', target]]), entries, content: contentOf(blobs.read) });
    const isFile = (entry: ScannedEntry) => !entry.path.endsWith('.sqlite');
    t.deepEqual(
      compare((await scanFolder(target, openclaw)).filter(isFile)),
      compare((await scanFolder(stateDir, openclaw)).filter(isFile)),
    );
    execFileSync('git', ['-C', join(target, 'workspace'), '-c', 'safe.directory=*', 'fsck', '--strict']);
    t.false(existsSync(join(target, 'state/openclaw.sqlite-wal')));
  });
}

test('several roots go to their own folders', async (t) => {
  const dir = makeFolder();
  const blobs = new MemoryBlobs();
  const entries = [await makeFile(blobs, 'roots/1/a', 1), await makeFile(blobs, 'state/b', 1)];
  await writeEntries({
    targets: new Map([
      ['state', join(dir, 's')],
      ['roots/1', join(dir, 'r')],
    ]),
    entries,
    content: contentOf(blobs.read),
  });
  t.deepEqual([readdirSync(join(dir, 's')), readdirSync(join(dir, 'r'))], [['b'], ['a']]);
  t.is(lstatSync(join(dir, 's')).mode & 0o777, 0o700);
});

const base = { mode: 0o644, mtimeNs: 10n ** 18n, component: 'custom', secret: false } as const;

async function makeBlob(blobs: MemoryBlobs, content: string) {
  const writer = blobs.open('content', [Buffer.byteLength(content)]);
  await writer.write(Buffer.from(content));
  return (await writer.finish()).id;
}

async function makeFile(blobs: MemoryBlobs, path: string, linkGroup = 0): Promise<RestoreEntry> {
  return { ...base, path, type: 'file', linkGroup, blob: await makeBlob(blobs, 'content'), sizeBytes: 7 };
}

async function makeLink(blobs: MemoryBlobs, path: string, target: string): Promise<RestoreEntry> {
  return {
    ...base,
    path,
    type: 'symlink',
    linkGroup: 0,
    blob: await makeBlob(blobs, target),
    sizeBytes: target.length,
  };
}

const hostile = test.macro(
  async (t, make: (blobs: MemoryBlobs, outside: string) => Promise<RestoreEntry>[], message: RegExp) => {
    const dir = makeFolder();
    mkdirSync(join(dir, 'outside'));
    const blobs = new MemoryBlobs();
    const entries = await Promise.all(make(blobs, join(dir, 'outside')));
    const error = await t.throwsAsync(
      writeEntries({ targets: new Map([['state', join(dir, 'in/to')]]), entries, content: contentOf(blobs.read) }),
      { message },
    );
    t.true(isMoltError(error, 'HOSTILE'), String(error));
    t.deepEqual(readdirSync(dir).sort(), ['in', 'outside']);
    t.deepEqual(readdirSync(join(dir, 'in')), ['to']);
    t.deepEqual(readdirSync(join(dir, 'outside')), []);
  },
);

test('a name of two dots is refused', hostile, (blobs) => [makeFile(blobs, 'state/../x')], /has a name that is none/);
test('escaped dots are refused', hostile, (blobs) => [makeFile(blobs, 'state/%2E%2E/x')], /has a name that is none/);
test('an escaped slash is refused', hostile, (blobs) => [makeFile(blobs, 'state/a%2Fb')], /has a name that is none/);
test('an escaped NUL is refused', hostile, (blobs) => [makeFile(blobs, 'state/a%00')], /has a name that is none/);
test(
  'an escaped slash among other bytes is refused',
  hostile,
  (blobs) => [makeFile(blobs, 'state/%FF%2F%2E%2E')],
  /has a name that is none/,
);
test('an empty name is refused', hostile, (blobs) => [makeFile(blobs, 'state//x')], /has a name that is none/);
test('an absolute path is refused', hostile, (blobs) => [makeFile(blobs, '/etc/x')], /lies in none of the roots/);
test(
  'a path outside the roots is refused',
  hostile,
  (blobs) => [makeFile(blobs, 'roots/1/x')],
  /lies in none of the roots/,
);
test('a root that is a file is refused', hostile, (blobs) => [makeFile(blobs, 'state')], /lies in none of the roots/);
test(
  'a path that comes twice is refused',
  hostile,
  (blobs) => [makeFile(blobs, 'state/x'), makeFile(blobs, 'state/x')],
  /"state\/x" is there already/,
);
test(
  'a link that is also a folder is refused',
  hostile,
  (blobs, outside) => [makeLink(blobs, 'state/x', outside), makeFile(blobs, 'state/x/y')],
  /"state\/x" is there already/,
);
test(
  'a file that is also a folder is refused',
  hostile,
  (blobs) => [makeFile(blobs, 'state/x'), makeFile(blobs, 'state/x/y')],
  /is there already/,
);
test('a link to nothing is refused', hostile, (blobs) => [makeLink(blobs, 'state/x', '')], /without a usable target/);
test(
  'a link with a NUL is refused',
  hostile,
  (blobs) => [makeLink(blobs, 'state/x', 'a\0b')],
  /without a usable target/,
);
test(
  'a link with an endless target is refused',
  hostile,
  (blobs) => [makeLink(blobs, 'state/x', 'a'.repeat(5000))],
  /too long a target/,
);

test('a planted link is not written through', async (t) => {
  const dir = makeFolder();
  const blobs = new MemoryBlobs();
  const entries = [await makeFile(blobs, 'state/a'), await makeFile(blobs, 'state/b')];
  const read = (id: Parameters<typeof blobs.get>[0]) => {
    if (!existsSync(join(dir, 'new/b'))) symlinkSync(join(dir, 'victim'), join(dir, 'new/b'));
    return blobs.read(id);
  };
  const error = await t.throwsAsync(
    writeEntries({ targets: new Map([['state', join(dir, 'new')]]), entries, content: contentOf(read) }),
  );
  t.true(isMoltError(error, 'HOSTILE'));
  t.false(existsSync(join(dir, 'victim')));
});

test('a target with something in it is refused', async (t) => {
  const dir = makeFolder();
  const blobs = new MemoryBlobs();
  writeFileSync(join(dir, 'mine'), 'x');
  const entry = await makeFile(blobs, 'state/a');
  const write = (target: string, entries: RestoreEntry[]) =>
    writeEntries({ targets: new Map([['state', target]]), entries, content: contentOf(blobs.read) });
  t.true(isMoltError(await t.throwsAsync(write(dir, [entry])), 'EXISTS'));
  t.deepEqual(readdirSync(dir), ['mine']);
});

test('a tree can be flushed to the disk, and one that is not there is no success', async (t) => {
  await t.notThrowsAsync(flushTree(makeFolder()));
  await t.throwsAsync(flushTree(join(makeFolder(), 'missing')), { code: 'ENOENT' });
});
