// Backups of other versions of OpenClaw than the one that is installed: an older one is migrated by it, a newer one is refused.

import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'ava';
import { askAll, takeTurn } from './ask.ts';
import { checkDatabases } from './databases.ts';
import { findFreePort, hashFile, isReady } from './gateway.ts';
import { Lab } from './lab.ts';
import { unpackRecorded } from './recorded.ts';
import { logPhases, missing } from './report.ts';

let lab: Lab;

test.before(async (t) => {
  t.timeout(1_800_000);
  lab = await Lab.make();
});

test.after.always('everything stops', () => lab?.remove());

test.serial('a backup of the older layout comes up migrated, with its conversations', async (t) => {
  t.timeout(1_800_000);
  const port = await findFreePort();
  const stateDir = path.join(lab.dir, 'legacy');
  await unpackRecorded('2026.5.28', { stateDir, port, token: 'legacy-token', modelPort: lab.model.port });
  const recorded = JSON.parse(await readFile(path.join(stateDir, 'agents/main/sessions/sessions.json'), 'utf8'));
  const sessions = Object.entries<{ sessionId: string }>(recorded).map(([key, one]) => `${key} ${one.sessionId}`);
  t.is(sessions.length, 2);
  const memory = await hashFile(stateDir, 'workspace/MEMORY.md');
  await lab.json(
    t,
    'init',
    'legacy',
    '--state',
    stateDir,
    '--pod',
    await lab.writePod('legacy', { port }),
    '--recovery-key-file',
    path.join(lab.dir, 'recovery-key-1'),
  );
  const result = await lab.json(t, 'restore', 'legacy', '--target', 'revived');
  t.like(result, { pod: { name: 'revived', healthy: true } });
  logPhases(t, 'restore --target of 2026.5.28', result);
  const pod = await lab.findPod(t, 'revived');
  const there = await askAll(pod);
  t.deepEqual(missing(sessions, there.sessions), []);
  t.deepEqual(there.workspaces, [path.join(pod.stateDir, 'workspace')]);
  t.is(await hashFile(pod.stateDir, 'workspace/MEMORY.md'), memory);
  t.regex(await takeTurn(pod, 'agent:main:planning', 'what was the plan?'), /^Understood/);
  t.true(existsSync(path.join(pod.stateDir, 'agents/main/agent/openclaw-agent.sqlite')), 'it was not migrated');
  await lab.json(t, 'pod', 'stop', 'revived');
  t.false(await isReady(pod.port));
  t.deepEqual([...new Set(Object.values(checkDatabases(pod.stateDir)))], ['ok']);
  t.false(existsSync(path.join(stateDir, 'state/openclaw.sqlite')), 'the original was migrated');
});

test.serial(
  'a backup of a newer OpenClaw than the one installed is refused, and both versions are named',
  async (t) => {
    t.timeout(900_000);
    const port = await findFreePort();
    const stateDir = path.join(lab.dir, 'newer');
    await unpackRecorded('2026.9.6', { stateDir, port, token: 'newer-token', modelPort: lab.model.port });
    const config = path.join(stateDir, 'openclaw.json');
    const text = await readFile(config, 'utf8');
    await writeFile(config, text.replace('"lastTouchedVersion": "2026.9.6"', '"lastTouchedVersion": "2099.1.2"'));
    const database = new DatabaseSync(path.join(stateDir, 'state/openclaw.sqlite'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    await lab.json(
      t,
      'init',
      'newer',
      '--state',
      stateDir,
      '--pod',
      await lab.writePod('newer', { port }),
      '--recovery-key-file',
      path.join(lab.dir, 'recovery-key-2'),
    );
    const { status, stderr } = await lab.run('restore', 'newer', '--target', 'refused');
    t.is(status, 16, stderr);
    t.regex(stderr, /2099\.1\.2/);
    t.true(stderr.includes(lab.openclaw.version), stderr);
    t.false(await isReady(port));
    t.deepEqual(
      missing(
        ['refused'],
        (await lab.json(t, 'pod', 'list')).map(({ name }: { name: string }) => name),
      ),
      ['refused'],
    );
  },
);
