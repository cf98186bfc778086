// Measures the capture of one database with few changed pages by each way of reading it: `node bench/sqlite.ts [--rows 24000]`.
// Seconds drift with the machine; the ratios are what counts.

import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type CaptureContext, captureFile } from '../src/agent/capture.ts';
import type { ScannedEntry } from '../src/agent/scan.ts';
import { stampOf } from '../src/agent/stamp.ts';
import type { BlobWriter } from '../src/model/entry.ts';
import { BenchAgent, SHAPES } from './agent.ts';
import { median } from './timed.ts';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '24000' }, rounds: { type: 'string', default: '7' } },
});
const small = SHAPES['2.5MB'];
if (small === undefined) throw new Error('no small shape');
const shape = { ...small, memoryRows: Number(values.rows) };
const lab = mkdtempSync(join(tmpdir(), 'molt-bench-'));

/** Hashes what it gets, as the cheapest of the real writer's work. */
function openBlob(): BlobWriter {
  const hash = createHash('sha1');
  let sizeBytes = 0;
  return {
    write: (bytes) => {
      hash.update(bytes);
      sizeBytes += bytes.length;
    },
    finish: async () => ({ id: hash.digest('hex') as Awaited<ReturnType<BlobWriter['finish']>>['id'], sizeBytes }),
    abort: () => {},
  };
}

function entryOf(native: string): ScannedEntry {
  const stats = statSync(native, { bigint: true });
  const entry = {
    path: 'state/memory.sqlite',
    native,
    type: 'file',
    mode: 0o600,
    device: stats.dev,
    linkCount: 1,
    linkGroup: 0,
  } as const;
  return {
    ...entry,
    ...stampOf(stats),
    component: 'state',
    secret: false,
    wal: stampOf(statSync(`${native}-wal`, { bigint: true })),
  };
}

try {
  const agent = BenchAgent.create(join(lab, 'agent'), shape);
  const path = join(lab, 'agent/agents/main/agent/memory.sqlite');
  for (let tick = 0; tick < 3; tick += 1) agent.play();
  const entry = entryOf(path);
  const ways: Readonly<Record<string, Partial<CaptureContext>>> = { 'in place': {}, backup: { maxLogBytes: 0 } };
  const times = new Map<string, number[]>();
  const note = (name: string, started: number): void =>
    void times.set(name, [...(times.get(name) ?? []), performance.now() - started]);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const [name, options] of Object.entries(ways)) {
      const started = performance.now();
      const context = {
        tempDir: join(lab, 'temp'),
        clock: { now: () => Date.now() },
        deadlineMs: Infinity,
        ...options,
      };
      const outcome = await captureFile(entry, openBlob, context);
      if (outcome.status !== 'captured' || outcome.method !== name)
        throw new Error(`not ${name}: ${JSON.stringify(outcome.status)}`);
      note(name, started);
    }
    const started = performance.now();
    createHash('sha1').update(readFileSync(path)).digest();
    note('only read and hash', started);
  }
  const frames = (statSync(`${path}-wal`).size - 32) / 4120;
  console.log(
    `${(statSync(path).size / 1e6).toFixed(0)} MB, ${frames} frames in its log, ${values.rounds} rounds, medians`,
  );
  const floor = median(times.get('backup') ?? []);
  for (const [name, each] of times)
    console.log(`${name.padEnd(20)} ${(median(each) / 1000).toFixed(3)} s  ${(median(each) / floor).toFixed(2)}`);
  agent.close();
} finally {
  rmSync(lab, { recursive: true, force: true });
}
