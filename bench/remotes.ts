// Measures pushes and clones beside restic's S3 backend, on one Ceph gateway in one run: the rows `remotes` of `npm run bench`. Needs
// Ceph's programs, curl and restic; run `npm run build` first. Requests are counted by a proxy.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster } from '../test/ceph/cluster.ts';
import { BenchAgent, SHAPES } from './agent.ts';
import { type Cost, isInstalled, median, timed } from './timed.ts';

const MOLT = join(import.meta.dirname, '..', 'bin', 'molt.cjs');
const DELAY_MS = 50;
const DELAYED_SIZE = '55MB';
/** Busy ticks that are pushed. */
const TICKS = 3;

type Run = Cost & { readonly requests: number; readonly sentBytes: number };
const rows = new Map<string, { molt: Run[]; restic: Run[] }>();

/** The programs that are needed, and the Debian packages that have them. */
const PROGRAMS = {
  restic: 'restic',
  curl: 'curl',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  'ceph-authtool': 'ceph-common',
  radosgw: 'radosgw',
  'radosgw-admin': 'radosgw',
};

/** How much is measured. */
export interface RemotesOptions {
  /** Of the agent that is pushed without delay. */
  readonly size: string;
  readonly rounds: number;
}

/** Returns the Debian packages of what is not installed. */
export function listLacking(): string[] {
  const lacking = Object.entries(PROGRAMS).filter(([program]) => !isInstalled(program));
  return [...new Set(lacking.map(([, name]) => name))];
}

/** A proxy that runs. */
interface Proxy {
  readonly port: number;
  readonly process: ChildProcess;
}

async function startProxy(upstream: number, delayMs: number): Promise<Proxy> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'proxy.ts'), String(upstream), String(delayMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), process: child };
}

/** Returns the requests since the last call. */
function takeCount({ port }: Proxy): number {
  const { stdout } = spawnSync('curl', ['-s', `http://127.0.0.1:${port}/__counts`], { encoding: 'utf8' });
  return Object.values(JSON.parse(stdout) as Record<string, number>).reduce((sum, count) => sum + count, 0);
}

function note(row: string, tool: 'molt' | 'restic', proxy: Proxy, run: () => Cost): Cost {
  takeCount(proxy);
  const cost = run();
  const runs = rows.get(row) ?? { molt: [], restic: [] };
  const sentBytes = Number(/"bytes":(\d+)/.exec(cost.stdout)?.[1] ?? /"data_added":(\d+)/.exec(cost.stdout)?.[1] ?? 0);
  runs[tool].push({ ...cost, requests: takeCount(proxy), sentBytes });
  rows.set(row, runs);
  return cost;
}

/** One round: first push, ticks, and back on an empty machine. */
function play(
  lab: string,
  round: string,
  proxy: Proxy,
  options: { readonly size: string; readonly suffix: string },
): void {
  const shape = SHAPES[options.size];
  if (shape === undefined) throw new Error(`--size is one of ${Object.keys(SHAPES).join(', ')}`);
  const dir = join(lab, `agent-${round}`);
  mkdirSync(dir);
  const agent = BenchAgent.create(dir, shape);
  const url = `s3://bench/${round}?endpoint=http://127.0.0.1:${proxy.port}`;
  const resticUrl = `s3:http://127.0.0.1:${proxy.port}/bench/restic-${round}`;
  const home = join(lab, `home-${round}`);
  const env = { MOLT_HOME: home, MOLT_PASSPHRASE: 'bench bench bench' };
  const restic = {
    RESTIC_PASSWORD: 'bench',
    RESTIC_CACHE_DIR: join(lab, `cache-${round}`),
    AWS_DEFAULT_REGION: 'us-east-1',
  };
  const molt = (...args: readonly string[]): Cost => timed('node', [MOLT, ...args], env);
  const name = (row: string): string => `${row}${options.suffix}`;
  molt('init', 'bench', '--state', dir, '--json');
  molt('remote', 'add', 'origin', url, '--json');
  timed('restic', ['init', '-q', '-r', resticUrl], restic);
  note(name('first push'), 'molt', proxy, () => molt('push', '--json'));
  note(name('first push'), 'restic', proxy, () => timed('restic', ['backup', '--json', '-r', resticUrl, dir], restic));
  for (let tick = 0; tick < TICKS; tick += 1) {
    agent.play();
    molt('commit', 'bench', '--json');
    note(name('push of a tick'), 'molt', proxy, () => molt('push', '--json'));
    note(name('push of a tick'), 'restic', proxy, () =>
      timed('restic', ['backup', '--json', '-r', resticUrl, dir], restic),
    );
  }
  agent.close();
  const other = { MOLT_HOME: join(lab, `other-${round}`), MOLT_PASSPHRASE: 'bench bench bench' };
  const target = join(lab, `back-${round}`);
  const back = `"$1" "$2" clone "$3" bench --state "$4" --json && exec "$1" "$2" restore bench --to "$4" --json`;
  note(name('clone and restore'), 'molt', proxy, () =>
    timed('sh', ['-c', back, 'sh', process.execPath, MOLT, url, target], other),
  );
  const cold = { ...restic, RESTIC_CACHE_DIR: join(lab, `cold-${round}`) };
  note(name('clone and restore'), 'restic', proxy, () =>
    timed('restic', ['restore', '-q', '-r', resticUrl, 'latest', '--target', join(lab, `restic-back-${round}`)], cold),
  );
}

function print({ size, rounds }: RemotesOptions): void {
  console.log(`\n${size} agent on Ceph, ${rounds} rounds, medians; ratios are molt's over restic's\n`);
  for (const [row, { molt, restic }] of rows) {
    const of = (runs: readonly Run[], pick: (run: Run) => number): number => median(runs.map(pick));
    for (const [tool, runs] of [
      ['molt', molt],
      ['restic', restic],
    ] as const) {
      const cells = [
        `${of(runs, (run) => run.wallS).toFixed(2)} s`,
        `${of(runs, (run) => run.cpuS).toFixed(2)} CPU s`,
        `${of(runs, (run) => run.peakMB).toFixed(0)} MB`,
        `${of(runs, (run) => run.requests)} requests`,
        `${(of(runs, (run) => run.sentBytes) / 1000).toFixed(1)} kB sent`,
      ];
      console.log(`${row.padEnd(28)} ${tool.padEnd(7)} ${cells.map((cell) => cell.padStart(15)).join(' ')}`);
    }
    const ratio = of(molt, (run) => run.wallS) / of(restic, (run) => run.wallS);
    console.log(`${''.padEnd(28)} time ${ratio.toFixed(2)}\n`);
  }
}

/** Measures and prints. */
export async function runRemotes(options: RemotesOptions): Promise<void> {
  const lab = mkdtempSync(join(tmpdir(), 'molt-remotes-'));
  const cluster = await startCluster();
  const upstream = Number(new URL(cluster.endpoint).port);
  const near = await startProxy(upstream, 0);
  const far = await startProxy(upstream, DELAY_MS);
  try {
    await cluster.makeBucket('bench');
    for (let round = 0; round < options.rounds; round += 1) {
      play(lab, `near-${round}`, near, { size: options.size, suffix: '' });
      play(lab, `far-${round}`, far, { size: DELAYED_SIZE, suffix: `, ${DELAYED_SIZE}, +${DELAY_MS} ms` });
      for (const name of ['agent', 'home', 'cache', 'other', 'back', 'cold', 'restic-back'])
        for (const place of ['near', 'far'])
          rmSync(join(lab, `${name}-${place}-${round}`), { recursive: true, force: true });
    }
    print(options);
  } finally {
    near.process.kill();
    far.process.kill();
    await cluster.stop();
    rmSync(lab, { recursive: true, force: true });
  }
}
