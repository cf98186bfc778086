// Measures restores into pods: what is molt's own of them beside restic's restore, and what a client of the agent notices. The start of
// the agent itself is told apart.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BenchAgent, SHAPES } from './agent.ts';
import { isInstalled, median, timed } from './timed.ts';
import { MOLT, moltEnv, TOOLS } from './tools.ts';

const ROOT = join(import.meta.dirname, '..');
/** What is not molt's but the agent's. */
const OF_THE_AGENT = new Set(['start', 'stop', 'health check', 'start beside, and switch']);
const ASK_EVERY_MS = 100;
const PORT = 28_700;

interface Restored {
  readonly phases: readonly { readonly name: string; readonly durationMs: number }[];
  readonly pod?: { readonly endpoint: string };
}

/** Measures and prints all rows. */
export async function measurePods(size: string, rounds: number): Promise<void> {
  const lab = mkdtempSync(join(tmpdir(), 'molt-bench-pods-'));
  try {
    const lines = [...playRestores(lab, size, rounds), playSample(lab), ...(await playClients(lab))];
    console.log(`\nrestores into pods, ${size} agent, ${rounds} rounds, medians\n`);
    for (const line of lines) console.log(line);
  } finally {
    rmSync(lab, { recursive: true, force: true });
  }
}

function molt(home: string, ...words: string[]): { readonly wallS: number; readonly result: Restored } {
  const { wallS, stdout } = timed('node', [MOLT, ...words, '--json'], moltEnv(home));
  return { wallS, result: stdout.trim() === '' ? { phases: [] } : (JSON.parse(stdout) as Restored) };
}

function ownS({ phases }: Restored): number {
  return phases.reduce((sum, { name, durationMs }) => sum + (OF_THE_AGENT.has(name) ? 0 : durationMs), 0) / 1000;
}

/** A large agent as a new pod, beside restic's restore of the same files, and one busy tick back in place. */
function playRestores(lab: string, size: string, rounds: number): string[] {
  const shape = SHAPES[size];
  if (shape === undefined) throw new Error(`--size is one of ${Object.keys(SHAPES).join(', ')}`);
  const dir = join(lab, 'agent');
  mkdirSync(dir);
  const agent = BenchAgent.create(dir, shape);
  const home = join(lab, 'molt');
  molt(home, 'init', 'bench', '--state', dir);
  const restic = TOOLS.find(({ name, command }) => name === 'restic' && isInstalled(command));
  const place = join(lab, 'restic');
  restic?.prepare(place, dir);
  restic?.backup(place, dir, 'first');
  const own: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    own.push(ownS(molt(home, 'restore', 'bench', '--target', `pod-${round}`, '--no-start').result));
    if (restic !== undefined) theirs.push(restic.restore(place, dir, join(lab, `restic-${round}`)).wallS);
    for (const one of [join(home, 'pods', `pod-${round}`), join(lab, `restic-${round}`)])
      rmSync(one, { recursive: true, force: true });
  }
  agent.play();
  molt(home, 'commit', 'bench');
  agent.close();
  const back = molt(home, 'restore', 'bench', 'HEAD~1', '--in-place', '--no-start');
  const peer = median(theirs);
  return [
    restic === undefined
      ? line('new pod', `molt ${seconds(median(own))}`, 'restic is not installed')
      : line(
          'new pod',
          `molt ${seconds(median(own))}, restic ${seconds(peer)}: ${(median(own) / peer).toFixed(2)}`,
          `at most 0.6 x + 0.5 s = ${seconds(0.6 * peer + 0.5)}`,
        ),
    line(
      'one tick back in place',
      `${seconds(ownS(back.result))}, whole process ${seconds(back.wallS)}`,
      'at most 0.6 s',
    ),
  ];
}

/** The recorded state of a real OpenClaw as a new pod. */
function playSample(lab: string): string {
  const dir = join(lab, 'sample');
  mkdirSync(dir);
  execFileSync('tar', ['xzf', join(ROOT, 'fixtures/openclaw-2026.9.6.tar.gz'), '-C', dir]);
  const home = join(lab, 'molt-sample');
  molt(home, 'init', 'sample', '--state', join(dir, 'state'));
  const { wallS, result } = molt(home, 'restore', 'sample', '--target', 'twin', '--no-start');
  return line('OpenClaw sample, new pod', `${seconds(ownS(result))}, whole process ${seconds(wallS)}`, 'at most 1 s');
}

/** What a client notices that asks ten times a second, in both modes. */
async function playClients(lab: string): Promise<string[]> {
  const lines: string[] = [];
  for (const front of [true, false]) {
    const home = join(lab, `molt-front-${front}`);
    const dir = join(lab, `notes-${front}`);
    mkdirSync(dir);
    writeFileSync(join(dir, 'notes.md'), 'remember\n');
    const file = join(lab, `pod-${front}.json`);
    const command = ['node', join(ROOT, 'examples/notes-agent/agent.mjs'), '--port', '{port:http}'];
    const port = front ? PORT : PORT + 50;
    writeFileSync(
      file,
      JSON.stringify({ command, front, ports: [{ name: 'http', port }], health: { http: { path: '/healthz' } } }),
    );
    molt(home, 'init', 'notes', '--state', dir, '--pod', file);
    try {
      const { pod } = molt(home, 'restore', 'notes', '--target', 'pod').result;
      molt(home, 'backup', 'create', 'pod');
      const seen = await ask(home, `${pod?.endpoint}/healthz`);
      const ownStartMs = seen.phases.find(({ name }) => name === 'start')?.durationMs ?? 0;
      lines.push(
        front
          ? line(
              'beside',
              `${seen.refused} of ${seen.asked} refused, longest wait ${seconds(seen.longestS)}`,
              'at most one',
            )
          : line(
              'stop-first',
              `gap ${seconds(seen.gapS)}, of which the agent's start ${seconds(ownStartMs / 1000)}`,
              'at most its start + 2 s',
            ),
      );
    } finally {
      // It may have failed before there was a pod; what went wrong then is what counts.
      spawnSync('node', [MOLT, 'pod', 'stop', 'pod'], { env: { ...process.env, ...moltEnv(home) } });
    }
  }
  return lines;
}

async function ask(
  home: string,
  url: string,
): Promise<Restored & { asked: number; refused: number; gapS: number; longestS: number }> {
  const child = spawn('node', [MOLT, 'restore', 'pod', '--in-place', '--json'], {
    env: { ...process.env, ...moltEnv(home) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', (part) => (stdout += part));
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const isOver = { value: false };
  void ended.then(() => (isOver.value = true));
  const seen = { asked: 0, refused: 0, gapS: 0, longestS: 0 };
  let lastGood = performance.now();
  while (!isOver.value) {
    const asked = performance.now();
    seen.asked += 1;
    const isGood = await fetch(url, { headers: { connection: 'close' } }).then(
      (answer) => answer.ok,
      () => false,
    );
    const now = performance.now();
    seen.longestS = Math.max(seen.longestS, (now - asked) / 1000);
    if (isGood) {
      seen.gapS = Math.max(seen.gapS, (now - lastGood) / 1000);
      lastGood = now;
    } else seen.refused += 1;
    await delay(ASK_EVERY_MS);
  }
  return { ...(JSON.parse(stdout) as Restored), ...seen };
}

function line(work: string, figure: string, bar: string): string {
  return `${work.padEnd(26)} ${figure.padEnd(56)} ${bar}`;
}

function seconds(value: number): string {
  return `${value.toFixed(2)} s`;
}
