// Restored states that are not what they say: nothing outside them is touched, and every refusal says why.

import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MoltError } from '../../src/model/error.ts';
import { change, listFiles, query, rebind, restoreFixture, stateOf } from './openclaw-restored.ts';
import { tempFolders } from './support.ts';

const tempFolder = tempFolders(test);
const SHARED = 'state/openclaw.sqlite';

const refused = test.macro<[(state: string, base: string) => void, { code: string; message: RegExp }]>(
  async (t, spoil, error) => {
    const base = tempFolder();
    const relocation = restoreFixture('2026.9.6', base);
    const state = stateOf(relocation);
    const outside = join(base, 'outside');
    writeFileSync(outside, 'precious');
    spoil(state, base);
    const files = listFiles(state);
    const thrown = await t.throwsAsync(rebind(relocation), { instanceOf: MoltError, ...error });
    t.notRegex(thrown?.message ?? '', /precious/);
    t.is(readFileSync(outside, 'utf8'), 'precious');
    t.deepEqual(listFiles(state), files, 'nothing is left behind');
  },
);

test(
  'a configuration that is a link out',
  refused,
  (state, base) => {
    rmSync(join(state, 'openclaw.json'));
    symlinkSync(join(base, 'outside'), join(state, 'openclaw.json'));
  },
  { code: 'HOSTILE', message: /openclaw\.json" is a link that leads out/ },
);

test(
  'a shared database that is a link out',
  refused,
  (state, base) => {
    rmSync(join(state, SHARED));
    symlinkSync(join(base, 'outside'), join(state, SHARED));
  },
  { code: 'HOSTILE', message: /openclaw\.sqlite" is a link that leads out/ },
);

test(
  'a folder of agents that is a link out',
  refused,
  (state, base) => {
    rmSync(join(state, 'agents'), { recursive: true });
    mkdirSync(join(base, 'agents/main/agent'), { recursive: true });
    symlinkSync(join(base, 'agents'), join(state, 'agents'));
  },
  { code: 'HOSTILE', message: /agents" is a link that leads out/ },
);

test(
  'a database that is none',
  refused,
  (state) => {
    writeFileSync(join(state, SHARED), 'precious '.repeat(1000));
  },
  { code: 'DAMAGED', message: /is not an SQLite database/ },
);

test(
  'a database whose pages are gone',
  refused,
  (state) => {
    truncateSync(join(state, SHARED), 8192);
  },
  { code: 'DAMAGED', message: /openclaw\.sqlite"/ },
);

test(
  'a configuration that is no JSON',
  refused,
  (state) => {
    writeFileSync(join(state, 'openclaw.json'), 'precious {');
  },
  { code: 'DAMAGED', message: /neither JSON nor JSON5/ },
);

test(
  'a configuration that is a folder',
  refused,
  (state) => {
    rmSync(join(state, 'openclaw.json'));
    mkdirSync(join(state, 'openclaw.json'));
  },
  { code: 'HOSTILE', message: /is not a file/ },
);

test(
  'a configuration of many megabytes',
  refused,
  (state) => {
    truncateSync(join(state, 'openclaw.json'), 1024 * 1024 * 1024);
  },
  { code: 'HOSTILE', message: /1073741824 bytes/ },
);

test(
  'a configuration that is nested without end',
  refused,
  (state) => {
    writeFileSync(join(state, 'openclaw.json'), `${'['.repeat(5000)}"x"${']'.repeat(5000)}`);
  },
  { code: 'HOSTILE', message: /nested/ },
);

test(
  'a schema newer than is known',
  refused,
  (state) => {
    change(join(state, SHARED), 'PRAGMA user_version = 19');
  },
  { code: 'NEWER_FORMAT', message: /has schema 19, .* up to 18/ },
);

test(
  'an agent’s schema newer than is known',
  refused,
  (state) => {
    change(join(state, 'agents/main/agent/openclaw-agent.sqlite'), 'PRAGMA user_version = 24');
  },
  { code: 'NEWER_FORMAT', message: /has schema 24, .* up to 23/ },
);

test('a newer schema is moved if that is forced, and is at home where it was', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  change(join(stateOf(relocation), SHARED), 'PRAGMA user_version = 19');
  await t.notThrowsAsync(rebind({ from: relocation.to, to: relocation.to }));
  const changes = await rebind(relocation, { isForced: true });
  t.true(changes.some(({ what }) => what === 'cron_jobs.store_key'));
});

test('logs of another database are removed before one is opened, and links among them without their targets', async (t) => {
  const base = tempFolder();
  const relocation = restoreFixture('2026.9.6', base);
  const state = stateOf(relocation);
  const outside = join(base, 'outside');
  writeFileSync(outside, 'precious');
  symlinkSync(outside, join(state, `${SHARED}-wal`));
  writeFileSync(join(state, `${SHARED}-journal`), 'stale');
  writeFileSync(join(state, 'workspace/notes-wal'), 'a note');
  const changes = await rebind(relocation);
  t.deepEqual(
    changes
      .filter(({ what }) => what.startsWith('a stale log'))
      .map(({ path }) => path)
      .sort(),
    [`state/${SHARED}-journal`, `state/${SHARED}-wal`],
  );
  t.is(readFileSync(outside, 'utf8'), 'precious');
  t.is(readFileSync(join(state, 'workspace/notes-wal'), 'utf8'), 'a note');
  t.is(query(join(state, SHARED), 'SELECT * FROM cron_jobs').length, 7);
});

test('a change that leaves a database unsound is taken back', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  const shared = join(stateOf(relocation), SHARED);
  change(
    shared,
    `CREATE TABLE parent (path TEXT PRIMARY KEY) STRICT; CREATE TABLE child (word TEXT REFERENCES parent (path)) STRICT;
     INSERT INTO parent VALUES ('/home/agent/.openclaw/x'); INSERT INTO child VALUES ('/home/agent/.openclaw/x');
     CREATE TRIGGER spoil AFTER UPDATE ON child BEGIN UPDATE child SET word = 'nothing'; END;`,
  );
  await t.throwsAsync(rebind(relocation), { code: 'DAMAGED' });
  t.is(query(shared, 'SELECT path FROM parent')[0]?.['path'], '/home/agent/.openclaw/x');
});
