// Binding the recorded OpenClaw states to another folder, port and token.

import { mkdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { openclawProfile } from '../../src/agent/openclaw.ts';
import { workspaceKeyOf } from '../../src/agent/openclaw-paths.ts';
import { isWalMode } from '../../src/agent/sqlite-header.ts';
import { change, filesWith, listFiles, query, rebind, restoreFixture, stateOf } from './openclaw-restored.ts';
import { tempFolders } from './support.ts';

const tempFolder = tempFolders(test);
const SHARED = 'state/openclaw.sqlite';

test('a moved state promises the same as where it was, and keeps it only once it is re-bound', async (t) => {
  const dir = tempFolder();
  const relocation = restoreFixture('2026.9.6', dir);
  const recorded = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8')) as {
    sessions: { key: string; sessionId: string }[];
    cron: string[];
  };
  const expectations = await openclawProfile.readExpectations(relocation);
  t.deepEqual(
    expectations.sessions.map(({ key, id }) => ({ key, sessionId: id })),
    recorded.sessions,
  );
  t.deepEqual(expectations.cronJobs, recorded.cron);
  t.deepEqual(expectations.workspaces, [
    { path: 'state/workspace', isSetUp: true },
    { path: 'state/workspace-research', isSetUp: true },
  ]);
  t.true(expectations.memory.some(({ path }) => path === 'state/workspace/MEMORY.md'));
  t.deepEqual(expectations.schemaVersions, {
    'state/state/openclaw.sqlite': 18,
    'state/agents/main/agent/openclaw-agent.sqlite': 23,
    'state/agents/research/agent/openclaw-agent.sqlite': 23,
  });

  const before = await openclawProfile.check(relocation.to, expectations);
  t.is(before.length, 3, before.join('\n'));
  t.regex(before[0] ?? '', /^7 of 7 cron jobs are not visible/);
  t.regex(before[1] ?? '', /^no agent works in .*workspace": openclaw\.json names another folder$/);

  await rebind(relocation, { token: 'new-token' });
  t.deepEqual(await openclawProfile.check(relocation.to, expectations), []);
});

test('paths, port and token are changed, leases are dropped, and all else stays', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  const state = stateOf(relocation);
  const filesBefore = listFiles(state);
  const configBefore = readFileSync(join(state, 'openclaw.json'), 'utf8');
  const changes = await rebind(relocation, { token: 'new-token' });

  t.is(
    readFileSync(join(state, 'openclaw.json'), 'utf8'),
    configBefore
      .replaceAll('/home/agent/.openclaw', state)
      .replace('18789', '18801')
      .replace('lab-token-0123456789abcdef', 'new-token'),
  );
  t.deepEqual(
    filesWith(
      state,
      '/home/agent',
      filesBefore.filter((name) => name.startsWith('openclaw.json')),
    ),
    [],
  );
  const shared = join(state, SHARED);
  t.deepEqual(
    query(shared, 'SELECT DISTINCT store_key AS k FROM cron_jobs').map(({ k }) => k),
    [`${state}/cron/jobs.json`],
  );
  t.is(query(shared, 'SELECT * FROM agent_database_leases').length, 0);
  const keys = ['workspace', 'workspace-research'].map((name) => workspaceKeyOf(join(state, name))).sort();
  for (const table of ['workspace_setup_state', 'workspace_path_aliases', 'workspace_generated_bootstrap_hashes'])
    t.deepEqual(
      query(shared, `SELECT DISTINCT workspace_key AS k FROM ${table} ORDER BY k`).map(({ k }) => k),
      keys,
    );
  t.is(query(shared, 'SELECT * FROM workspace_generated_bootstrap_hashes').length, 8);
  t.deepEqual(
    query(shared, 'PRAGMA quick_check').map((row) => row['quick_check']),
    ['ok'],
  );
  t.true(isWalMode(shared));
  t.deepEqual(listFiles(state), filesBefore);
  // What is reported are names and counts, never a value.
  t.true(changes.some(({ what, count }) => what === 'cron_jobs.store_key' && count === 7));
  t.notRegex(JSON.stringify(changes), /new-token|lab-token/);
  t.deepEqual(await rebind(relocation, { token: 'new-token' }), [], 'again: nothing is left to do');
});

test('deliveries and leases of a live capture are dropped in place, and jobs stay under their path', async (t) => {
  const { to } = restoreFixture('2026.9.6', tempFolder());
  const moved = { from: new Map([['state', '/home/agent/.openclaw']]), to };
  await rebind(moved);
  const shared = join(stateOf(moved), SHARED);
  change(
    shared,
    `INSERT INTO state_leases (scope, lease_key, owner, created_at, updated_at) VALUES ('gateway-owner', 'k', 'o', 1, 1);
     INSERT INTO delivery_queue_entries (queue_name, id, status, entry_json, enqueued_at, updated_at) VALUES ('q', '1', 'pending', '{}', 1, 1);
     UPDATE cron_run_receipts SET status = 'running', finished_at_ms = NULL;`,
  );
  const inPlace = { from: to, to };
  const [hazard] = (await openclawProfile.findHazards(inPlace, 0)).filter(({ kind }) => kind === 'queued-delivery');
  t.is(hazard?.text, '1 message was about to be sent, and will not be sent again');
  const whats = (await rebind(inPlace)).map(({ what, count }) => `${what} ${count}`);
  t.deepEqual(whats, ['state_leases (dropped) 1', 'delivery_queue_entries (dropped) 1', 'cron_run_receipts.status 1']);
  t.is(query(shared, 'SELECT * FROM cron_jobs').length, 7);
});

test('rows of an earlier place give way to those that are moved there', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  const state = stateOf(relocation);
  const shared = join(state, SHARED);
  const stale = workspaceKeyOf(join(state, 'workspace'));
  change(
    shared,
    `INSERT INTO workspace_setup_state (workspace_key, workspace_path) VALUES ('${stale}', '${state}/workspace');
     INSERT INTO workspace_generated_bootstrap_hashes VALUES ('${stale}', 'OLD.md', 'x');
     INSERT INTO cron_jobs SELECT '${state}/cron/jobs.json', job_id, declaration_key, owner_agent_id, 'stale', description, enabled, agent_id,
       payload_kind, job_json, grant_definition_revision, grant_definition_generation, grant_definition_updated_at, state_json,
       runtime_updated_at_ms, schedule_identity, sort_order, updated_at FROM cron_jobs LIMIT 1;`,
  );
  await rebind(relocation);
  t.is(query(shared, "SELECT * FROM cron_jobs WHERE name = 'stale'").length, 0);
  t.is(query(shared, 'SELECT * FROM cron_jobs').length, 7);
  t.is(query(shared, "SELECT * FROM workspace_generated_bootstrap_hashes WHERE filename = 'OLD.md'").length, 0);
  t.is(query(shared, 'SELECT * FROM workspace_generated_bootstrap_hashes').length, 8);
  t.is(query(shared, 'SELECT * FROM workspace_setup_state WHERE version = 1').length, 2);
});

test('a workspace elsewhere, includes, links and ~ all lead to the copy', async (t) => {
  const base = tempFolder();
  const relocation = restoreFixture('2026.9.6', base);
  const state = stateOf(relocation);
  const work = join(base, 'work');
  const etc = join(base, 'etc');
  mkdirSync(work);
  mkdirSync(etc);
  writeFileSync(
    join(state, 'openclaw.json'),
    `{ // mine
  $include: ["../shared/common.json5", "./models.json"],
  agents: { defaults: { workspace: "~/work" } },
  memory: { qmd: { file: "/home/agent/shared/not-captured", log: "file:///home/agent/.openclaw/x.log" } },
}`,
  );
  writeFileSync(join(etc, 'common.json5'), '{ browser: { dir: "/home/agent/.openclaw/browser" } /* kept */ }');
  writeFileSync(join(state, 'models.json'), '{}');
  symlinkSync('/home/agent/work', join(state, 'link'));
  symlinkSync('../work/notes', join(state, 'relative'));
  symlinkSync('data/x', join(state, 'inner'));
  symlinkSync('/usr/share', join(state, 'foreign'));
  writeFileSync(join(state, '.env'), 'OPENCLAW_GATEWAY_PORT="18789"\nLOG_DIR=/home/agent/.openclaw/logs\nKEY=x\n');
  const from = new Map([...relocation.from, ['roots/1', '/home/agent/work'], ['roots/2', '/home/agent/shared']]);
  const to = new Map([...relocation.to, ['roots/1', work], ['roots/2', etc]]);
  await rebind({ from, to });

  const config = readFileSync(join(state, 'openclaw.json'), 'utf8');
  t.true(config.includes('// mine'));
  t.true(config.includes(`["${etc}/common.json5", "./models.json"]`), config);
  t.true(config.includes(`workspace: "${work}"`));
  t.true(config.includes('"/home/agent/shared/not-captured"'), 'of that folder only one file was captured');
  t.true(config.includes(`"file://${state}/x.log"`));
  t.is(readFileSync(join(etc, 'common.json5'), 'utf8'), `{ browser: { dir: "${state}/browser" } /* kept */ }`);
  t.is(readlinkSync(join(state, 'link')), work);
  t.is(readlinkSync(join(state, 'inner')), 'data/x');
  t.is(readlinkSync(join(state, 'foreign')), '/usr/share');
  t.is(readFileSync(join(state, '.env'), 'utf8'), `OPENCLAW_GATEWAY_PORT="18801"\nLOG_DIR=${state}/logs\nKEY=x\n`);
});

test('a state folder that OpenClaw knew by another name is found by what it wrote', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  // The commit records the real path; the files know the link that led there.
  const linked = { from: new Map([['state', '/data/openclaw']]), to: relocation.to };
  const expectations = await openclawProfile.readExpectations(linked);
  t.is(expectations.cronJobs.length, 7);
  await rebind(linked);
  t.deepEqual(await openclawProfile.check(linked.to, expectations), []);
});

test('in place, a state that OpenClaw knows by a link stays as it is and is found by that', async (t) => {
  const base = tempFolder();
  const { to, from } = restoreFixture('2026.9.6', base);
  const link = join(base, 'link');
  symlinkSync(stateOf({ to, from }), link);
  await rebind({ from, to });
  // As if it had been told of its state folder by the link.
  change(join(stateOf({ to, from }), SHARED), `UPDATE cron_jobs SET store_key = '${link}/cron/jobs.json'`);
  const inPlace = { from: to, to };
  const expectations = await openclawProfile.readExpectations(inPlace);
  t.is(expectations.cronJobs.length, 7);
  await rebind(inPlace);
  t.deepEqual(await openclawProfile.check(to, expectations), []);
  const stores = query(join(stateOf(inPlace), SHARED), 'SELECT DISTINCT store_key AS k FROM cron_jobs');
  t.deepEqual(
    stores.map(({ k }) => k),
    [`${link}/cron/jobs.json`],
  );
});

test('a session that works in a folder of its own works in the copy', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  const state = stateOf(relocation);
  const file = join(state, 'agents/main/agent/openclaw-agent.sqlite');
  change(
    file,
    `UPDATE session_nodes SET entry_json = json_set(entry_json, '$.spawnedCwd', '/home/agent/.openclaw/workspace/sub')
     WHERE session_key = 'agent:main:planning'`,
  );
  const changes = await rebind(relocation);
  t.is(changes.find(({ what }) => what === 'session_nodes.entry_json')?.count, 1);
  const [row] = query(
    file,
    "SELECT json_extract(entry_json, '$.spawnedCwd') AS cwd FROM session_nodes WHERE session_key = 'agent:main:planning'",
  );
  t.is(row?.['cwd'], join(state, 'workspace/sub'));
});

test('the layout before there was a shared database is moved by its files', async (t) => {
  const relocation = restoreFixture('2026.5.28', tempFolder());
  const state = stateOf(relocation);
  mkdirSync(join(state, 'cron'));
  const jobs = [{ id: '1', name: 'brief', enabled: true, state: { nextRunAtMs: 5 } }];
  writeFileSync(join(state, 'cron/jobs.json'), JSON.stringify({ version: 1, jobs }));
  const expectations = await openclawProfile.readExpectations(relocation);
  t.deepEqual(
    expectations.sessions.map(({ key }) => key),
    ['agent:main:main', 'agent:main:planning'],
  );
  t.deepEqual(expectations.cronJobs, ['brief']);
  t.true((await openclawProfile.findHazards(relocation, 10)).some(({ kind }) => kind === 'cron-due'));
  await rebind(relocation);
  const sessions = JSON.parse(readFileSync(join(state, 'agents/main/sessions/sessions.json'), 'utf8')) as Record<
    string,
    { sessionFile: string }
  >;
  t.true(Object.values(sessions).every(({ sessionFile }) => sessionFile.startsWith(`${state}/agents/main/sessions/`)));
  t.deepEqual(await openclawProfile.check(relocation.to, expectations), []);
});

test('what is lost is named: sessions, memory, workspaces, databases', async (t) => {
  const relocation = restoreFixture('2026.9.6', tempFolder());
  const state = stateOf(relocation);
  const expectations = await openclawProfile.readExpectations(relocation);
  await rebind(relocation);
  change(
    join(state, 'agents/main/agent/openclaw-agent.sqlite'),
    "DELETE FROM session_nodes WHERE session_key = 'agent:main:main'",
  );
  rmSync(join(state, 'workspace/memory/2026-11-19.md'));
  rmSync(join(state, 'workspace-research'), { recursive: true });
  rmSync(join(state, 'agents/research/agent/openclaw-agent.sqlite'));
  const problems = (await openclawProfile.check(relocation.to, expectations)).join('\n');
  t.regex(problems, /database "state\/agents\/research\/agent\/openclaw-agent\.sqlite" is not there/);
  t.regex(problems, /2 of 4 sessions are not there: agent:main:main, agent:research:main/);
  t.regex(problems, /workspace ".*workspace-research" is not there/);
  t.regex(problems, /memory "state\/workspace\/memory\/2026-11-19\.md" is not there/);
});
