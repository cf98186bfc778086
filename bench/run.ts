// Measures molt beside restic, borg and bup in one run, interleaved: `npm run bench -- [--size 480MB] [--rounds 3] [--ticks 288]`.
// Peers that are not installed are left out and named. Seconds drift with the machine; the ratios are what counts.

import { mkdirSync, mkdtempSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BenchAgent, SHAPES, type AgentShape } from './agent.ts';
import { TOOLS, type Tool } from './tools.ts';
import { isInstalled, median, type Cost } from './timed.ts';

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '480MB' },
    rounds: { type: 'string', default: '3' },
    ticks: { type: 'string', default: '288' },
    only: { type: 'string' },
  },
});
const wanted = values.only?.split(',');
const tools = TOOLS.filter((tool) => isInstalled(tool.command) && (wanted === undefined || wanted.includes(tool.name)));
const missing = TOOLS.filter((tool) => !isInstalled(tool.command)).map((tool) => tool.name);
const lab = mkdtempSync(join(tmpdir(), 'molt-bench-'));

/** What was measured: by row, by tool, one value a round. */
const rows = new Map<string, Map<string, (Cost & { storedBytes: number })[]>>();

function shapeOf(size: string): AgentShape {
  const shape = SHAPES[size];
  if (shape === undefined) throw new Error(`--size is one of ${Object.keys(SHAPES).join(', ')}`);
  return shape;
}

function measure(row: string, tool: Tool, place: string, run: () => Cost): void {
  const before = tool.storedBytes(place);
  const cost = run();
  const stored = tool.storedBytes(place) - before;
  const byTool = rows.get(row) ?? new Map<string, (Cost & { storedBytes: number })[]>();
  byTool.set(tool.name, [...(byTool.get(tool.name) ?? []), { ...cost, storedBytes: stored }]);
  rows.set(row, byTool);
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
      for (const tool of tools)
        if (tool.everyTick || measured.has(tick + 1)) tool.backup(placeOf(tool), dir, `tick-${tick}`);
  }
  agent.close();
  each('restore all', (tool, place) => {
    const target = join(lab, `restore-${tool.name}-${round}`);
    const cost = tool.restore(place, dir, target);
    rmSync(target, { recursive: true, force: true });
    return cost;
  });
  each('start-up', (tool) => tool.version());
  for (const tool of tools) rmSync(placeOf(tool), { recursive: true, force: true });
  rmSync(dir, { recursive: true, force: true });
}

function print(): void {
  console.log(`\n${values.size} agent, ${values.rounds} rounds, medians; ratios are molt's median over the peer's\n`);
  console.log(
    `${'work'.padEnd(16)} ${'tool'.padEnd(7)} ${'wall s'.padStart(8)} ${'cpu s'.padStart(8)} ${'peak MB'.padStart(8)} ${'stored kB'.padStart(10)}   molt's ratio`,
  );
  for (const [row, byTool] of rows) {
    const molt = byTool.get('molt');
    for (const [tool, costs] of byTool) {
      const wall = median(costs.map((cost) => cost.wallS));
      const stored = median(costs.map((cost) => cost.storedBytes));
      const ratio =
        molt === undefined || tool === 'molt'
          ? ''
          : `time ${(median(molt.map((cost) => cost.wallS)) / wall).toFixed(2)}`;
      const bytes =
        ratio === '' || stored <= 0
          ? ''
          : `, bytes ${(median((molt ?? []).map((cost) => cost.storedBytes)) / stored).toFixed(3)}`;
      const cells = [
        wall.toFixed(3),
        median(costs.map((c) => c.cpuS)).toFixed(2),
        median(costs.map((c) => c.peakMB)).toFixed(0),
      ];
      console.log(
        `${row.padEnd(16)} ${tool.padEnd(7)} ${cells.map((cell) => cell.padStart(8)).join(' ')} ${(stored / 1000).toFixed(1).padStart(10)}   ${ratio}${bytes}`,
      );
    }
  }
  if (missing.length > 0) console.log(`\nnot installed: ${missing.join(', ')}`);
}

try {
  for (let round = 0; round < Number(values.rounds); round += 1) playRound(round);
  print();
} finally {
  if (existsSync(lab)) rmSync(lab, { recursive: true, force: true });
}
