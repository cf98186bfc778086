// Capturing plain files, JSONL and symlinks while they are being written. Races are made by writing from inside the blob's writer,
// so that each happens at the same moment every time.

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
  openSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { captureFile } from '../../src/agent/capture.ts';
import { getProfile } from '../../src/agent/profile.ts';
import type { ScannedEntry } from '../../src/agent/scan.ts';
import { MemoryBlobs, captureContext, getCaptured, getEntry, scanRoots, tempFolders } from './support.ts';

const makeFolder = tempFolders(test);
const generic = getProfile('generic');

/** Writes a file and returns it as scanned, with blobs to capture it into. */
async function prepare(name: string, content: string | Buffer) {
  const dir = makeFolder();
  const path = join(dir, name);
  writeFileSync(path, content);
  const entry = await rescan(dir, name);
  const blobs = new MemoryBlobs();
  const capture = () => captureFile(entry, blobs.open, captureContext(join(dir, 'temp')));
  return { dir, path, entry, blobs, capture };
}

async function rescan(dir: string, name: string): Promise<ScannedEntry> {
  return getEntry(scanRoots(generic, await generic.findRoots(dir, { home: '/nowhere' })), `state/${name}`);
}

/** Returns a function that does its work only on the first so many calls. */
function times(count: number, work: () => void): () => void {
  let left = count;
  return () => {
    if (left <= 0) return;
    left -= 1;
    work();
  };
}

/** Changes a byte in place and makes sure that the time changes too, however coarse the clock. */
function overwrite(path: string, offset: number, mark: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, String.fromCharCode(mark), offset);
  closeSync(fd);
  utimesSync(path, 1000 + mark, 1000 + mark);
}

const MEGABYTES = Buffer.alloc(2_500_000, 'abcdefgh');

test('files of any size are captured whole, with their own Git ids', async (t) => {
  for (const content of [Buffer.alloc(0), Buffer.from('hello\n'), Buffer.alloc(1024 * 1024, 1), MEGABYTES]) {
    const { entry, blobs, capture } = await prepare('f', content);
    const { id, ...outcome } = getCaptured(await capture());
    t.true(blobs.get(id).equals(content));
    t.is(id, execFileSync('git', ['hash-object', '--stdin'], { input: content, encoding: 'utf8' }).trim() as typeof id);
    t.like(outcome, { sizeBytes: content.length, kind: 'plain', cacheable: true });
    t.is(outcome.stamp.mtimeNs, entry.mtimeNs);
    t.deepEqual(blobs.opened, ['content']);
  }
});

test('a sparse file of many megabytes is read', async (t) => {
  const { path, capture } = await prepare('f', 'begin');
  truncateSync(path, 64 * 1024 * 1024);
  t.is(getCaptured(await capture()).sizeBytes, 64 * 1024 * 1024);
});

test('the target of a symlink is its content, whether it dangles or isn’t UTF-8', async (t) => {
  const dir = makeFolder();
  const target = Buffer.from([0x2f, 0xff, 0x2f, 0x78]);
  symlinkSync(target, join(dir, 'link'));
  const blobs = new MemoryBlobs();
  const outcome = getCaptured(await captureFile(await rescan(dir, 'link'), blobs.open, captureContext(dir)));
  t.true(blobs.get(outcome.id).equals(target));
});

test('a file that went away is no trouble', async (t) => {
  const { path, capture } = await prepare('f', 'x');
  rmSync(path);
  t.deepEqual(await capture(), { status: 'vanished' });
});

test('a file that became a symlink, a pipe or a folder is not followed, waited for or captured', async (t) => {
  for (const change of ['ln -s /etc/hostname', 'mkfifo', 'mkdir']) {
    const { path, capture, blobs } = await prepare('f', 'x');
    rmSync(path);
    execFileSync('sh', ['-c', `${change} "$0"`, path]);
    t.is((await capture()).status, 'unreadable', change);
    t.is(blobs.blobs.size, 0);
  }
});

test('a file that changed while it was read is read again', async (t) => {
  const { path, blobs, capture } = await prepare('f', MEGABYTES);
  blobs.onWrite = times(1, () => overwrite(path, 5, 90));
  const outcome = getCaptured(await capture());
  t.is(blobs.get(outcome.id)[5], 90);
  t.true(outcome.cacheable);
  t.is(blobs.aborted, 1);
});

test('a file replaced by rename while it was read is captured as one version or the other', async (t) => {
  const { dir, path, blobs, capture } = await prepare('f', MEGABYTES);
  blobs.onWrite = times(1, () => {
    writeFileSync(join(dir, 'new'), 'new content');
    renameSync(join(dir, 'new'), path);
  });
  t.is(blobs.get(getCaptured(await capture()).id).toString(), 'new content');
});

test('a file that never stops changing is reported, and nothing of it kept', async (t) => {
  const { path, blobs, capture } = await prepare('f', MEGABYTES);
  let mark = 0;
  blobs.onWrite = () => overwrite(path, 5, (mark += 1));
  t.deepEqual(await capture(), { status: 'unreadable', reason: 'it keeps changing while it is read' });
  t.is(blobs.blobs.size, 0);
  t.is(blobs.aborted, blobs.opened.length);
});

test('a file that is cut short each time it is read is reported', async (t) => {
  const { path, blobs, capture } = await prepare('f', Buffer.alloc(20_000_000, 'x'));
  let size = 20_000_000;
  blobs.onWrite = () => truncateSync(path, (size -= 100_000));
  t.is((await capture()).status, 'unreadable');
  t.is(blobs.blobs.size, 0);
});

test('a file that grows without end is captured up to where it was when it was opened', async (t) => {
  const { path, blobs, capture } = await prepare('f', MEGABYTES);
  blobs.onWrite = () => appendFileSync(path, Buffer.alloc(2_000_000, 'more'));
  const outcome = getCaptured(await capture());
  t.is(outcome.sizeBytes, outcome.stamp.sizeBytes);
  t.false(outcome.cacheable);
  t.true(blobs.get(outcome.id).subarray(0, MEGABYTES.length).equals(MEGABYTES));
});

test('a file that grows and is also changed inside is reported', async (t) => {
  const { path, blobs, capture } = await prepare('f', MEGABYTES);
  let mark = 0;
  blobs.onWrite = () => {
    appendFileSync(path, 'more');
    overwrite(path, 5, (mark += 1));
  };
  t.is((await capture()).status, 'unreadable');
});

const lines = test.macro(async (t, content: string, kept: string, cacheable: boolean) => {
  const { blobs, capture } = await prepare('f.jsonl', content);
  const outcome = getCaptured(await capture());
  t.is(blobs.get(outcome.id).toString(), kept);
  t.like(outcome, { kind: 'jsonl', cacheable, sizeBytes: Buffer.byteLength(kept) });
});

test('JSONL that ends with a newline is whole', lines, '{"a":1}\n{"b":2}\n', '{"a":1}\n{"b":2}\n', true);
test('JSONL whose last line only lacks its newline is whole', lines, '{"a":1}\n{"b":2}', '{"a":1}\n{"b":2}', true);
test(
  'JSONL with a torn last line is cut before it and read again next time',
  lines,
  '{"a":1}\n{"b":',
  '{"a":1}\n',
  false,
);
test('JSONL that is only a torn line is empty for now', lines, '{"b":', '', false);
test(
  'JSONL whose last line tears a character is cut before it',
  lines,
  `{"a":1}\n{"b":"${'é'.repeat(40_000)}`,
  '{"a":1}\n',
  false,
);
test('empty JSONL is empty', lines, '', '', true);

test('JSONL that is appended to while it is read has whole lines only, a prefix of what was written', async (t) => {
  const line = `${JSON.stringify({ text: 'x'.repeat(1000) })}\n`;
  const { path, blobs, capture } = await prepare('f.jsonl', line.repeat(2000));
  // Each piece that is read meets half a line more.
  let half = 0;
  blobs.onWrite = () => {
    const text = line + line;
    appendFileSync(path, text.slice(half % 2 === 0 ? 0 : 500, half % 2 === 0 ? 500 : 1000));
    half += 1;
  };
  const outcome = getCaptured(await capture());
  const content = blobs.get(outcome.id).toString();
  t.true(content.endsWith('\n') && content.length >= line.length * 2000);
  t.false(outcome.cacheable);
  for (const text of content.trimEnd().split('\n').slice(-3)) t.notThrows(() => JSON.parse(text));
});

test('trouble of the writer is not taken for trouble of the file', async (t) => {
  const { blobs, capture } = await prepare('f', 'x');
  blobs.onWrite = () => {
    throw Object.assign(new Error('disk full'), { code: 'ENOENT' });
  };
  await t.throwsAsync(capture(), { message: 'disk full' });
  t.is(blobs.aborted, 1);
});

test('what the system refuses is reported with its code', async (t) => {
  const { entry, blobs } = await prepare('f', 'x');
  const outcome = await captureFile(
    { ...entry, native: `/${'n'.repeat(300)}` },
    blobs.open,
    captureContext('/nowhere'),
  );
  t.deepEqual(outcome, { status: 'unreadable', reason: 'the system refused (ENAMETOOLONG)' });
});
