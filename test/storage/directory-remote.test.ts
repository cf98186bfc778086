// A folder as a remote: the contract, what it counts, and whose clock it tells.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import { storageContract } from './contract.ts';

async function makeDir(t: ExecutionContext): Promise<string> {
  const dir = await mkdtemp(path.join(tmpdir(), 'molt-remote-'));
  t.teardown(async () => rm(dir, { recursive: true }));
  return dir;
}

storageContract(test, 'file URL', async (t) => {
  const url = pathToFileURL(path.join(await makeDir(t), 'a b')).href;
  return async () => openRemoteStorage(url, { create: true });
});

test('each call counts as a request, and only what moved counts as bytes', async (t) => {
  const storage = await openRemoteStorage(pathToFileURL(await makeDir(t)).href);
  await storage.createOnce('a', [Buffer.from('one'), Buffer.from('two')]);
  await storage.createOnce('a', [Buffer.from('taken')]);
  await storage.read('a', { start: 0, end: 4 });
  await storage.read('b');
  t.deepEqual(storage.traffic.requests, { put: 2, get: 2, list: 0, head: 0, delete: 0 });
  t.is(storage.traffic.bytesSent, 6);
  t.is(storage.traffic.bytesReceived, 4);
});

test('the time is that of files in the folder, and asking for it leaves nothing behind', async (t) => {
  const dir = await makeDir(t);
  const storage = await openRemoteStorage(pathToFileURL(dir).href);
  await storage.createOnce('a', [Buffer.from('x')]);
  const { modifiedMs = Number.NaN } = (await storage.stat('a')) ?? {};
  const nowMs = storage.nowMs() ?? Number.NaN;
  t.true(nowMs >= modifiedMs && nowMs - modifiedMs < 60_000);
  t.deepEqual(await readdir(path.join(dir, 'tmp')), []);
});
