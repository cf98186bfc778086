// Bundles: the whole history or what follows a commit in one file, and what happens when the file is not what was written.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import test, { type ExecutionContext } from 'ava';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import { backUp } from '../../src/ops/backup.ts';
import { exportBundle } from '../../src/ops/bundle.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { importBundle } from '../../src/ops/import.ts';
import { openAgent } from '../../src/ops/open.ts';
import { prune } from '../../src/ops/prune.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { readCommit } from '../../src/repo/git.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { makeEmptyContext, makeMachine, type Machine } from './machine.ts';

/** Makes a machine with nothing on it; its user knows the passphrase. */
function makeEmpty(t: ExecutionContext): OpsContext {
  return makeEmptyContext(t, { now: () => Date.parse('2026-04-01T00:00:00Z') });
}

async function exported({ context }: Machine, since?: string): Promise<Buffer<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  await using open = await openAgent(context, 'bot');
  await exportBundle(context, open, {
    since,
    label: 'bundle',
    write: async (bytes) => void parts.push(Buffer.from(bytes)),
  });
  return Buffer.concat(parts);
}

function imported(context: OpsContext, bundle: Uint8Array, label?: string) {
  return importBundle(context, { from: Readable.from([bundle]), name: 'the bundle', label });
}

/** Makes an agent with some history, a full backup in it. */
async function makeHistory(t: ExecutionContext): Promise<Machine> {
  const machine = await makeMachine(t);
  machine.write('large', randomBytes(200_000).toString('base64'));
  await machine.commit('2026-03-01T01:00:00Z');
  await backUp(machine.context, 'bot', { kind: 'full', full: true, trigger: 'test', name: 'whole' });
  machine.write('large', `${readFileSync(join(machine.stateDir, 'large'), 'utf8')}more`);
  await machine.commit('2026-03-01T02:00:00Z');
  return machine;
}

test('a bundle of what was pruned brings what is left, and goes on in another one', async (t) => {
  const machine = await makeHistory(t);
  const ids = new Map<string, CommitId>();
  for (let day = 2; day <= 6; day += 1) {
    machine.write('large', randomBytes(100_000).toString('base64'));
    ids.set(`full ${day}`, (await makeFull(machine, `2026-03-0${day}T00:00:00Z`)).id);
    machine.write('large', `${readFileSync(join(machine.stateDir, 'large'), 'utf8')}more`);
    ids.set(`tick ${day}`, (await machine.commit(`2026-03-0${day}T01:00:00Z`)).id);
  }
  const base = ids.get('full 3') ?? '';
  const other = makeEmpty(t);
  t.like(await imported(other, await exported(machine, undefined), 'moved'), { isNew: true });
  await prune(machine.context, 'bot', { keep: { keepLast: 1, keepDaily: 2 }, isDryRun: false, isLocal: true });
  const third = makeEmpty(t);
  t.like(await imported(third, await exported(machine), 'moved'), { isNew: true, commits: 14 });
  await machine.commit('2026-03-07T00:00:00Z');
  const more = await exported(machine, ids.get('tick 5'));
  t.like(await imported(other, more), { isNew: false });
  await t.throwsAsync(exported(machine, base), { code: 'EXPIRED' } as MoltError);
  for (const context of [other, third]) {
    const verified = await verifyAgent(context, 'moved', { readShare: 1, repair: false });
    t.deepEqual(verified.problems, []);
    await using open = await openAgent(context, 'moved');
    for (const [name, id] of ids) t.is((await readCommit(open.repository, id)).id, id, name);
  }
  await using open = await openAgent(third, 'moved');
  t.true(await open.repository.isExpired(base as CommitId));
  const dir = join(third.cwd, 'files');
  const plan = await planRestore(third, open, { revision: ids.get('tick 6'), timestamp: undefined, dir });
  await applyRestore(third, open, plan);
  const forker = makeEmpty(t);
  const fork = {
    passphrase: async () => 'second',
    keepRecoveryKey: async (): Promise<void> => {},
  };
  const from = Readable.from([await exported(machine)]);
  await importBundle(forker, { from, name: 'the bundle', label: 'forked', fork });
  await using forked = await openAgent(forker, 'forked');
  t.true(await forked.repository.isExpired(base as CommitId));
  t.deepEqual((await verifyAgent(forker, 'forked', { readShare: 1, repair: false })).problems, []);
});

async function makeFull(machine: Machine, time: string) {
  machine.at(time);
  return backUp(machine.context, 'bot', { kind: 'full', full: true, trigger: 'test' });
}

test('a bundle brings the whole history to another machine, and what follows comes in another one', async (t) => {
  const machine = await makeHistory(t);
  const other = makeEmpty(t);
  const first = await imported(other, await exported(machine), 'moved');
  t.like(first, { agent: 'moved', isNew: true, commits: 4 });
  const dir = join(other.cwd, 'files');
  {
    await using open = await openAgent(other, 'moved');
    await applyRestore(other, open, await planRestore(other, open, { revision: undefined, timestamp: undefined, dir }));
  }
  t.is(readFileSync(join(dir, 'state/large'), 'utf8'), readFileSync(join(machine.stateDir, 'large'), 'utf8'));
  await machine.commit('2026-03-01T03:00:00Z');
  machine.write('large', `${readFileSync(join(machine.stateDir, 'large'), 'utf8')}and more`);
  const { id } = await machine.commit('2026-03-01T04:00:00Z');
  const more = await exported(machine, 'HEAD~2');
  t.true(more.length < 500_000);
  t.like(await imported(other, more), { agent: 'moved', isNew: false, commits: 2 });
  t.like(await imported(other, more), { commits: 0, refs: [] });
  await using open = await openAgent(other, 'moved');
  t.is(open.repository.refs.get('refs/heads/main'), id);
  const verified = await verifyAgent(other, 'moved', { readShare: 1, repair: false });
  t.deepEqual(verified.problems, []);
});

test('a bundle of what follows a commit is refused where that commit is not', async (t) => {
  const machine = await makeHistory(t);
  const other = makeEmpty(t);
  const error = (await t.throwsAsync(imported(other, await exported(machine, 'HEAD~1')))) as MoltError;
  t.is(error.code, 'NOT_FOUND');
  t.regex(error.message, /holds only what follows [0-9a-f]{10}/);
  t.deepEqual(await other.home.listAgents(), []);
});

test('a fork has the same commits under keys of its own, and nothing in common with the old repository', async (t) => {
  const machine = await makeHistory(t);
  const other = makeEmpty(t);
  const bundle = await exported(machine);
  let recoveryKey = '';
  const fork = {
    passphrase: async () => 'second',
    keepRecoveryKey: async (text: string) => {
      recoveryKey = text;
    },
  };
  const from = Readable.from([bundle]);
  t.like(await importBundle(other, { from, name: 'the bundle', label: 'forked', fork }), { isNew: true, commits: 4 });
  t.true(recoveryKey.length > 20);
  await using open = await openAgent(other, 'forked');
  await using old = await openAgent(machine.context, 'bot');
  t.deepEqual([...open.repository.refs], [...old.repository.refs]);
  t.not(open.repository.id, old.repository.id);
  t.not(open.repository.keys.fingerprint, old.repository.keys.fingerprint);
  t.deepEqual((await verifyAgent(other, 'forked', { readShare: 1, repair: false })).problems, []);
  const dir = join(other.cwd, 'files');
  await applyRestore(other, open, await planRestore(other, open, { revision: undefined, timestamp: undefined, dir }));
  t.is(readFileSync(join(dir, 'state/large'), 'utf8'), readFileSync(join(machine.stateDir, 'large'), 'utf8'));
  const taken = await t.throwsAsync(imported(other, bundle, 'forked'));
  t.true(isMoltError(taken, 'EXISTS'));
});

test('nothing to export is said, and a branch that went another way stays', async (t) => {
  const machine = await makeHistory(t);
  await t.throwsAsync(exported(machine, 'HEAD'), { code: 'NOT_FOUND' });
  const other = makeEmpty(t);
  await imported(other, await exported(machine), 'moved');
  const stateDir = join(other.cwd, 'moved');
  {
    await using open = await openAgent(other, 'moved');
    const plan = await planRestore(other, open, { revision: undefined, timestamp: undefined, dir: stateDir });
    await applyRestore(other, open, plan);
  }
  await backUp(other, 'moved', { kind: 'incremental', trigger: 'test' });
  await machine.commit('2026-03-01T05:00:00Z');
  const result = await imported(other, await exported(machine));
  t.deepEqual(result.left, [{ name: 'refs/heads/main', why: 'it went another way here' }]);
});

test('a bundle that was cut off or changed anywhere is refused, and nothing lands', async (t) => {
  const machine = await makeHistory(t);
  const bundle = await exported(machine);
  const other = makeEmpty(t);
  for (let round = 0; round < 60; round += 1) {
    const at = Math.floor((bundle.length * round) / 60);
    const flipped = Buffer.from(bundle);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (round % 8)), at);
    for (const bad of [Buffer.from(bundle.subarray(0, at)), flipped]) {
      const error = await t.throwsAsync(imported(other, bad));
      t.true(isMoltError(error, 'TRUNCATED', 'DAMAGED', 'USAGE'), `${round}: ${String(error)}`);
    }
  }
  t.deepEqual(await other.home.listAgents(), []);
  t.false(existsSync(join(other.home.dir, 'repositories')));
  await imported(other, bundle, 'moved');
});

/** Writes a bundle by hand, with a right checksum. */
function craft(entries: readonly (readonly [name: string, bytes: Buffer, sizeBytes?: bigint])[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from('MOLTBNDL\u0001\0\0\0\0\0\0\0', 'latin1')];
  for (const [name, bytes, sizeBytes = BigInt(bytes.length)] of entries) {
    const entry = Buffer.alloc(16);
    entry.writeUInt16LE(name.length);
    entry.writeBigUInt64LE(sizeBytes, 8);
    parts.push(entry, Buffer.from(name, 'latin1'), bytes);
  }
  parts.push(Buffer.alloc(16));
  const body = Buffer.concat(parts);
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}

test('a hostile bundle is refused: names that lead out, twins, impossible sizes, foreign objects, another agent’s', async (t) => {
  const other = makeEmpty(t);
  const x = Buffer.from('x');
  const refusals: readonly (readonly [string, Buffer])[] = [
    ['HOSTILE', craft([['../../etc/passwd', x]])],
    ['HOSTILE', craft([['/etc/passwd', x]])],
    ['HOSTILE', craft([['log/..', x]])],
    ['HOSTILE', craft([['elsewhere/file', x]])],
    [
      'HOSTILE',
      craft([
        ['keys/000001', x],
        ['keys/000001', x],
      ]),
    ],
    ['HOSTILE', craft([['log/000000000001', x, 2n ** 63n]])],
    ['TRUNCATED', craft([['log/000000000001', x, 1n << 30n]])],
    ['NO_REPOSITORY', craft([])],
    ['DAMAGED', craft([['format.json', Buffer.from('{"molt":"repository","version":1}')]])],
    ['NEWER_FORMAT', craft([['format.json', Buffer.from('{"molt":"repository","version":9}')]])],
    ['USAGE', Buffer.from('hello')],
    ['USAGE', Buffer.alloc(0)],
  ];
  for (const [code, bundle] of refusals) {
    const error = await t.throwsAsync(imported(other, bundle));
    t.true(isMoltError(error, code as MoltError['code']), `${code}: ${String(error)}`);
  }
  t.deepEqual(await other.home.listAgents(), []);
});

test('objects that a bundle’s writer left out are missed before anything lands', async (t) => {
  const machine = await makeHistory(t);
  const bundle = await exported(machine);
  const entries: [string, Buffer][] = [];
  for (let at = 16; bundle.readUInt16LE(at) > 0;) {
    const nameLength = bundle.readUInt16LE(at);
    const sizeBytes = Number(bundle.readBigUInt64LE(at + 8));
    const start = at + 16 + nameLength;
    entries.push([bundle.toString('latin1', at + 16, start), bundle.subarray(start, start + sizeBytes)]);
    at = start + sizeBytes;
  }
  t.true(entries.some(([name]) => name.startsWith('packs/')));
  const other = makeEmpty(t);
  for (const [name] of entries) {
    const less = craft(entries.filter(([kept]) => kept !== name));
    const error = await t.throwsAsync(imported(other, less), undefined, name);
    t.true(isMoltError(error), `${name}: ${String(error)}`);
  }
  t.deepEqual(await other.home.listAgents(), []);
  writeFileSync(join(other.cwd, 'whole'), craft(entries));
  t.like(await importBundle(other, { from: join(other.cwd, 'whole'), name: 'whole', label: 'moved' }), { isNew: true });
});
