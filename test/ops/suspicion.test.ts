// Losses, staged on a real OpenClaw's recorded states and on the agent of the benchmark: each is noticed once, and ordinary work never.

import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type ExecutionContext } from 'ava';
import { BenchAgent, SHAPES } from '../../bench/agent.ts';
import { isMoltError } from '../../src/model/error.ts';
import { silentReporter } from '../../src/model/ports.ts';
import { answerAlerts, listOpenAlerts } from '../../src/ops/alert-question.ts';
import { DEFAULT_ALERTS, writeAlertSettings } from '../../src/ops/alert-settings.ts';
import { backUp } from '../../src/ops/backup.ts';
import { switchBranch } from '../../src/ops/branch.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { addHold, listHolds, removeHold } from '../../src/ops/hold.ts';
import { Home } from '../../src/ops/home.ts';
import { restoreInPlace } from '../../src/ops/in-place.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent } from '../../src/ops/open.ts';
import { findMoment } from '../../src/ops/restore.ts';
import { readStatus } from '../../src/ops/status.ts';
import { tempFolders, unpackFixture } from '../agent/support.ts';

const makeFolder = tempFolders(test);

interface Watched {
  readonly context: OpsContext;
  readonly stateDir: string;
  /** Commits, and returns what looks lost. */
  commit(): Promise<string[]>;
}

async function watch(stateDir: string, profile: 'auto' | 'generic' = 'auto'): Promise<Watched> {
  const dir = makeFolder();
  let nowMs = Date.parse('2026-03-01T00:00:00Z');
  const context: OpsContext = {
    home: new Home(join(dir, 'home')),
    clock: { now: () => nowMs },
    random: { bytes: (length) => randomBytes(length) },
    reporter: {
      ...silentReporter,
      warn: (message) => {
        if (message.includes('looked at')) throw new Error(message);
      },
    },
    cwd: dir,
    userHome: dir,
    unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  const init = { label: 'bot', stateDir, profile, include: [], exclude: [] } as const;
  await initAgent(context, { ...init, passphrase: async () => 'first', keepRecoveryKey: async () => {} });
  const commit = async (): Promise<string[]> => {
    nowMs += 300_000;
    const { suspicion } = await backUp(context, 'bot', { kind: 'incremental', trigger: 'test' });
    return suspicion?.findings.map(({ what, path }) => `${what} ${path}`) ?? [];
  };
  return { context, stateDir, commit };
}

function sql(stateDir: string, path: string, statement: string): void {
  const database = new DatabaseSync(join(stateDir, path));
  database.exec(statement);
  database.close();
}

async function openAlerts({ context }: Watched): Promise<number> {
  await using open = await openAgent(context, 'bot');
  return (await listOpenAlerts(open.repository)).length;
}

const AGENT_DATABASE = 'agents/main/agent/openclaw-agent.sqlite';
const JSONL = 'agents/main/sessions/53e318f4-67e4-4f94-9949-4522c1c1152d.trajectory.jsonl';
const quietly = 'PRAGMA foreign_keys = OFF;';

/** A loss, and what is found of it. `first` is a tick of ordinary work before, so that rows were counted already. */
const isNoticed = test.macro({
  async exec(
    t,
    version: '2026.9.6' | '2026.5.28',
    lose: (stateDir: string) => void,
    expected: readonly string[],
    isCountedBefore: boolean,
  ) {
    const watched = await watch(unpackFixture(version, makeFolder()));
    if (isCountedBefore) {
      appendFileSync(join(watched.stateDir, 'workspace/MEMORY.md'), '- a new thing\n');
      if (version === '2026.9.6')
        sql(watched.stateDir, AGENT_DATABASE, 'UPDATE session_nodes SET updated_at = updated_at + 1');
      t.deepEqual(await watched.commit(), []);
    }
    const { id: good } = await headOf(watched);
    lose(watched.stateDir);
    t.deepEqual(await watched.commit(), expected);
    t.is(await openAlerts(watched), 1);
    t.like(await listHolds(watched.context, 'bot'), [{ commit: good, setBy: 'alert' }]);
    // The next one is ordinary again.
    appendFileSync(join(watched.stateDir, 'workspace/MEMORY.md'), '- another thing\n');
    t.deepEqual(await watched.commit(), []);
    t.is(await openAlerts(watched), 1);
  },
  title: (what, version) => `${version}: ${what ?? ''} is noticed`,
});

async function headOf({ context }: Watched): Promise<{ id: string }> {
  await using open = await openAgent(context, 'bot');
  return { id: open.repository.refs.get('refs/heads/main') ?? '' };
}

const events = [`rows-lost state/${AGENT_DATABASE}`];
for (const isCounted of [false, true]) {
  const when = isCounted ? 'after other commits' : 'right after init';
  const delete_ = (table: string) => (dir: string) => sql(dir, AGENT_DATABASE, `${quietly} DELETE FROM ${table}`);
  test(
    `all transcripts deleted from the database ${when}`,
    isNoticed,
    '2026.9.6',
    delete_('transcript_events'),
    events,
    isCounted,
  );
  test(`conversations deleted ${when}`, isNoticed, '2026.9.6', delete_('session_nodes'), events, isCounted);
  test(`the memory index emptied ${when}`, isNoticed, '2026.9.6', delete_('memory_index_chunks'), events, isCounted);
}
test(
  'one long conversation deleted',
  isNoticed,
  '2026.9.6',
  (dir) =>
    sql(
      dir,
      AGENT_DATABASE,
      `${quietly} DELETE FROM transcript_events WHERE session_id =
        (SELECT session_id FROM transcript_events GROUP BY 1 ORDER BY count(*) DESC LIMIT 1)`,
    ),
  events,
  true,
);
test(
  'a memory emptied',
  isNoticed,
  '2026.9.6',
  (dir) => truncateSync(join(dir, 'workspace/MEMORY.md')),
  ['shrunk state/workspace/MEMORY.md'],
  true,
);
test(
  'a database deleted',
  isNoticed,
  '2026.9.6',
  (dir) => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(dir, AGENT_DATABASE + suffix), { force: true });
  },
  [`removed state/${AGENT_DATABASE}`],
  true,
);
test(
  'a transcript cut off',
  isNoticed,
  '2026.5.28',
  (dir) => truncateSync(join(dir, JSONL), 1000),
  [`shrunk state/${JSONL}`],
  false,
);
test(
  'a transcript with one letter of its past changed',
  isNoticed,
  '2026.5.28',
  (dir) => {
    const text = readFileSync(join(dir, JSONL), 'latin1');
    writeFileSync(
      join(dir, JSONL),
      text.replace('session', 'Session') + text.slice(0, text.indexOf('\n') + 1),
      'latin1',
    );
  },
  [`rewritten state/${JSONL}`],
  false,
);
test(
  'all transcripts deleted',
  isNoticed,
  '2026.5.28',
  (dir) => {
    const folder = join(dir, 'agents/main/sessions');
    for (const name of readdirSync(folder)) if (name.endsWith('.jsonl')) rmSync(join(folder, name));
  },
  ['removed '],
  false,
);

test('ordinary work on a real OpenClaw is no loss: turns, a new conversation, a rotated and an archived transcript', async (t) => {
  const old = await watch(unpackFixture('2026.5.28', makeFolder()));
  for (let turn = 0; turn < 3; turn += 1) {
    appendFileSync(join(old.stateDir, JSONL), `{"turn":${turn},"text":"${'x'.repeat(70_000)}"}\n`);
    t.deepEqual(await old.commit(), []);
  }
  renameSync(join(old.stateDir, JSONL), join(old.stateDir, `${JSONL}.reset.2026`));
  writeFileSync(join(old.stateDir, JSONL), '{"type":"session"}\n');
  t.deepEqual(await old.commit(), []);
  const now = await watch(unpackFixture('2026.9.6', makeFolder()));
  for (const statement of [
    "UPDATE session_nodes SET current_session_id = 'new', updated_at = updated_at + 1",
    'DELETE FROM trajectory_runtime_events; VACUUM',
    'UPDATE memory_index_chunks SET updated_at = updated_at + 1',
    // A job's run of a day ago is swept.
    `${quietly} UPDATE session_nodes SET session_key = session_key || ':run:1' WHERE session_key LIKE '%:cron:%'`,
  ]) {
    sql(now.stateDir, AGENT_DATABASE, statement);
    t.deepEqual(await now.commit(), [], statement);
  }
  t.is(await openAlerts(now), 0);
});

test('no tick of the benchmark is a loss, and a mass deletion in it is one', async (t) => {
  const dir = join(makeFolder(), 'state');
  const shape = SHAPES['2.5MB'];
  if (shape === undefined) throw new Error('there is no such shape');
  const agent = BenchAgent.create(dir, shape);
  t.teardown(() => agent.close());
  const watched = await watch(dir);
  for (let tick = 0; tick < 12; tick += 1) {
    agent.play();
    t.deepEqual(await watched.commit(), [], `tick ${tick}`);
  }
  rmSync(join(dir, 'workspace/data'), { recursive: true });
  t.deepEqual(await watched.commit(), ['mass-deletion ']);
});

test('what was restored, and what is on another branch, is no loss', async (t) => {
  const dir = join(makeFolder(), 'state');
  mkdirSync(join(dir, 'memory'), { recursive: true });
  writeFileSync(join(dir, 'MEMORY.md'), 'short\n');
  const watched = await watch(dir, 'generic');
  const { context, commit } = watched;
  writeFileSync(join(dir, 'MEMORY.md'), 'long\n'.repeat(1000));
  t.deepEqual(await commit(), []);
  writeFileSync(join(dir, 'other'), '1\n');
  t.deepEqual(await commit(), []);
  // The branch begins where the memory was short; the files stay as they are.
  await switchBranch(context, 'bot', { name: 'other', create: 'HEAD~2' });
  writeFileSync(join(dir, 'other'), '2\n');
  t.deepEqual(await commit(), []);
  await switchBranch(context, 'bot', { name: 'main' });
  {
    await using open = await openAgent(context, 'bot');
    const { commit: moment } = await findMoment(context, open, { revision: 'HEAD~2', timestamp: undefined });
    await restoreInPlace(context, open, moment);
  }
  t.is(readFileSync(join(dir, 'MEMORY.md'), 'utf8'), 'short\n');
  writeFileSync(join(dir, 'other'), '3\n');
  t.deepEqual(await commit(), []);
  // And from then on it is watched as ever.
  writeFileSync(join(dir, 'MEMORY.md'), 'long\n'.repeat(1000));
  t.deepEqual(await commit(), []);
  writeFileSync(join(dir, 'MEMORY.md'), '');
  t.deepEqual(await commit(), ['shrunk state/MEMORY.md']);
});

async function loseMemory(t: ExecutionContext): Promise<Watched> {
  const dir = join(makeFolder(), 'state');
  mkdirSync(dir);
  writeFileSync(join(dir, 'MEMORY.md'), 'remember\n'.repeat(100));
  const watched = await watch(dir, 'generic');
  writeFileSync(join(dir, 'MEMORY.md'), '');
  t.deepEqual(await watched.commit(), ['shrunk state/MEMORY.md']);
  return watched;
}

test('an answer that all is fine ends the hold, and one that it was a loss keeps it for the user', async (t) => {
  const fine = await loseMemory(t);
  const answer = { agent: 'bot', words: [], all: false };
  const [alert] = (await readStatus(fine.context, 'bot')).alerts;
  t.is(alert?.commit, (await headOf(fine)).id as never);
  t.deepEqual(alert?.findings, ['state/MEMORY.md shrank from 900 to 0 bytes']);
  // It is no hold of the user's, who is told what to do instead.
  const refused = await t.throwsAsync(removeHold(fine.context, { agent: 'bot', words: [alert?.good ?? ''] }));
  t.true(isMoltError(refused, 'CONFLICT'));
  await answerAlerts(fine.context, { ...answer, verdict: 'fine' });
  t.deepEqual(await listHolds(fine.context, 'bot'), []);
  t.deepEqual((await readStatus(fine.context, 'bot')).alerts, []);
  t.true(isMoltError(await t.throwsAsync(answerAlerts(fine.context, { ...answer, verdict: 'fine' })), 'NOT_FOUND'));
  const lost = await loseMemory(t);
  await answerAlerts(lost.context, { ...answer, verdict: 'lost' });
  t.is(await openAlerts(lost), 0);
  t.like(await listHolds(lost.context, 'bot'), [
    { setBy: 'person', reason: 'before a loss: state/MEMORY.md shrank from 900 to 0 bytes' },
  ]);
});

test('of several alerts one is named, and a hold of the user’s outlasts an answer', async (t) => {
  const watched = await loseMemory(t);
  const { context, stateDir, commit } = watched;
  const first = (await readStatus(context, 'bot')).alerts[0]?.commit ?? '';
  writeFileSync(join(stateDir, 'MEMORY.md'), 'again\n'.repeat(100));
  t.deepEqual(await commit(), []);
  await addHold(context, { agent: 'bot', words: [], reason: 'mine' });
  rmSync(join(stateDir, 'MEMORY.md'));
  t.deepEqual(await commit(), ['removed state/MEMORY.md']);
  t.is(await openAlerts(watched), 2);
  const answer = { agent: 'bot', all: false, verdict: 'fine' } as const;
  t.true(isMoltError(await t.throwsAsync(answerAlerts(context, { ...answer, words: [] })), 'AMBIGUOUS'));
  t.is((await answerAlerts(context, { ...answer, words: [first] })).length, 1);
  await answerAlerts(context, { ...answer, words: [], all: true });
  t.is(await openAlerts(watched), 0);
  t.like(await listHolds(context, 'bot'), [{ setBy: 'person', reason: 'mine' }]);
});

test('who wants no look at losses gets none, and another share counts', async (t) => {
  const dir = join(makeFolder(), 'state');
  mkdirSync(dir);
  writeFileSync(join(dir, 'MEMORY.md'), 'remember\n'.repeat(100));
  const { context, commit } = await watch(dir, 'generic');
  await writeAlertSettings(context.home, { ...DEFAULT_ALERTS, share: undefined });
  writeFileSync(join(dir, 'MEMORY.md'), '');
  t.deepEqual(await commit(), []);
  await writeAlertSettings(context.home, { ...DEFAULT_ALERTS, share: 0.1 });
  writeFileSync(join(dir, 'MEMORY.md'), 'remember\n'.repeat(200));
  t.deepEqual(await commit(), []);
  writeFileSync(join(dir, 'MEMORY.md'), 'remember\n'.repeat(160));
  t.deepEqual(await commit(), ['shrunk state/MEMORY.md']);
});
