// Awkward agents, whole: what is captured comes back byte for byte, with its names, modes and times; what can't be is named as skipped.

import { execFileSync, fork, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { openAgent } from '../../src/ops/open.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { Actor, processes } from '../agent/processes.ts';
import { type Machine, makeMachine } from './machine.ts';

const spawn = processes(test);

/** Restores the newest commit into a new folder beside the state, and returns where the state now is. */
async function restore(machine: Machine): Promise<string> {
  const target = mkdtempSync(join(dirname(machine.stateDir), 'restored-'));
  await using open = await openAgent(machine.context, 'bot');
  const plan = await planRestore(machine.context, open, { revision: 'latest', timestamp: undefined, dir: target });
  await applyRestore(machine.context, open, plan);
  return join(target, 'state');
}

/** What a folder holds: names as raw bytes, and when each was written. */
function look(dir: Buffer | string, leftOut: readonly string[] = []): { lines: string[]; timesNs: bigint[] } {
  const lines: string[] = [];
  const timesNs: bigint[] = [];
  const walk = (folder: Buffer, above: string): void => {
    for (const name of readdirSync(folder, { encoding: 'buffer' }).toSorted((a, b) => a.compare(b))) {
      const path = Buffer.concat([folder, Buffer.from('/'), name]);
      const shown = `${above}${name.toString('latin1')}`;
      if (leftOut.includes(shown)) continue;
      const stat = lstatSync(path, { bigint: true });
      timesNs.push(stat.mtimeNs);
      const line = `${shown} ${stat.mode.toString(8)}`;
      if (stat.isSymbolicLink()) lines.push(`${line} -> ${readlinkSync(path, 'buffer').toString('latin1')}`);
      else if (stat.isFile()) lines.push(`${line} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
      else lines.push(line);
      if (stat.isDirectory()) walk(path, `${shown}/`);
    }
  };
  walk(Buffer.from(dir), '');
  return { lines, timesNs };
}

/** Times are the same to a microsecond, which is what Node can set. */
function expectSame(t: ExecutionContext, restored: ReturnType<typeof look>, state: ReturnType<typeof look>): void {
  t.deepEqual(restored.lines, state.lines);
  for (const [index, timeNs] of state.timesNs.entries()) {
    const difference = (restored.timesNs[index] ?? 0n) - timeNs;
    t.true(difference <= 1000n && difference >= -1000n, `${state.lines[index]}: ${difference} ns`);
  }
}

async function expectRoundTrip(t: ExecutionContext, machine: Machine): Promise<string> {
  const { skipped } = await machine.commit();
  t.deepEqual(skipped, []);
  const restored = await restore(machine);
  expectSame(t, look(restored), look(machine.stateDir));
  return restored;
}

test('names, sizes, links and times of every odd kind come back', async (t) => {
  const machine = await makeMachine(t);
  const dir = machine.stateDir;
  const names = [
    'Case',
    'case',
    'caf\u00e9',
    'cafe\u0301',
    'new\nline',
    '"quotes\' `',
    '-rf',
    '--',
    ' ',
    'tab\t',
    '\\',
    '%41',
    '*',
    'con',
    'a.',
  ];
  for (const name of [...names.map((name) => Buffer.from(name)), Buffer.from('ff80c3', 'hex'), Buffer.alloc(255, 'n')])
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), name]), name);
  writeFileSync(join(dir, 'nothing'), '');
  writeFileSync(join(dir, 'one'), 'x');
  for (const [name, target] of Object.entries({
    loop: 'loop',
    ping: 'pong',
    pong: 'ping',
    gone: 'nowhere',
    out: '../../..',
    passwd: '/etc/passwd',
    self: '.',
  }))
    symlinkSync(target, join(dir, name));
  for (const mode of [0o400, 0o222, 0o777, 0o1755, 0o2700, 0o4755]) {
    writeFileSync(join(dir, `mode-${mode.toString(8)}`), 'x');
    chmodSync(join(dir, `mode-${mode.toString(8)}`), mode);
  }
  const times = [
    '2399-12-31T23:59:59.999999999Z',
    '2038-01-19T03:14:08Z',
    '1969-12-31T23:59:59.000001Z',
    '1901-12-14T00:00:00.25Z',
    '1970-01-01Z',
    '2026-01-01T00:00:00.123456789Z',
  ];
  for (const [index, time] of times.entries()) {
    writeFileSync(join(dir, `time-${index}`), 'x');
    mkdirSync(join(dir, `folder-${index}`));
    execFileSync('touch', ['-d', time, join(dir, `time-${index}`), join(dir, `folder-${index}`)]);
  }
  await expectRoundTrip(t, machine);
});

test('200 levels, and a path of 4,000 bytes, come back', async (t) => {
  const machine = await makeMachine(t);
  const deep = Array.from({ length: 200 }, () => 'd').join('/');
  machine.write(`${deep}/leaf`, 'deep');
  const name = 'n'.repeat(200);
  // Where it goes back to is a longer path than where it came from.
  let long = name;
  while (`${machine.stateDir}/${long}/${name}/leaf`.length < 4000) long += `/${name}`;
  machine.write(`${long}/leaf`, 'long');
  const restored = await expectRoundTrip(t, machine);
  t.is(readFileSync(join(restored, deep, 'leaf'), 'utf8'), 'deep');
});

test('pipes, sockets and what the system cannot open are named as skipped, and the rest comes back', async (t) => {
  const machine = await makeMachine(t);
  execFileSync('mkfifo', [join(machine.stateDir, 'pipe')]);
  const server = createServer();
  await once(server.listen(join(machine.stateDir, 'sock')), 'listening');
  const { skipped } = await machine.commit();
  const restored = await restore(machine);
  t.deepEqual(
    skipped.map(({ path, reason }) => `${path}: ${reason}`),
    ['state/pipe: a pipe', 'state/sock: a socket'],
  );
  const before = look(machine.stateDir, ['pipe', 'sock']);
  await once(server.close(), 'close');
  expectSame(t, look(restored), before);
});

test('sparse files of 96 MB, lines without an end among them, come back', async (t) => {
  const machine = await makeMachine(t);
  for (const name of ['sparse.bin', 'sparse.jsonl']) {
    const file = openSync(join(machine.stateDir, name), 'w');
    writeSync(file, '{"a":1}\n', 0);
    writeSync(file, randomBytes(100_000), 0, 100_000, 48 * 2 ** 20 + 12_345);
    ftruncateSync(file, 96 * 2 ** 20 + 7);
    closeSync(file);
  }
  await expectRoundTrip(t, machine);
});

test('as many files as one commit can note the paths of come back, and one more', async (t) => {
  for (const count of [1000, 2040, 2060]) {
    const machine = await makeMachine(t);
    for (let index = 0; index < count; index += 1) machine.write(`many/f${index}`, `file ${index}\n`);
    await expectRoundTrip(t, machine);
  }
});

test('thousands of small files come back', async (t) => {
  const machine = await makeMachine(t);
  for (let index = 0; index < 3000; index += 1) machine.write(`d${index % 30}/f${index}`, `file ${index}\n`);
  await expectRoundTrip(t, machine);
});

test('files that another process appends to without end are prefixes of what they are', async (t) => {
  const machine = await makeMachine(t);
  const script = join(dirname(machine.stateDir), 'append.cjs');
  const paths = ['grows.bin', 'grows.jsonl'].map((name) => join(machine.stateDir, name));
  writeFileSync(
    script,
    `const fs = require('node:fs');
    const files = process.argv.slice(2).map((path) => fs.openSync(path, 'a'));
    process.on('disconnect', () => process.exit());
    process.on('message', () => process.exit());
    let sent = 0;
    (function step() {
      if (sent < 2 ** 30) for (const file of files) sent += fs.writeSync(file, JSON.stringify({ sent, pad: 'p'.repeat(sent % 3000) }) + '\\n');
      if (sent > 1e6 && !process.told) process.told = process.send('going');
      setImmediate(step);
    })();`,
  );
  const child = fork(script, paths);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'message');
  const { skipped } = await machine.commit();
  const ended = once(child, 'exit');
  child.send('stop');
  await ended;
  t.deepEqual(skipped, []);
  const restored = await restore(machine);
  for (const path of paths) {
    const captured = readFileSync(path.replace(machine.stateDir, restored));
    t.true(captured.length > 400_000);
    t.true(readFileSync(path).subarray(0, captured.length).equals(captured), path);
  }
  t.regex(readFileSync(join(restored, 'grows.jsonl'), 'utf8').slice(-1), /\n/);
});

test('files that vanish and change their type all the time leave a whole commit', async (t) => {
  const machine = await makeMachine(t);
  const script = join(dirname(machine.stateDir), 'churn.cjs');
  writeFileSync(
    script,
    `const fs = require('node:fs');
    process.chdir(process.argv[2]);
    process.on('disconnect', () => process.exit());
    process.on('message', () => process.exit());
    const makers = [
      (name) => fs.writeFileSync(name, name.repeat(1000)),
      (name) => { fs.mkdirSync(name); fs.writeFileSync(name + '/in', 'x'); },
      (name) => fs.symlinkSync('../secret', name),
      () => {},
    ];
    let round = 0;
    (function step() {
      for (let index = 0; index < 40; index += 1) {
        fs.rmSync('x' + index, { recursive: true, force: true });
        makers[(index + round) % 4]('x' + index);
      }
      if ((round += 1) === 1) process.send('going');
      setImmediate(step);
    })();`,
  );
  const child = fork(script, [machine.stateDir]);
  t.teardown(() => child.kill('SIGKILL'));
  await once(child, 'message');
  for (let round = 0; round < 5; round += 1) {
    await machine.commit();
    const restored = await restore(machine);
    for (const name of readdirSync(restored).filter((entry) => entry.startsWith('x'))) {
      const stat = lstatSync(join(restored, name));
      // A file that was caught as it was made is empty; it is never half.
      if (stat.isFile()) t.true(['', name.repeat(1000)].includes(readFileSync(join(restored, name), 'utf8')), name);
      else if (stat.isSymbolicLink()) t.is(readlinkSync(join(restored, name)), '../secret');
    }
  }
  const ended = once(child, 'exit');
  child.send('stop');
  await ended;
  await expectRoundTrip(t, machine);
});

test('bytes that zstd would take for something of its own come back, and so do their next versions', async (t) => {
  const machine = await makeMachine(t);
  const magics = { dictionary: '37a430ec', frame: '28b52ffd', skippable: '502a4d18', old: '27b52ffd', gzip: '1f8b08' };
  const body = randomBytes(300_000);
  // Of each kind: one that always begins so, one that begins so next, one that no longer does, one that is the magic alone.
  const at = (round: number): void => {
    for (const [kind, hex] of Object.entries(magics)) {
      const magic = Buffer.from(hex, 'hex');
      const next = Buffer.concat([body.subarray(0, 150_000), Buffer.from(`round ${round}`), body.subarray(150_000)]);
      const [with_, without] = [Buffer.concat([magic, next]), Buffer.concat([Buffer.alloc(magic.length), next])];
      writeFileSync(join(machine.stateDir, `${kind}-always`), with_);
      writeFileSync(join(machine.stateDir, `${kind}-next`), round % 2 === 1 ? with_ : without);
      writeFileSync(join(machine.stateDir, `${kind}-first`), round % 2 === 0 ? with_ : without);
      writeFileSync(join(machine.stateDir, `${kind}-alone`), Buffer.concat([magic, Buffer.alloc(round)]));
      writeFileSync(
        join(machine.stateDir, `${kind}-short`),
        Buffer.concat([magic, Buffer.from(`${round}`.repeat(3000))]),
      );
    }
  };
  for (const round of [0, 1, 2]) {
    at(round);
    await expectRoundTrip(t, machine);
  }
  const { problems } = await verifyAgent(machine.context, 'bot', { readShare: 1, repair: false });
  t.deepEqual(problems, []);
});

function makeDatabase(path: string, mode: string): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE memory (id INTEGER PRIMARY KEY, text TEXT);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO memory (text) SELECT 'memory ' || i FROM n`);
  database.close();
}

/** Returns what a restored database says of itself. */
function inspect(path: string): { check: unknown; count: unknown; torn: unknown } {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const check = database.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
    const row = database.prepare("SELECT count(*) AS count, sum(text = 'torn') AS torn FROM memory").get();
    return { check, count: row?.['count'], torn: row?.['torn'] };
  } finally {
    database.close();
  }
}

const WHOLE = { check: 'ok', count: 2000, torn: 0 };

test('databases of every kind come back whole, or as they are, or are named as skipped', async (t) => {
  const machine = await makeMachine(t);
  const at = (name: string): string => join(machine.stateDir, name);
  for (const mode of ['delete', 'truncate', 'persist', 'wal']) makeDatabase(at(`${mode}.db`), mode);
  // A rollback journal that a killed process left.
  makeDatabase(at('hot.db'), 'delete');
  const kill = `
    const database = new (require('node:sqlite').DatabaseSync)(process.argv[1]);
    database.exec("PRAGMA cache_size = 5; PRAGMA cache_spill = 5; BEGIN; UPDATE memory SET text = 'torn'");
    process.kill(process.pid, 'SIGKILL');`;
  t.is(spawnSync(process.execPath, ['-e', kill, at('hot.db')]).signal, 'SIGKILL');
  t.true(existsSync(at('hot.db-journal')));
  const hot = readFileSync(at('hot.db'));
  makeDatabase(at('garbage.db'), 'delete');
  const garbage = readFileSync(at('garbage.db'));
  randomBytes(garbage.length - 100).copy(garbage, 100);
  writeFileSync(at('garbage.db'), garbage);
  // A whole header that counts no pages at all, and one whose pages aren't there.
  const none = Buffer.from(garbage.subarray(0, 100));
  none.writeUInt32BE(0, 28);
  writeFileSync(at('no-pages.db'), none);
  writeFileSync(at('only-header.db'), garbage.subarray(0, 100));
  writeFileSync(at('nothing.db'), '');
  writeFileSync(at('text.sqlite'), 'this is no database\n');
  writeFileSync(at('like.db'), `SQLite format 3\0${'but text '.repeat(1000)}`);
  makeDatabase(at('future.db'), 'wal');
  execFileSync('touch', ['-d', '2399-01-01', at('future.db')]);
  makeDatabase(at('ancient.db'), 'wal');
  execFileSync('touch', ['-d', '1950-01-01', at('ancient.db')]);
  const { skipped } = await machine.commit();
  t.deepEqual(skipped, []);
  const restored = await restore(machine);
  const kinds = ['delete', 'truncate', 'persist', 'wal', 'hot', 'future', 'ancient'];
  for (const kind of kinds) t.deepEqual(inspect(join(restored, `${kind}.db`)), WHOLE, kind);
  // SQLite's own backup sets four fields of the header; what could be saved of the pages is all there.
  t.true(readFileSync(join(restored, 'garbage.db')).subarray(100).equals(garbage.subarray(100)));
  for (const name of ['no-pages.db', 'only-header.db', 'nothing.db', 'text.sqlite', 'like.db'])
    t.true(readFileSync(join(restored, name)).equals(readFileSync(at(name))), name);
  for (const kind of ['future', 'ancient'])
    t.is(statSync(join(restored, `${kind}.db`)).mtimeMs, statSync(at(`${kind}.db`)).mtimeMs, kind);
  t.true(readFileSync(at('hot.db')).equals(hot), 'the agent’s own file is left alone');
  t.true(existsSync(at('hot.db-journal')));
});

for (const mode of ['delete', 'wal']) {
  test(`a ${mode} database that a living process holds exclusively comes back as it was last committed`, async (t) => {
    const machine = await makeMachine(t);
    const path = join(machine.stateDir, 'held.db');
    makeDatabase(path, mode);
    t.deepEqual((await machine.commit()).skipped, []);
    const holder = await Actor.start(spawn, path);
    await holder.run("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE memory SET text = 'torn'");
    const { skipped } = await machine.commit();
    await holder.kill();
    // A log is copied as it lies, with no lock; a database with a rollback journal can't be read while its owner writes it.
    t.deepEqual(
      skipped.map(({ path, kept }) => ({ path, kept })),
      mode === 'wal' ? [] : [{ path: 'state/held.db', kept: true }],
    );
    t.deepEqual(inspect(join(await restore(machine), 'held.db')), WHOLE);
  });
}
