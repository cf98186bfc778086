// Measures search on a long history: `node bench/search.ts [--commits 105120] [--dir DIR]`. Makes a year of five-minute commits
// (bench/year.ts), has molt index it, and then asks it as whole processes; run `npm run build` first. With --dir the history is kept
// there, and used again; its index is made anew each time.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openAgent } from '../src/ops/open.ts';
import { searchHistory } from '../src/ops/search.ts';
import { median, timed } from './timed.ts';
import { contextIn, LABEL, makeYear, START_MS, YEAR_COMMITS } from './year.ts';

const MOLT = fileURLToPath(new URL('../bin/molt.cjs', import.meta.url));
const ROUNDS = 5;

const { values } = parseArgs({
  options: { commits: { type: 'string', default: String(YEAR_COMMITS) }, dir: { type: 'string' } },
});
const commits = Number(values.commits);
const dir = values.dir ?? mkdtempSync(join(tmpdir(), 'molt-search-'));
const home = join(dir, 'home');

function sizeOf(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

/** Runs molt as a process of its own and prints what the middle of some rounds cost. */
function measure(what: string, args: readonly string[], rounds = ROUNDS): void {
  const costs = Array.from({ length: rounds }, () => timed(process.execPath, [MOLT, ...args], { MOLT_HOME: home }));
  const cell = (pick: (cost: (typeof costs)[number]) => number, digits: number): string =>
    median(costs.map(pick)).toFixed(digits).padStart(8);
  const lines = (costs[0]?.stdout.match(/\n/g) ?? []).length;
  process.stdout.write(
    `${what.padEnd(44)} ${cell(({ wallS }) => wallS, 3)} s ${cell(({ cpuS }) => cpuS, 2)} CPU s ${cell(({ peakMB }) => peakMB, 0)} MB ${lines} lines\n`,
  );
}

/** Says when the first answer of a search comes in a process that runs already, as in the terminal interface. */
async function measureFirst(phrase: string): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    for await (const _ of searchHistory(
      contextIn(dir, () => lateMs),
      { agent: LABEL, phrase },
    )) {
      times.push(performance.now() - started);
      break;
    }
  }
  process.stdout.write(
    `${`first answer for "${phrase}", in process`.padEnd(44)} ${(median(times) / 1000).toFixed(3).padStart(8)} s\n`,
  );
}

const lateMs = START_MS + YEAR_COMMITS * 300_000 + 60_000;

try {
  mkdirSync(dir, { recursive: true });
  if (!existsSync(home)) await makeYear(dir, commits, async () => {});
  const context = contextIn(dir, () => lateMs);
  await using open = await openAgent(context, LABEL);
  const index = context.home.searchDir(open.repository.id);
  rmSync(index, { recursive: true, force: true });
  const rare = `change ${Math.floor(commits / 1051) - 1}`;
  measure('the first search, which indexes all of it', ['search', LABEL, rare, '--first'], 1);
  const [indexed, stored] = [sizeOf(index), sizeOf(context.home.repositoryDir(open.repository.id))];
  process.stdout.write(
    `index ${(indexed / 2 ** 20).toFixed(1)} MiB, ${(indexed / commits).toFixed(0)} bytes a commit, ${((100 * indexed) / stored).toFixed(1)} % of the repository\n`,
  );
  measure('a word that came once and stays', ['search', LABEL, 'what is known of 19', '--first']);
  measure('a word of one day', ['search', LABEL, rare, '--first']);
  measure('a word that is nowhere', ['search', LABEL, 'no such phrase']);
  measure('a word of every day, first answer', ['search', LABEL, 'talk talk talk', '--first']);
  measure('a word of every day, 100 spans', ['search', LABEL, 'talk talk talk', '-n', '100']);
  measure('blame of a file that changes often', ['blame', LABEL, 'HEAD:workspace/memory/7.md', '--no-turns']);
  await measureFirst(rare);
  await measureFirst('talk talk');
} finally {
  if (values.dir === undefined) rmSync(dir, { recursive: true, force: true });
}
