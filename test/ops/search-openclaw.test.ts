// Search and blame in the conversations of a real OpenClaw: in its database, whose rows come, are rewritten, moved and go, and in the
// files of the layout before.

import { mkdtempSync, realpathSync, rmSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { zstdCompressSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { openBlame } from '../../src/ops/blame.ts';
import { commitAgent } from '../../src/ops/commit.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { openAgent } from '../../src/ops/open.ts';
import { searchHistory, type SearchAnswer } from '../../src/ops/search.ts';
import { unpackFixture } from '../agent/support.ts';
import { beginAgent, makeContext } from './writers.ts';

const DATABASE = 'agents/main/agent/openclaw-agent.sqlite';

interface Lab {
  readonly context: OpsContext;
  readonly stateDir: string;
  commit(): Promise<CommitId>;
  search(phrase: string): Promise<SearchAnswer[]>;
  /** Runs SQL on the agent's database. */
  sql(...statements: (readonly [sql: string, ...values: (string | number | Buffer)[]])[]): void;
}

async function makeLab(t: ExecutionContext, version: '2026.9.6' | '2026.5.28'): Promise<Lab> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-said-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const stateDir = unpackFixture(version, dir);
  const context = makeContext(join(dir, 'home'));
  await beginAgent(context, stateDir);
  return {
    context,
    stateDir,
    commit: async () => {
      await using open = await openAgent(context, 'live');
      return (await commitAgent(context, open.agent, open.repository, { kind: 'incremental', trigger: 'test' })).id;
    },
    search: async (phrase) => {
      const answers: SearchAnswer[] = [];
      for await (const answer of searchHistory(context, { agent: 'live', phrase })) answers[answer.number] = answer;
      return answers;
    },
    sql: (...statements) => {
      const database = new DatabaseSync(join(stateDir, DATABASE));
      for (const [text, ...values] of statements) database.prepare(text).run(...values);
      database.close();
    },
  };
}

const said = (role: string, content: unknown): string =>
  JSON.stringify({ type: 'message', timestamp: '2026-11-23T10:00:00.000Z', message: { role, content } });

const ROW = 'INSERT INTO transcript_events (session_id, seq, event_json, created_at) VALUES (?, ?, ?, ?)';
const NOW_MS = Date.parse('2026-11-23T10:00:00Z');

function sessionOf({ stateDir }: Lab): string {
  const database = new DatabaseSync(join(stateDir, DATABASE), { readOnly: true });
  const row = database.prepare('SELECT session_id AS id FROM transcript_events ORDER BY 1 LIMIT 1').get();
  database.close();
  return String(row?.['id']);
}

const turns = (answers: readonly SearchAnswer[]) =>
  answers.flatMap(({ turn }) => (turn === undefined ? [] : [[turn.role, turn.text]]));

test('a turn of the recorded conversations is found with who said it, when and where', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const answers = await lab.search('favourite tea is gunpowder');
  const asked = answers.find(({ turn }) => turn?.role === 'user');
  t.like(asked, {
    path: `state/${DATABASE}`,
    gone: undefined,
    line: undefined,
    turn: {
      conversation: 'agent:main:main',
      seq: 4,
      role: 'user',
      text: 'Hello, please remember that my favourite tea is gunpowder green',
      time: '2026-11-22T09:28:19.764Z',
    },
  });
  t.true(answers.some(({ turn }) => turn?.role === 'assistant'));
  // What a tool was given is what the agent did.
  t.true((await lab.search('gunpowder green, 80c, 2 minutes')).length > 0);
});

test('what a turn says is found from the commit that has it to the one that has not, in a row that is packed or overflows too', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const session = sessionOf(lab);
  const long = `${'so it goes on and on. '.repeat(900)}The heron lands at dawn.${' and on.'.repeat(900)}`;
  const packed = Buffer.from(said('assistant', [{ type: 'text', text: 'It was packed with zeal.' }]));
  lab.sql([ROW, session, 9001, said('user', long), NOW_MS]);
  const first = await lab.commit();
  lab.sql([
    'INSERT INTO transcript_events (session_id, seq, created_at, event_zstd, event_utf8_bytes, navigation_json) VALUES (?, ?, ?, ?, ?, ?)',
    session,
    9002,
    NOW_MS,
    zstdCompressSync(packed),
    packed.length,
    JSON.stringify({
      version: 1,
      report: { kind: 'canonical' },
      navigation: {},
      reset: {},
      model: {},
      modelBytes: 0,
      modelWithoutCheckpointBytes: 0,
      withoutCustomDataBytes: 0,
    }),
  ]);
  const second = await lab.commit();
  await lab.search('heron');
  writeFileSync(join(lab.stateDir, 'workspace/other.md'), 'meanwhile\n');
  await lab.commit();
  lab.sql(['DELETE FROM transcript_events WHERE seq = 9001']);
  const third = await lab.commit();
  const [heron, ...others] = await lab.search('heron lands at dawn');
  t.is(others.length, 0);
  t.is(heron?.appeared.commit, first);
  t.is(heron?.gone === 'pending' ? undefined : heron?.gone?.commit, third);
  t.regex(heron?.excerpt ?? '', /^….*The heron lands at dawn\..*…$/);
  const [zeal] = await lab.search('packed with zeal');
  t.is(zeal?.appeared.commit, second);
  t.is(zeal?.gone, undefined);
});

test('a conversation of years that comes, goes and comes back at once is found turn by turn', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const session = sessionOf(lab);
  const talk = (seq: number): string =>
    said(seq % 2 === 0 ? 'user' : 'assistant', `${'and so on. '.repeat(40)} mark ${seq}.`);
  const insert = (from: number, to: number): void =>
    lab.sql(
      ...Array.from({ length: to - from }, (_, at) => [ROW, session, from + at, talk(from + at), NOW_MS] as const),
    );
  const spans = async (phrase: string) =>
    (await lab.search(phrase)).map(({ turn, appeared, gone }) => [
      turn?.seq,
      appeared.commit,
      gone === 'pending' ? gone : gone?.commit,
    ]);
  insert(20_000, 20_600);
  const first = await lab.commit();
  t.deepEqual(await spans('mark 20123.'), [[20_123, first, undefined]]);
  lab.sql(['DELETE FROM transcript_events WHERE seq = 20123']);
  const second = await lab.commit();
  insert(20_123, 20_124);
  const third = await lab.commit();
  lab.sql(['DELETE FROM transcript_events WHERE seq >= 20000']);
  const fourth = await lab.commit();
  insert(20_000, 20_600);
  const fifth = await lab.commit();
  t.deepEqual(await spans('mark 20123.'), [
    [20_123, first, second],
    [20_123, third, fourth],
    [20_123, fifth, undefined],
  ]);
  t.deepEqual(await spans('mark 20124.'), [
    [20_124, first, fourth],
    [20_124, fifth, undefined],
  ]);
  t.is((await spans('mark 205')).length, 200);
});

test('rows that only move, because others go or the database is packed, appear no second time', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const before = await lab.search('heron');
  t.true(before.length > 0);
  lab.sql([`DELETE FROM transcript_events WHERE seq % 3 = 2 AND instr(event_json, 'eron') = 0`]);
  await lab.commit();
  lab.sql(['VACUUM']);
  await lab.commit();
  const after = await lab.search('heron');
  const briefly = ({ path, appeared, gone, turn }: SearchAnswer) => ({ path, appeared, gone, seq: turn?.seq });
  t.deepEqual(after.map(briefly), before.map(briefly));
});

test('a turn that is rewritten in its place loses the old words and gets the new ones', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const session = sessionOf(lab);
  const filler = 'filler '.repeat(3000);
  lab.sql([ROW, session, 9001, said('user', `${filler}before it was blue${filler}`), NOW_MS]);
  const first = await lab.commit();
  // As long as before, so that SQLite changes only the page in the middle.
  lab.sql([
    `UPDATE transcript_events SET event_json = replace(event_json, 'before it was blue', 'now it is all green') WHERE seq = 9001`,
  ]);
  lab.sql([
    `UPDATE transcript_events SET event_json = replace(event_json, 'now it is all green', 'now is it all pink!') WHERE seq = 9001`,
  ]);
  const second = await lab.commit();
  const [blue] = await lab.search('before it was blue');
  t.is(blue?.appeared.commit, first);
  t.is(blue?.gone === 'pending' ? undefined : blue?.gone?.commit, second);
  lab.sql([
    `UPDATE transcript_events SET event_json = replace(event_json, 'now is it all pink!', 'now is it all grey!') WHERE seq = 9001`,
  ]);
  const third = await lab.commit();
  t.is((await lab.search('it all pink!'))[0]?.appeared.commit, second);
  t.is((await lab.search('it all grey!'))[0]?.appeared.commit, third);
});

test('the files of secrets are not found, and secrets in what is found are masked', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const config = readFileSync(join(lab.stateDir, 'openclaw.json'), 'utf8');
  const [, token = ''] = /"token":\s*"([^"]{8,})"/.exec(config) ?? [];
  t.true(token.length > 0);
  t.deepEqual(
    (await lab.search(token)).map(({ path }) => path).filter((path) => path.includes('openclaw.json')),
    [],
  );
  lab.sql([ROW, sessionOf(lab), 9001, said('user', 'use sk-ant-abcdefghij1234567890 for the spaceship'), NOW_MS]);
  await lab.commit();
  const [answer] = await lab.search('for the spaceship');
  t.deepEqual(turns(answer === undefined ? [] : [answer]), [['user', 'use ******** for the spaceship']]);
  t.false(answer?.excerpt.includes('sk-ant'));
});

test('the files of the layout before are searched by turns, unescaped', async (t) => {
  const lab = await makeLab(t, '2026.5.28');
  const answers = await lab.search('remember that legacy item 2 exists');
  const [turn] = answers.flatMap((answer) => answer.turn ?? []);
  t.like(turn, { role: 'user', session: '53e318f4-67e4-4f94-9949-4522c1c1152d' });
  t.regex(answers[0]?.path ?? '', /\.jsonl$/);
});

test('blame tells what was said before a memory was written', async (t) => {
  const lab = await makeLab(t, '2026.9.6');
  const session = sessionOf(lab);
  lab.sql([
    ROW,
    session,
    9001,
    said('user', 'I moved to Bandung.').replace('2026-11-23T10:00:00.000Z', new Date().toISOString()),
    NOW_MS,
  ]);
  writeFileSync(
    join(lab.stateDir, 'workspace/MEMORY.md'),
    `${readFileSync(join(lab.stateDir, 'workspace/MEMORY.md'), 'utf8')}\n- lives in Bandung\n`,
  );
  const id = await lab.commit();
  await using opened = await openBlame(lab.context, { agent: 'live', words: ['HEAD:workspace/MEMORY.md'] });
  t.is(opened.blame.lines.at(-1)?.commit, id);
  const [moment] = opened.blame.moments;
  if (moment === undefined) throw new Error('no moment');
  t.deepEqual(
    (await opened.readTurns(moment)).map(({ role, text, conversation }) => [role, text, conversation]),
    [['user', 'I moved to Bandung.', 'agent:main:planning']],
  );
  await t.throwsAsync(() => openBlame(lab.context, { agent: 'live', words: ['HEAD:openclaw.json'] }), {
    code: 'USAGE',
  });
});
