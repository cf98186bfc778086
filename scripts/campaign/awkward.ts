// Agents too large for a test: a sparse file of 20 GB, and 100,000 files. Real molt processes save them and bring them back; the
// table says how long each took and how much memory at its peak. A share makes both smaller.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';
import { LABEL, type Machine, machineAt } from './machine.ts';
import { runMolt } from './real-molt.ts';

const SPARSE_BYTES = 20 * 2 ** 30;
const FILES = 100_000;
const TIME = '/usr/bin/time';
// What one run may take, whatever it reads: memory doesn't grow with a file, and little with the number of files.
const MAX_MEMORY_MB = 800;

/** The campaign. */
export async function campaign(run: CampaignRun, tally: Tally): Promise<void> {
  if (!existsSync(TIME)) tally.skip('the memory of awkward agents', `there is no ${TIME}`);
  // A tenth is for every merge, so it is less than a tenth of the size.
  const scale = run.share ** 2;
  const agents: Record<string, (dir: string) => void> = {
    'sparse file': (dir) => makeSparse(dir, Math.ceil(SPARSE_BYTES * scale), seeded(`${run.seed} sparse`)),
    'many files': (dir) => makeMany(dir, Math.ceil(FILES * scale)),
  };
  for (const [name, make] of Object.entries(agents)) {
    const base = join(run.base, name.replaceAll(' ', '-'));
    const machine = machineAt(join(base, 'root'), join(base, 'state'));
    mkdirSync(machine.root, { recursive: true });
    mkdirSync(machine.stateDir);
    make(machine.stateDir);
    await roundTrip(machine, name, tally).catch((error: unknown) => tally.fail(`${run.seed}: ${name}`, error));
    rmSync(base, { recursive: true });
  }
}

async function roundTrip(machine: Machine, name: string, tally: Tally): Promise<void> {
  const init = ['init', LABEL, '--state', machine.stateDir, '--recovery-key-file', machine.recoveryFile];
  await measure(machine, `${name}: first backup`, init, tally);
  writeFileSync(join(machine.stateDir, 'changed'), 'x');
  await measure(machine, `${name}: next commit`, ['commit', LABEL], tally);
  await measure(machine, `${name}: restore`, ['restore', LABEL, '--to', machine.restored], tally);
  const compared = spawnSync('diff', ['-r', '-q', machine.stateDir, join(machine.restored, 'state')], {
    encoding: 'utf8',
  });
  if (compared.status !== 0) throw new Error(`what came back differs: ${compared.stdout}${compared.stderr}`);
}

async function measure(machine: Machine, what: string, argv: readonly string[], tally: Tally): Promise<void> {
  const startedMs = performance.now();
  const before = existsSync(TIME) ? [TIME, '-f', 'peak %M'] : [];
  const { status, output } = await runMolt(machine, argv, { before });
  if (status !== 0) throw new Error(`${what} ended with ${status}: ${output}`);
  tally.add(`ms, ${what}`, Math.round(performance.now() - startedMs));
  const peakKib = /^peak (\d+)$/m.exec(output)?.[1];
  if (peakKib === undefined) return;
  const peakMb = Math.round(Number(peakKib) / 1024);
  tally.add(`MB at the peak, ${what}`, peakMb);
  if (peakMb > MAX_MEMORY_MB) throw new Error(`${what} took ${peakMb} MB`);
}

/** Data at the beginning, at odd places and at the end; holes between them. */
function makeSparse(dir: string, sizeBytes: number, random: () => number): void {
  const file = openSync(join(dir, 'sparse.bin'), 'w');
  ftruncateSync(file, sizeBytes);
  for (const place of [0, random(), random(), random(), 1]) {
    const bytes = Buffer.from(Array.from({ length: 50_000 }, () => Math.floor(random() * 256)));
    writeSync(file, bytes, 0, bytes.length, Math.floor(place * (sizeBytes - bytes.length)));
  }
  closeSync(file);
}

function makeMany(dir: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const folder = join(dir, `d${index % 100}`);
    if (index < 100) mkdirSync(folder);
    writeFileSync(join(folder, `f${index}.md`), `file ${index}\n`.repeat(1 + (index % 40)));
  }
}
