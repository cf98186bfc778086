// The directory storage: the contract on real files, with and without hard links, and what only files can get wrong.

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError, type ErrorCode } from '../../src/model/error.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { newMark } from '../../src/storage/owner.ts';
import { listed, storageContract } from './contract.ts';
import { newFolder, runChild, startChild, traceChild } from './place.ts';

storageContract(test, 'directory', async (t) => {
  const dir = newFolder(t);
  return () => DirectoryStorage.open(dir);
});

storageContract(test, 'directory without hard links', async (t) => {
  const dir = newFolder(t);
  return () => DirectoryStorage.open(dir, { hardLinks: false });
});

const bytes = [Buffer.from('content')];
const isLinux = process.platform === 'linux';

test('folders are 0700 and files 0600, made for this user alone', async (t) => {
  const root = join(newFolder(t), 'deep', 'storage');
  const storage = await DirectoryStorage.open(root, { create: true });
  await storage.createOnce('packs/ab/cd', bytes);
  for (const folder of ['..', '', 'tmp', 'packs', 'packs/ab']) t.is(mode(join(root, folder)), 0o700, folder);
  t.is(mode(join(root, 'packs/ab/cd')), 0o600);
});

test('what was not asked to be made is not made', async (t) => {
  const dir = join(newFolder(t), 'missing');
  await refused(t, DirectoryStorage.open(dir), 'NOT_FOUND', /there is no folder .*missing/);
  t.false(fs.existsSync(dir));
});

test('a file can’t be opened as a storage', async (t) => {
  const file = join(newFolder(t), 'file');
  fs.writeFileSync(file, '');
  await refused(t, DirectoryStorage.open(file), 'IO', /is not a folder/);
  await refused(t, DirectoryStorage.open(file, { create: true }), 'IO', /file/);
  await refused(t, DirectoryStorage.open(join(file, 'in')), 'IO', /a file stands where a folder should be/);
});

test('opening and reading write nothing', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.read('log/1');
  await listed(storage, '');
  await storage.delete('log/1');
  t.deepEqual(fs.readdirSync(dir), []);
});

test('no scratch file is left by a win, a loss or a lost race', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await Promise.all(Array.from({ length: 4 }, () => storage.createOnce('packs/large', [Buffer.alloc(3 << 20)])));
  await storage.createOnce('packs/large', bytes);
  t.deepEqual(fs.readdirSync(join(dir, 'tmp')), []);
  t.is(fs.statSync(join(dir, 'packs/large')).nlink, 1);
});

test('an object is synced before it gets its name, and its folder after', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('log/1', bytes);
  const calls = (await traceChild(t, ['create', dir, 'log/2', '20000'])).filter((name) =>
    ['open', 'write', 'fsync', 'close', 'link', 'rename', 'unlink'].includes(name),
  );
  const link = calls.indexOf('link');
  t.deepEqual(calls.slice(link - 4, link + 5), [
    'open',
    'write',
    'fsync',
    'close',
    'link',
    'open',
    'fsync',
    'close',
    'unlink',
  ]);
});

test('each new folder’s name is synced before an object in it is written', async (t) => {
  const calls = await traceChild(t, ['create', newFolder(t), 'packs/ab/cd', '100']);
  const steps = calls.slice(0, calls.indexOf('link')).filter((name) => name === 'mkdir' || name === 'fsync');
  // tmp, packs, packs/ab, and then the object itself.
  t.deepEqual(steps, ['mkdir', 'mkdir', 'fsync', 'mkdir', 'fsync', 'fsync']);
});

test('a list reads only the folders that can hold what is asked for', async (t) => {
  const dir = newFolder(t);
  for (let index = 10; index < 40; index += 1) fs.mkdirSync(join(dir, 'packs', String(index)), { recursive: true });
  fs.writeFileSync(join(dir, 'packs/25/a'), '');
  const scans = async (...words: string[]) =>
    (await traceChild(t, ['list', dir, ...words])).filter((name) => name === 'readdir' || name === 'scandir').length;
  const none = await scans('nowhere/');
  t.is((await scans('packs/25/')) - none, 1);
  t.is((await scans('packs/2')) - none, 1 + 10);
  t.is((await scans('packs/', 'packs/38/x')) - none, 1 + 2);
});

const race = test.macro(async (t, links: readonly string[]) => {
  const dir = newFolder(t);
  const count = 40;
  const storage = await DirectoryStorage.open(dir, { hardLinks: !links.includes('no-links') });
  await storage.createOnce('log/first', bytes);
  const go = await Promise.all(
    links.map((kind, index) => startChild(['race', dir, `child ${index}`, String(count), kind])),
  );
  const won = (await Promise.all(go.map((start) => start()))) as number[][];
  for (let index = 0; index < count; index += 1) {
    const winners = won.flatMap((names, child) => (names.includes(index) ? [child] : []));
    t.is(winners.length, 1, `log/${index}`);
    t.is(String(await storage.read(`log/${index}`)), `child ${winners[0]} won ${index}`);
  }
});

test('of processes that create the same names each name has one winner', race, ['links', 'links', 'links']);
test('the same holds without hard links', race, ['no-links', 'no-links', 'no-links']);
test('once a writer had no hard links, writers that have them keep out of its way', race, [
  'no-links',
  'links',
  'links',
]);

test('only scratch files that are old and whose process is gone are swept', async (t) => {
  const dir = newFolder(t);
  const hours = (count: number) => Date.now() / 1000 - count * 3600;
  const dead = String(await runChild(['mark', dir])).slice(0, -16);
  const alive = newMark().slice(0, -16);
  const foreign = `${'0'.repeat(12)}${dead.slice(12)}`;
  const random = (digit: string) => digit.repeat(16);
  const files: [string, number, boolean][] = [
    [`${dead}${random('1')}.tmp`, 2, false],
    [`${dead}${random('2')}.tmp`, 0.5, true],
    [`${dead}${random('3')}3.tmp`, 99, true],
    [`${dead}${random('g')}.tmp`, 99, true],
    [`${alive}${random('1')}.tmp`, 99, true],
    [`${foreign}${random('1')}.tmp`, 2, true],
    [`${foreign}${random('2')}.tmp`, 25, false],
    ['somebody-elses.txt', 99, true],
  ];
  fs.mkdirSync(join(dir, 'tmp'));
  for (const [name, age] of files) {
    fs.writeFileSync(join(dir, 'tmp', name), 'x');
    fs.utimesSync(join(dir, 'tmp', name), hours(age), hours(age));
  }
  await DirectoryStorage.open(dir);
  for (const [name, age, stays] of files) t.is(fs.existsSync(join(dir, 'tmp', name)), stays, `${name}, ${age} h`);
});

test('whatever is no plain file is reported under an object’s name, and passed over by a list', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('log/1', bytes);
  fs.symlinkSync('1', join(dir, 'log/link'));
  fs.symlinkSync('nowhere', join(dir, 'log/dangling'));
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(dir, 'log/pipe')]);
  const server = createServer().listen(join(dir, 'log/socket'));
  await once(server, 'listening');
  t.teardown(() => server.close());
  for (const name of ['log/link', 'log/dangling', 'log/pipe', 'log/socket']) {
    await refused(t, storage.read(name), 'HOSTILE', /is not a plain file/);
    await refused(t, storage.read(name, { start: 0, end: 1 }), 'HOSTILE', /is not a plain file/);
    await refused(t, storage.stat(name), 'HOSTILE', /is not a plain file/);
    await refused(t, storage.createOnce(name, bytes), 'HOSTILE', /is not a plain file/);
  }
  t.deepEqual(await listed(storage, ''), ['log/1']);
  await storage.delete('log/link');
  t.true(await storage.createOnce('log/link', bytes));
  t.is(String(await storage.read('log/1')), 'content');
});

test('a folder under an object’s name is no object, and can’t become one', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('a/b', bytes);
  t.is(await storage.read('a'), undefined);
  t.is(await storage.stat('a'), undefined);
  await refused(t, storage.createOnce('a', bytes), 'HOSTILE', /"a" in .* is not a plain file/);
});

test('a symbolic link in place of a folder is not followed', async (t) => {
  const dir = newFolder(t);
  const outside = newFolder(t);
  fs.writeFileSync(join(outside, 'secret'), 'secret');
  fs.symlinkSync(outside, join(dir, 'packs'));
  const storage = await DirectoryStorage.open(dir);
  await refused(t, storage.createOnce('packs/x', bytes), 'HOSTILE', /"packs" in .* is a symbolic link/);
  await refused(t, storage.createOnce('packs/ab/x', bytes), 'HOSTILE', /symbolic link/);
  await refused(t, storage.read('packs/secret'), 'HOSTILE', /symbolic link/);
  await refused(t, storage.delete('packs/secret'), 'HOSTILE', /symbolic link/);
  t.deepEqual(await listed(storage, ''), []);
  t.deepEqual(await listed(storage, 'packs/'), []);
  t.deepEqual(fs.readdirSync(outside), ['secret']);
});

test('a symbolic link in place of the scratch folder is not followed', async (t) => {
  const dir = newFolder(t);
  const outside = newFolder(t);
  fs.symlinkSync(outside, join(dir, 'tmp'));
  const storage = await DirectoryStorage.open(dir);
  await refused(t, storage.createOnce('log/1', bytes), 'HOSTILE', /"tmp" in .* is a symbolic link/);
  t.deepEqual(fs.readdirSync(outside), []);
});

test('a storage may itself be reached through a symbolic link', async (t) => {
  const dir = newFolder(t);
  const link = join(newFolder(t), 'link');
  fs.symlinkSync(dir, link);
  const storage = await DirectoryStorage.open(link);
  t.true(await storage.createOnce('log/1', bytes));
  t.is(storage.label, dir);
});

test('a file where a folder should be is an error that names it, and changes nothing', async (t) => {
  const dir = newFolder(t);
  fs.writeFileSync(join(dir, 'log'), 'in the way');
  const storage = await DirectoryStorage.open(dir);
  await refused(
    t,
    storage.createOnce('log/1', bytes),
    'IO',
    /"log" in .* is a file where a folder should be; nothing was changed/,
  );
  t.is(await storage.read('log/1'), undefined);
  t.is(fs.readFileSync(join(dir, 'log'), 'utf8'), 'in the way');
  t.deepEqual(fs.readdirSync(join(dir, 'tmp')), []);
});

test('folders that are removed while the storage is open are made again', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('log/1', bytes);
  fs.rmSync(join(dir, 'log'), { recursive: true });
  fs.rmSync(join(dir, 'tmp'), { recursive: true });
  t.is(await storage.read('log/1'), undefined);
  t.true(await storage.createOnce('log/2', bytes));
  t.deepEqual(await listed(storage, ''), ['log/2']);
});

test('a storage whose root is removed while it is open is not made again', async (t) => {
  const dir = join(newFolder(t), 'storage');
  const storage = await DirectoryStorage.open(dir, { create: true });
  fs.rmdirSync(dir);
  await refused(t, storage.createOnce('log/1', bytes), 'IO', /the folder is gone .*; nothing was changed/);
  t.false(fs.existsSync(dir));
});

test('foreign files beside the objects are neither listed nor touched', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('log/1', bytes);
  for (const name of ['.DS_Store', 'Thumbs.db', 'log/.nfs0001', 'log/1~']) fs.writeFileSync(join(dir, name), 'x');
  fs.mkdirSync(join(dir, 'lost+found'));
  t.deepEqual(await listed(storage, ''), ['log/1']);
});

test('a range of a file that another process deleted is not read from the open descriptor', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  await storage.createOnce('packs/a', bytes);
  t.is(String(await storage.read('packs/a', { start: 0, end: 3 })), 'con');
  fs.unlinkSync(join(dir, 'packs/a'));
  t.is(await storage.read('packs/a', { start: 0, end: 3 }), undefined);
});

(isLinux ? test : test.skip)('few descriptors stay open, and none after closing', async (t) => {
  const dir = newFolder(t);
  const storage = await DirectoryStorage.open(dir);
  for (let index = 0; index < 100; index += 1) {
    await storage.createOnce(`packs/${index}`, bytes);
    await storage.read(`packs/${index}`, { start: 0, end: 1 });
    await storage.read(`packs/${index}`);
  }
  t.is(openUnder(dir), 32);
  await storage.close();
  t.is(openUnder(dir), 0);
});

test('a write that the system cuts short leaves nothing behind and says why', async (t) => {
  const dir = newFolder(t);
  for (const sizeBytes of [200_000, 3_000_000]) {
    const error = await runChild(['create', dir, 'packs/a', String(sizeBytes)], 'ulimit -f 64; exec "$@"');
    t.like(error, { code: 'IO' });
    t.regex((error as Error).message, /cannot write "packs\/a" in .*EFBIG\); nothing was changed$/);
  }
  t.deepEqual(fs.readdirSync(join(dir, 'packs')), []);
  t.deepEqual(fs.readdirSync(join(dir, 'tmp')), []);
  t.true(await runChild(['create', dir, 'packs/a', '200000']));
});

test('a folder that this user may not write to is an error that says so', async (t) => {
  const dir = newFolder(t);
  fs.chmodSync(dir, 0o555);
  const error = await runChild(['create', dir, 'log/1', '10'], undefined, { DROP_ROOT: '1' });
  t.like(error, { code: 'IO' });
  t.regex((error as Error).message, /cannot write "log\/1" in .*: permission denied \(EACCES\); nothing was changed$/);
  t.deepEqual(fs.readdirSync(dir), []);
});

// Needs a private mount, which not every machine allows.
const inMount = (options: string) => `mount -t tmpfs -o ${options} none "$MOUNT" && exec "$@"`;
const canMount = spawnSync('sh', ['-c', 'unshare -rm mount -t tmpfs none /mnt']).status === 0;
(canMount ? test : test.skip)('a full disk is an error that says what helps, and changes nothing', async (t) => {
  const dir = newFolder(t);
  for (const sizeBytes of [300_000, 3_000_000]) {
    const shell = `exec unshare -rm sh -c '${inMount('size=128k')}' sh "$@"`;
    const error = await runChild(['create', dir, 'packs/a', String(sizeBytes)], shell, { MOUNT: dir });
    t.like(error, { code: 'IO', hint: `free some space on the disk that holds ${dir}, then try again` });
    t.regex((error as Error).message, /the disk is full \(ENOSPC\); nothing was changed$/);
  }
});

(canMount ? test : test.skip)('a read-only disk can be read, and is an error that says so when written', async (t) => {
  const dir = newFolder(t);
  const shell = `exec unshare -rm sh -c '${inMount('ro')}' sh "$@"`;
  t.deepEqual(await runChild(['list', dir], shell, { MOUNT: dir }), []);
  const error = await runChild(['create', dir, 'packs/a', '10'], shell, { MOUNT: dir });
  t.regex((error as Error).message, /the file system is read-only \(EROFS\); nothing was changed$/);
});

function mode(path: string): number {
  return fs.statSync(path).mode & 0o777;
}

function openUnder(dir: string): number {
  return fs.readdirSync('/proc/self/fd').filter((descriptor) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(`${dir}/`);
    } catch {
      // The descriptor that lists the folder is closed by now.
      return false;
    }
  }).length;
}

async function refused(t: ExecutionContext, call: Promise<unknown>, code: ErrorCode, message: RegExp): Promise<void> {
  const error = await t.throwsAsync(call, { message });
  t.true(isMoltError(error, code), error?.stack);
}
