// Measures a diff by meaning on the 480 MB agent, whose memory is a database of 200 MB: `node bench/diff.ts [--shape 480MB] [--sqljs]`.
// molt runs as whole processes (run `npm run build` first). With --sqljs the same database is also compared by SQLite in WebAssembly,
// which holds both versions whole: the way that was not taken.

import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openMemoryDatabase } from '../src/diff/sqljs.ts';
import { BenchAgent, SHAPES } from './agent.ts';
import { median, timed } from './timed.ts';

const MOLT = fileURLToPath(new URL('../bin/molt.cjs', import.meta.url));
const ROUNDS = 5;
const MEMORY = 'agents/main/agent/memory.sqlite';

const { values } = parseArgs({
  options: { shape: { type: 'string', default: '480MB' }, sqljs: { type: 'boolean', default: false } },
});
const shape = SHAPES[values.shape];
if (shape === undefined) throw new Error(`no shape ${values.shape}`);
const lab = mkdtempSync(join(tmpdir(), 'molt-bench-diff-'));
const env = { MOLT_HOME: join(lab, 'home'), MOLT_PASSPHRASE: 'a passphrase for measuring' };
const state = join(lab, 'agent');

function molt(...args: string[]): void {
  timed(process.execPath, [MOLT, ...args], env);
}

function measure(...args: string[]): void {
  const costs = Array.from({ length: ROUNDS }, () => timed(process.execPath, [MOLT, ...args], env));
  const cell = (pick: (cost: (typeof costs)[number]) => number, digits: number): string =>
    median(costs.map(pick)).toFixed(digits).padStart(6);
  const what = `molt ${args.join(' ')}`.padEnd(58);
  const bytes = Buffer.byteLength(costs[0]?.stdout ?? '');
  process.stdout.write(
    `${what} ${cell(({ wallS }) => wallS, 2)} s ${cell(({ cpuS }) => cpuS, 2)} CPU s ${cell(({ peakMB }) => peakMB, 0)} MB, says ${bytes} bytes\n`,
  );
}

/** Compares two files by SQL, both whole in memory. */
async function measureSqlJs(before: string, after: string): Promise<void> {
  const started = performance.now();
  const [old, now] = [await openMemoryDatabase(readFileSync(before)), await openMemoryDatabase(readFileSync(after))];
  const rows = (database: typeof old): Map<unknown, string> =>
    new Map(
      (database.exec('SELECT id, hex(body || used || embedding) FROM memory')[0]?.values ?? []).map(([id, text]) => [
        id,
        String(text),
      ]),
    );
  const olds = rows(old);
  let differing = 0;
  for (const [id, text] of rows(now)) if (olds.get(id) !== text) differing += 1;
  const peakMB = process.resourceUsage().maxRSS / 1024;
  process.stdout.write(
    `sql.js, both versions whole: ${((performance.now() - started) / 1000).toFixed(2)} s, ${peakMB.toFixed(0)} MB, ${differing} rows\n`,
  );
}

try {
  const agent = BenchAgent.create(state, shape);
  process.stdout.write(`${values.shape}: memory of ${(statSync(join(state, MEMORY)).size / 1e6).toFixed(0)} MB\n`);
  molt('init', 'bench', '--state', state, '--recovery-key-file', join(lab, 'recovery'));
  const copy = (name: string): string => {
    cpSync(join(state, MEMORY), join(lab, name));
    return join(lab, name);
  };
  const before = copy('before');
  agent.play();
  molt('commit', 'bench');
  measure('diff', 'bench', 'HEAD~1', 'HEAD');
  for (let tick = 0; tick < 100; tick += 1) agent.play();
  measure('diff', 'bench');
  molt('commit', 'bench');
  measure('diff', 'bench', 'HEAD~1', 'HEAD', '--', MEMORY);
  measure('diff', 'bench', 'HEAD~1', 'HEAD');
  measure('diff', 'bench', 'HEAD~1', 'HEAD', '--json');
  measure('diff', 'bench', 'HEAD~1', 'HEAD', '--stat');
  agent.close();
  if (values.sqljs) await measureSqlJs(before, copy('after'));
} finally {
  rmSync(lab, { recursive: true, force: true });
}
