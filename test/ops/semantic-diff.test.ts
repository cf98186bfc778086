// Two moments of real agents, compared by meaning: what OpenClaw's files and databases say, that no secret gets out, and that a large
// live database is compared by its changed pages.

import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import test from 'ava';
import { describeDiff } from '../../src/cli/diff-text.ts';
import type { CommitId } from '../../src/model/ids.ts';
import type { ComparedFile, SemanticDiff } from '../../src/model/semantic-diff.ts';
import { backUp } from '../../src/ops/backup.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent, type OpenAgent } from '../../src/ops/open.ts';
import { getHead } from '../../src/ops/revision.ts';
import { openComparison, type Comparison } from '../../src/ops/semantic-diff.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { tempFolders, unpackFixture } from '../agent/support.ts';
import { contextIn } from './machine.ts';

const tempFolder = tempFolders(test);
const PLAIN = {
  mode: { json: false, quiet: false, verbose: false, colour: false },
  style: (_: unknown, text: string) => text,
};
/** Every secret that the recorded state holds, and those that the tests add. */
const SECRETS =
  /lab-token|sk-fake|hunter2|QgSExUafu|MC4CAQAw|NEW-SECRET|TOPSECRET|BEGIN PRIVATE KEY|tea-secret|sk-new-secret|fake-wa-|noise-key/i;

interface Lab {
  readonly context: OpsContext;
  readonly stateDir: string;
  readonly open: OpenAgent;
  commit(): Promise<CommitId>;
}

/** Makes an agent of a state folder. */
async function makeLab(dir: string, stateDir: string): Promise<Lab> {
  const context = contextIn(dir);
  await initAgent(context, {
    label: 'bot',
    stateDir,
    profile: 'auto',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async () => {},
  });
  const open = await openAgent(context, 'bot');
  return {
    context,
    stateDir,
    open,
    commit: async () => {
      const { id } = await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' });
      await open.repository.refresh();
      return id;
    },
  };
}

function find(comparison: Comparison, name: string): ComparedFile {
  const file = comparison.files.find(({ path }) => path.endsWith(name));
  if (file === undefined) throw new Error(`${name} does not differ`);
  return file;
}

async function compareAll(comparison: Comparison, showSecrets = false): Promise<Map<string, SemanticDiff>> {
  const diffs = new Map<string, SemanticDiff>();
  for (const file of comparison.files) diffs.set(file.path, await comparison.compare(file, { showSecrets }));
  return diffs;
}

function changeOpenClaw(stateDir: string): void {
  const config = join(stateDir, 'openclaw.json');
  const { gateway, skills, ...rest } = JSON.parse(readFileSync(config, 'utf8'));
  gateway.auth.token = 'NEW-SECRET-TOKEN-1';
  skills.entries['tea-timer'].enabled = false;
  const mcp = { servers: { x: { command: 'y', env: { FOO: 'TOPSECRET value' } } } };
  writeFileSync(config, JSON.stringify({ gateway, skills, ...rest, mcp }, null, 2));
  appendFileSync(join(stateDir, '.env'), 'NEWKEY=TOPSECRET\n');
  const memory = join(stateDir, 'workspace/MEMORY.md');
  writeFileSync(memory, readFileSync(memory, 'utf8').replace('gunpowder', 'sencha'));
  const agent = new DatabaseSync(join(stateDir, 'agents/main/agent/openclaw-agent.sqlite'));
  const last = agent
    .prepare(
      "SELECT session_id AS id, max(seq) AS seq FROM transcript_events JOIN session_windows USING (session_id) WHERE session_key = 'agent:main:planning'",
    )
    .get();
  const insert = agent.prepare(
    'INSERT INTO transcript_events (session_id, seq, event_json, created_at) VALUES (?, ?, ?, 1)',
  );
  const say = (offset: number, role: string, content: unknown): void => {
    const event = { type: 'message', timestamp: '2026-11-23T00:00:00Z', message: { role, content } };
    insert.run(String(last?.['id']), Number(last?.['seq']) + offset, JSON.stringify(event));
  };
  say(1, 'user', 'What about oolong? my password=TOPSECRET-1');
  say(2, 'assistant', [
    { type: 'text', text: 'Oolong it is.' },
    { type: 'toolCall', name: 'write', arguments: { path: 'tea.md', apiKey: 'TOPSECRET' } },
  ]);
  agent.close();
  const shared = new DatabaseSync(join(stateDir, 'state/openclaw.sqlite'));
  shared.exec(`UPDATE secret_store_entries SET value = 'TOPSECRET' WHERE name = 'LAB_SECRET';
    UPDATE cron_jobs SET enabled = 0 WHERE name = 'heartbeat-main';
    UPDATE config_machine_state SET value_json = replace(value_json, '"version":1', '"version":2') WHERE state_key = 'authProfiles.store';
    UPDATE exec_approvals_config SET raw_json = replace(raw_json, 'QgSExUafu', 'TOPSECRET');
    UPDATE device_identities SET private_key_pem = replace(private_key_pem, 'MC4CAQAw', 'TOPSECRET');
    UPDATE config_revision_keys SET hmac_key = zeroblob(32)`);
  shared.close();
}

test('a real OpenClaw is compared by what its files and databases say, live and between commits, and no secret is shown', async (t) => {
  const dir = tempFolder();
  const lab = await makeLab(dir, unpackFixture('2026.9.6', dir));
  const from = getHead(lab.open);
  changeOpenClaw(lab.stateDir);
  const live = await openComparison(lab.context, lab.open, { from, to: 'live' });
  const diffs = await compareAll(live);
  t.deepEqual(
    [...diffs].map(([path, { kind }]) => [path, kind]),
    [
      ['state/.env', 'config'],
      ['state/agents/main/agent/openclaw-agent.sqlite', 'database'],
      ['state/openclaw.json', 'config'],
      ['state/state/openclaw.sqlite', 'database'],
      ['state/workspace/MEMORY.md', 'text'],
    ],
  );
  const lines = live.files.flatMap((file) => [...describeDiff(PLAIN, file, diffs.get(file.path) as SemanticDiff)]);
  for (const line of [
    '~ skills.entries.tea-timer.enabled: true -> false',
    '~ gateway.auth.token: ******** -> ********  (secret)',
    '+ NEWKEY: ********  (secret)',
    'conversation agent:main:planning extended: +2 turns',
    '+ user: What about oolong? my password=********',
    '+ assistant: Oolong it is.',
    '-- Favourite tea: [-gunpowder-] green, 80 C, two minutes.',
    '+- Favourite tea: {+sencha+} green, 80 C, two minutes.',
    '+   calls write({"path":"tea.md","apiKey":"********"})',
    "~ scope_kind='team', scope_id='', name='LAB_SECRET'  value: ******** -> ********",
    "~ identity_key='primary'  private_key_pem: ******** -> ********",
    'table transcript_events +2 rows',
  ])
    t.true(lines.includes(line), `${line}\n${lines.join('\n')}`);
  t.notRegex(JSON.stringify([...diffs]), SECRETS);
  t.notRegex(lines.join('\n'), SECRETS);
  t.regex(JSON.stringify([...(await compareAll(live, true))]), /TOPSECRET/);

  const to = await lab.commit();
  const committed = await openComparison(lab.context, lab.open, { from, to });
  t.deepEqual([...(await compareAll(committed))], [...diffs]);
  t.deepEqual((await openComparison(lab.context, lab.open, { from: to, to: 'live' })).files, []);
  await lab.open[Symbol.asyncDispose]();
});

for (const version of ['2026.9.6', '2026.5.28'] as const) {
  test(`no secret of a whole OpenClaw ${version} is shown when all of it is new, or gone`, async (t) => {
    const dir = tempFolder();
    const lab = await makeLab(dir, unpackFixture(version, dir));
    const to = getHead(lab.open);
    const comparison = await openComparison(lab.context, lab.open, { from: undefined, to });
    const diffs = await compareAll(comparison);
    t.true(diffs.size > 20);
    const text = JSON.stringify([...diffs]);
    t.notRegex(text, SECRETS);
    for (const secret of await listSecrets(comparison)) t.false(text.includes(secret), secret.slice(0, 4));
    const conversations = [...diffs.values()].flatMap((diff) => ('conversations' in diff ? diff.conversations : []));
    t.true(conversations.length > 0);
    for (const { change } of conversations) t.is(change, 'added');
    await lab.open[Symbol.asyncDispose]();
  });
}

/** Lists what stands behind names of secrets in the files of a state, found without the code that masks them. */
async function listSecrets(comparison: Comparison): Promise<string[]> {
  const secrets: string[] = [];
  for (const file of comparison.files) {
    if (!/\.json|\.env/.test(file.path)) continue;
    const { after } = await comparison.contents(file);
    if (after === undefined || !('read' in after)) continue;
    const text = (await after.read(0, after.sizeBytes)).toString('utf8');
    for (const [, value = ''] of text.matchAll(
      /"(?:\w*token|\w*[aA]piKey|\w*password|privateKeyPem|\w*secret)"\s*:\s*"([^"]{8,})"/g,
    ))
      secrets.push(JSON.parse(`"${value}"`));
  }
  return secrets;
}

test('conversations of the older layout are told by their turns', async (t) => {
  const dir = tempFolder();
  const lab = await makeLab(dir, unpackFixture('2026.5.28', dir));
  const session = join(lab.stateDir, 'agents/main/sessions/53e318f4-67e4-4f94-9949-4522c1c1152d.jsonl');
  appendFileSync(session, `${JSON.stringify({ type: 'message', message: { role: 'user', content: 'one more' } })}\n`);
  const comparison = await openComparison(lab.context, lab.open, { from: getHead(lab.open), to: 'live' });
  t.like(await comparison.compare(find(comparison, '2d.jsonl')), {
    kind: 'conversation',
    conversations: [{ change: 'extended', added: [{ role: 'user', text: 'one more' }], removed: [], otherRecords: 0 }],
  });
  await lab.open[Symbol.asyncDispose]();
});

/** Makes a generic agent with a database and a conversation that are too large to be kept whole. */
async function makeLarge(dir: string): Promise<Lab> {
  const stateDir = join(dir, 'agent');
  mkdirSync(stateDir);
  const database = new DatabaseSync(join(stateDir, 'memory.sqlite'));
  database.exec(`CREATE TABLE memory (id INTEGER PRIMARY KEY, text TEXT, used INT);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
    INSERT INTO memory SELECT i, printf('%.*c', 1000, char(97 + i % 26)) || i, 0 FROM n`);
  database.close();
  const turn = (n: number): string =>
    `${JSON.stringify({ role: 'user', content: `turn ${n} ${'talk '.repeat(200)}` })}\n`;
  writeFileSync(join(stateDir, 'long.jsonl'), Array.from({ length: 15_000 }, (_, n) => turn(n)).join(''));
  return makeLab(dir, stateDir);
}

test('large databases and conversations are compared where they changed, live and between commits', async (t) => {
  const dir = tempFolder();
  const lab = await makeLarge(dir);
  const from = getHead(lab.open);
  const database = new DatabaseSync(join(lab.stateDir, 'memory.sqlite'));
  database.exec("UPDATE memory SET used = 1 WHERE id IN (5, 19000); INSERT INTO memory VALUES (20001, 'new', 0)");
  database.close();
  appendFileSync(join(lab.stateDir, 'long.jsonl'), '{"role":"assistant","content":"at last"}\n');
  const check = async (comparison: Comparison): Promise<void> => {
    t.like(await comparison.compare(find(comparison, 'memory.sqlite')), {
      kind: 'database',
      tables: [{ name: 'memory', added: 1, removed: 0, changed: 2 }],
    });
    t.like(await comparison.compare(find(comparison, 'long.jsonl')), {
      kind: 'conversation',
      conversations: [{ change: 'extended', added: [{ role: 'assistant', text: 'at last' }], removed: [] }],
    });
  };
  await check(await openComparison(lab.context, lab.open, { from, to: 'live' }));
  await check(await openComparison(lab.context, lab.open, { from, to: await lab.commit() }));
  await lab.open[Symbol.asyncDispose]();
});

test('a comparison can be given up while it works, and files of another one are refused', async (t) => {
  const dir = tempFolder();
  const lab = await makeLarge(dir);
  const to = getHead(lab.open);
  const comparison = await openComparison(lab.context, lab.open, { from: undefined, to });
  const controller = new AbortController();
  const file = find(comparison, 'memory.sqlite');
  let isDone = false;
  const work = comparison.compare(file, { signal: controller.signal }).finally(() => (isDone = true));
  // What others have to do gets its turn before the comparison is through.
  await setImmediate();
  t.false(isDone);
  controller.abort(new Error('the cursor moved on'));
  await t.throwsAsync(work, { message: 'the cursor moved on' });
  await t.throwsAsync(comparison.compare({ ...file }), { message: /another comparison/ });
  await lab.open[Symbol.asyncDispose]();
});

test('binaries, secrets, moved files and broken configuration are told by what can be said of them', async (t) => {
  const dir = tempFolder();
  const stateDir = join(dir, 'agent');
  mkdirSync(stateDir);
  const write = (name: string, content: string | Buffer): void => writeFileSync(join(stateDir, name), content);
  write('a.png', Buffer.from('89504e470d0a1a0a0000', 'hex'));
  write('moved.md', '# A\n\nsome text\n');
  write('broken.json', '{"token":"NEW-SECRET-1","a":1}');
  write('id.pem', '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYD\n');
  write('same.json', '{"a":1}');
  const lab = await makeLab(dir, stateDir);
  write('a.png', Buffer.from('1f8b00', 'hex'));
  rmSync(join(stateDir, 'moved.md'));
  write('there.md', '# A\n\nsome text\n');
  write('broken.json', '{"token":"NEW-SECRET-2","a":');
  write('id.pem', '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYE\n');
  write('same.json', '{ "a": 1 }');
  const comparison = await openComparison(lab.context, lab.open, { from: getHead(lab.open), to: 'live' });
  const compare = (name: string): Promise<SemanticDiff> => comparison.compare(find(comparison, name));
  t.deepEqual(await compare('a.png'), {
    kind: 'binary',
    before: { sizeBytes: 10, type: 'PNG image' },
    after: { sizeBytes: 3, type: 'gzip archive' },
    reason: 'binary',
  });
  t.deepEqual(await compare('there.md'), { kind: 'same' });
  t.like(await compare('id.pem'), { kind: 'binary', reason: 'secret' });
  t.like(await compare('same.json'), { kind: 'config', changes: [] });
  const broken = await compare('broken.json');
  t.is(broken.kind, 'text');
  t.notRegex(JSON.stringify(await Promise.all(comparison.files.map((file) => comparison.compare(file)))), SECRETS);
  await lab.open[Symbol.asyncDispose]();
});
