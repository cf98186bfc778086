// A real OpenClaw state with five days of history: the agent works, on the fourth day it "tidies" its memory. What the story in tmux
// and the pictures of the README show.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { silentReporter } from '../../src/model/ports.ts';
import { backUp } from '../../src/ops/backup.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { pushAll } from '../../src/ops/push.ts';
import { Activity, TICKS } from '../../scripts/demo/activity.ts';

const FIXTURE = path.join(import.meta.dirname, '../../fixtures/openclaw-2026.9.6.tar.gz');
/** Where the state was recorded; its configuration names its workspaces by it. */
const RECORDED_AT = '/home/agent/.openclaw';
const DAY_MS = 86_400_000;
const TICK_MS = 300_000;
/** Commits between two turns of the conversation, in which the agent only writes its journal. */
const QUIET_TICKS = 6;

/** The agent's name. */
export const LABEL = 'heron';

/** An agent with a history. */
export interface Sample {
  readonly home: string;
  readonly stateDir: string;
  readonly context: OpsContext;
}

/** Answers like a healthy gateway, on the port that it is given. */
const GATEWAY = `require('node:http').createServer((q, s) => s.end('ok')).listen(Number(process.argv[1]), '127.0.0.1')`;

/**
 * Makes the agent in a folder.
 * @param endMs when the last commit was captured
 * @param port that its pod asks for
 */
export async function makeSample(dir: string, endMs: number, port: number): Promise<Sample> {
  execFileSync('tar', ['-xzf', FIXTURE, '-C', dir]);
  const stateDir = path.join(dir, 'state');
  const config = path.join(stateDir, 'openclaw.json');
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll(RECORDED_AT, stateDir));
  let nowMs = endMs - TICKS * DAY_MS;
  const context: OpsContext = {
    home: new Home(path.join(dir, 'home')),
    clock: { now: () => nowMs },
    random: { bytes: (length) => randomBytes(length) },
    reporter: silentReporter,
    cwd: dir,
    userHome: dir,
    unlock: async () => ({ type: 'passphrase', passphrase: 'sample' }),
    argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
  };
  await initAgent(context, {
    label: LABEL,
    stateDir,
    profile: 'openclaw',
    include: [],
    exclude: [],
    passphrase: async () => 'sample',
    keepRecoveryKey: async () => undefined,
  });
  const agent = await context.home.findAgent(LABEL);
  if (agent === undefined) throw new Error('there is no agent');
  const pod = {
    command: ['node', '-e', GATEWAY, '{port:http}'],
    ports: [{ name: 'http', port }],
    health: { http: { path: '/readyz' }, intervalMs: 20, timeoutMs: 60_000 },
  };
  await context.home.updateAgent({ ...agent, pod });
  const save = async (message?: string, name?: string): Promise<void> => {
    const kind = name === undefined ? 'incremental' : 'manual';
    await backUp(context, LABEL, { kind, trigger: 'schedule', message, name });
  };
  const activity = new Activity(stateDir);
  for (let turn = 1; turn <= TICKS; turn += 1) {
    nowMs = endMs - (TICKS - turn) * DAY_MS - QUIET_TICKS * TICK_MS;
    activity.run(turn);
    await save();
    for (let tick = 0; tick < QUIET_TICKS; tick += 1) {
      nowMs += TICK_MS;
      appendFileSync(path.join(stateDir, 'workspace/notes/journal.md'), `- tick ${tick} of day ${turn}\n`);
      await save(undefined, turn === 3 && tick === QUIET_TICKS - 1 ? 'before-tidy' : undefined);
    }
  }
  activity.close();
  await addRemote(context, LABEL, { name: 'vault', url: `file://${path.join(dir, 'vault')}`, singleWriter: false });
  await pushAll(context, LABEL);
  return { home: path.join(dir, 'home'), stateDir, context };
}
