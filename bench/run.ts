// Measures molt beside restic, borg and bup in one run, interleaved: `npm run bench -- [--size 480MB] [--rounds 3] [--ticks 288]`, then
// its pushes beside restic’s (remotes.ts), then restores into pods (pods.ts); `--rows local,remotes,pods` chooses, `--only molt,restic` names the programs.
// What is not installed is left out and named. Seconds drift with the machine; the ratios are what counts.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchAgent, SHAPES, type AgentShape } from './agent.ts';
import { listLacking, runRemotes } from './remotes.ts';
import { measurePods } from './pods.ts';
import { TOOLS, type Tool } from './tools.ts';
import { isInstalled, median, type Cost } from './timed.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '480MB' },
    rounds: { type: 'string', default: '3' },
    ticks: { type: 'string', default: '288' },
    only: { type: 'string' },
    rows: { type: 'string', default: 'local,remotes,pods' },
  },
});
const wanted = values.only?.split(',');
const tools = TOOLS.filter((tool) => isInstalled(tool.command) && (wanted === undefined || wanted.includes(tool.name)));
const missing = TOOLS.filter((tool) => !isInstalled(tool.command)).map((tool) => tool.name);
const lab = mkdtempSync(join(tmpdir(), 'molt-bench-'));

/** What was measured: by row, by tool, one value a round. */
const rows = new Map<string, Map<string, Run[]>>();

/** What each tick of a day stored, by tool, of those that take part in every tick. */
const days = new Map<string, number[]>();

function shapeOf(size: string): AgentShape {
  const shape = SHAPES[size];
  if (shape === undefined) throw new Error(`--size is one of ${Object.keys(SHAPES).join(', ')}`);
  return shape;
}

function measure(row: string, tool: Tool, place: string, run: () => Cost): void {
  const before = tool.storedBytes(place);
  const cost = run();
  const storedBytes = tool.storedBytes(place) - before;
  noteRun(row, tool, { ...cost, storedBytes });
  if (row.startsWith('busy tick') && tool.everyTick) noteTick(tool, storedBytes);
}

function noteRun(row: string, tool: Tool, run: Run): void {
  const byTool = rows.get(row) ?? new Map<string, Run[]>();
  byTool.set(tool.name, [...(byTool.get(tool.name) ?? []), run]);
  rows.set(row, byTool);
}

function noteTick(tool: Tool, storedBytes: number): void {
  days.set(tool.name, [...(days.get(tool.name) ?? []), storedBytes]);
}

/** Saves a tick that is not measured, but for what it stores. */
function saveTick(tool: Tool, place: string, dir: string, tick: number): void {
  const before = tool.storedBytes(place);
  tool.backup(place, dir, `tick-${tick}`);
  if (tool.everyTick) noteTick(tool, tool.storedBytes(place) - before);
}

/** Rotates the order of the tools, so that none always meets the warmer cache. */
function inTurn(round: number): Tool[] {
  const at = round % tools.length;
  return [...tools.slice(at), ...tools.slice(0, at)];
}

function playRound(round: number): void {
  const dir = join(lab, `agent-${round}`);
  mkdirSync(dir);
  const agent = BenchAgent.create(dir, shapeOf(values.size));
  const places = new Map(tools.map((tool) => [tool, join(lab, `${tool.name}-${round}`)]));
  const placeOf = (tool: Tool): string => places.get(tool) ?? '';
  const each = (row: string, run: (tool: Tool, place: string) => Cost): void => {
    for (const tool of inTurn(round)) measure(row, tool, placeOf(tool), () => run(tool, placeOf(tool)));
  };
  for (const tool of tools) tool.prepare(placeOf(tool), dir);
  each('first full', (tool, place) => tool.backup(place, dir, 'first'));
  each('unchanged tick', (tool, place) => tool.backup(place, dir, 'unchanged'));
  const ticks = Number(values.ticks);
  const measured = new Set([1, 100, ticks]);
  for (let tick = 1; tick <= ticks; tick += 1) {
    agent.play();
    if (measured.has(tick)) each(`busy tick ${tick}`, (tool, place) => tool.backup(place, dir, `tick-${tick}`));
    // Before a measured tick every tool catches up, so that it stores one tick's change and no more.
    else
      for (const tool of tools) if (tool.everyTick || measured.has(tick + 1)) saveTick(tool, placeOf(tool), dir, tick);
  }
  agent.close();
  each('restore all', (tool, place) => {
    const target = join(lab, `restore-${tool.name}-${round}`);
    return tool.restore(place, dir, target);
  });
  for (const tool of inTurn(round)) {
    // Each finds the folder as it was at its last backup.
    const live = `${dir}.live`;
    cpSync(dir, live, { recursive: true, preserveTimestamps: true });
    const place = placeOf(tool);
    const before = tool.storedBytes(place);
    const cost = tool.inPlace(place, dir);
    if (cost !== undefined)
      noteRun('in place 1 back', tool, { ...cost, storedBytes: tool.storedBytes(place) - before });
    // Nothing is deleted before the round ends: inodes that were freed just now slow down whoever makes files next.
    renameSync(dir, `${dir}.${tool.name}`);
    renameSync(live, dir);
  }
  each('start-up', (tool) => tool.version());
  for (const name of readdirSync(lab)) rmSync(join(lab, name), { recursive: true, force: true });
}

type Run = Cost & { storedBytes: number };

const FIGURES: Readonly<Record<string, (run: Run) => number>> = {
  time: (run) => run.wallS,
  cpu: (run) => run.cpuS,
  memory: (run) => run.peakMB,
  bytes: (run) => run.storedBytes,
};

function middle(runs: readonly Run[], figure: string): number {
  return median(runs.map(FIGURES[figure] ?? (() => Number.NaN)));
}

/** Returns molt's medians over a peer's, figure by figure. */
function ratios(molt: readonly Run[], peer: readonly Run[]): string {
  return Object.keys(FIGURES)
    .filter((figure) => figure !== 'bytes' || middle(peer, figure) > 0)
    .map((figure) => `${figure} ${(middle(molt, figure) / middle(peer, figure)).toFixed(2)}`)
    .join('  ');
}

function print(): void {
  console.log(`\n${values.size} agent, ${values.rounds} rounds, medians; ratios are molt's median over the peer's\n`);
  const titles = ['wall s', 'cpu s', 'peak MB', 'stored kB'].map((title) => title.padStart(9)).join(' ');
  console.log(`${'work'.padEnd(18)} ${'tool'.padEnd(7)} ${titles}   molt's ratio`);
  for (const [row, byTool] of rows) {
    const molt = byTool.get('molt');
    for (const [tool, runs] of byTool) {
      const cells = [
        middle(runs, 'time').toFixed(3),
        middle(runs, 'cpu').toFixed(2),
        middle(runs, 'memory').toFixed(0),
        (middle(runs, 'bytes') / 1000).toFixed(1),
      ];
      const ratio = molt === undefined || tool === 'molt' ? '' : ratios(molt, runs);
      console.log(`${row.padEnd(18)} ${tool.padEnd(7)} ${cells.map((cell) => cell.padStart(9)).join(' ')}   ${ratio}`);
    }
  }
  for (const [tool, ticks] of days) {
    const kB = (bytes: number): string => (bytes / 1000).toFixed(1);
    const mean = ticks.reduce((sum, bytes) => sum + bytes, 0) / ticks.length;
    console.log(`\na busy day of ${tool}: ${kB(mean)} kB a tick on average, ${kB(Math.max(...ticks))} kB at most`);
  }
  if (missing.length > 0) console.log(`\nnot installed: ${missing.join(', ')}`);
}

const parts = new Set(values.rows.split(','));
for (const part of parts)
  if (!['local', 'remotes', 'pods'].includes(part))
    throw new Error('--rows is local, remotes, pods, or several of them');

try {
  if (parts.has('local')) {
    for (let round = 0; round < Number(values.rounds); round += 1) playRound(round);
    print();
  }
} finally {
  if (existsSync(lab)) rmSync(lab, { recursive: true, force: true });
}

if (parts.has('remotes')) {
  const lacking = listLacking();
  if (lacking.length > 0) {
    console.log(`\nno pushes were measured, since these are not installed: ${lacking.join(', ')}`);
    // Asked for by name, it has to be there.
    if (values.rows === 'remotes') process.exitCode = 1;
  } else await runRemotes({ size: values.size, rounds: Number(values.rounds) });
}

if (parts.has('pods')) await measurePods(values.size, Number(values.rounds));
