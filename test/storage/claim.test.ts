// Claims on names, by which writers keep out of each other's way without hard links.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { withClaim } from '../../src/storage/claim.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { newMark } from '../../src/storage/owner.ts';
import { newFolder, runChild } from './place.ts';

function putClaim(scratch: string, owner: string | undefined): string {
  const place = join(scratch, 'claim-log+1');
  mkdirSync(place, { recursive: true });
  if (owner !== undefined) writeFileSync(join(place, owner), '');
  return place;
}

function nextTurn(): Promise<string> {
  return new Promise((resolve) => {
    setImmediate(resolve, 'waiting');
  });
}

test('a claim is there while the action runs, and gone after it, also when it throws', async (t) => {
  const scratch = newFolder(t);
  const place = join(scratch, 'claim-log+1');
  t.true(await withClaim(scratch, 'log/1', () => existsSync(place)));
  await t.throwsAsync(
    withClaim(scratch, 'log/1', () => {
      throw new Error('no');
    }),
    { message: 'no' },
  );
  t.deepEqual(readdirSync(scratch), []);
});

test('a claim on one name does not stop a claim on another', async (t) => {
  const scratch = newFolder(t);
  putClaim(scratch, newMark());
  t.is(await withClaim(scratch, 'log/2', () => 'done', 0), 'done');
});

test('a dead process’s claim is broken', async (t) => {
  const scratch = newFolder(t);
  putClaim(scratch, String(await runChild(['mark', scratch])));
  t.is(await withClaim(scratch, 'log/1', () => 'done'), 'done');
  t.deepEqual(readdirSync(scratch), []);
});

test('a claim that lost its owner half way is taken over', async (t) => {
  const scratch = newFolder(t);
  putClaim(scratch, undefined);
  t.is(await withClaim(scratch, 'log/1', () => 'done'), 'done');
  t.deepEqual(readdirSync(scratch), []);
});

test('a living process’s claim is waited for', async (t) => {
  const scratch = newFolder(t);
  const place = putClaim(scratch, newMark());
  let ran = false;
  const waiting = withClaim(scratch, 'log/1', () => {
    ran = true;
  });
  for (let turn = 0; turn < 20; turn += 1) await nextTurn();
  t.false(ran);
  rmSync(place, { recursive: true });
  await waiting;
  t.true(ran);
});

test('another machine’s claim is never broken: in the end there is an error that names it', async (t) => {
  const scratch = newFolder(t);
  const foreign = `${'0'.repeat(12)}${newMark().slice(12)}`;
  const place = putClaim(scratch, foreign);
  const error = await t.throwsAsync(withClaim(scratch, 'log/1', () => t.fail(), 0));
  t.true(isMoltError(error, 'LOCKED') && error.hint?.includes(place));
  t.deepEqual(readdirSync(scratch), ['claim-log+1']);
  t.deepEqual(readdirSync(place), [foreign]);
});

test('where one writer has no hard links, each writer waits for the claim and then sees who won', async (t) => {
  for (const hardLinks of [false, true]) {
    const dir = newFolder(t);
    const first = await DirectoryStorage.open(dir, { hardLinks: false });
    await first.createOnce('log/0', [Buffer.from('zero')]);
    const place = putClaim(join(dir, 'tmp'), newMark());
    const storage = await DirectoryStorage.open(dir, { hardLinks });
    const waiting = storage.createOnce('log/1', [Buffer.from('late')]);
    const answer = waiting.then(() => 'answered');
    // Until it has made its own claim and found the place taken, or has given an answer too early.
    let state = 'waiting';
    while (state === 'waiting') {
      const isStaged = readdirSync(join(dir, 'tmp')).some((name) => name.endsWith('.claim'));
      state = isStaged ? 'staged' : await Promise.race([answer, nextTurn()]);
    }
    t.is(state, 'staged');
    writeFileSync(join(dir, 'log/1'), 'early');
    rmSync(place, { recursive: true });
    t.false(await waiting);
    t.is(String(await storage.read('log/1')), 'early');
  }
});

test('opening a storage breaks the claims of dead processes, and no others', async (t) => {
  const dir = newFolder(t);
  const scratch = join(dir, 'tmp');
  const dead = putClaim(scratch, String(await runChild(['mark', dir])));
  await DirectoryStorage.open(dir);
  t.false(existsSync(dead));
  const alive = putClaim(scratch, newMark());
  await DirectoryStorage.open(dir);
  t.true(existsSync(alive));
});
