// `npm run campaign`: looks for data that gets lost. Every fault is from a seed, which is printed: the same seed finds it again.
//
//     npm run campaign                              all of it
//     npm run campaign -- --share 0.1               a tenth, as CI does
//     npm run campaign -- --seed 7 faults kills     these, from this seed

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatDuration, formatTable } from '../src/cli/text.ts';
import { type Campaign, Tally } from './campaign/campaign.ts';

const CAMPAIGNS: Readonly<Record<string, () => Promise<{ campaign: Campaign }>>> = {
  faults: () => import('./campaign/faults.ts'),
  'in-place': () => import('./campaign/in-place.ts'),
  kills: () => import('./campaign/kills.ts'),
  writers: () => import('./campaign/writers.ts'),
  places: () => import('./campaign/places.ts'),
  awkward: () => import('./campaign/awkward.ts'),
  remotes: () => import('./campaign/remotes.ts'),
  prune: () => import('./campaign/prune.ts'),
  agents: () => import('./campaign/agents.ts'),
};

const { values, positionals } = parseArgs({
  options: { seed: { type: 'string' }, share: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const share = Number(values.share);
if (!(share > 0 && share <= 1)) throw new Error(`--share takes a number from 0 to 1, not ${values.share}`);
const seed = values.seed ?? randomBytes(4).toString('hex');
const names = positionals.length === 0 ? Object.keys(CAMPAIGNS) : positionals;
console.log(`seed ${seed}, share ${share}: ${names.join(', ')}`);

// An edit since the last build must show.
await import('./build.ts');
const base = realpathSync(mkdtempSync(join(tmpdir(), 'molt-campaign-')));
const rows: string[][] = [];
let failures = 0;
try {
  for (const name of names) await runCampaign(name);
} finally {
  rmSync(base, { recursive: true, force: true });
}
console.log(`\n${[...formatTable(rows)].join('\n')}`);
console.log(`\nseed ${seed}: ${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;

async function runCampaign(name: string): Promise<void> {
  const load = CAMPAIGNS[name];
  if (load === undefined)
    throw new Error(`there is no campaign ${name}; there are ${Object.keys(CAMPAIGNS).join(', ')}`);
  const startedMs = performance.now();
  const tally = new Tally();
  const dir = join(base, name);
  mkdirSync(dir);
  const { campaign } = await load();
  await campaign({ seed, share, base: dir }, tally).catch((error: unknown) => tally.fail(name, error));
  failures += tally.failures.length;
  rows.push([name, formatDuration(performance.now() - startedMs), `${tally.failures.length} failures`]);
  rows.push(...tally.figures.map(({ what, count }) => ['', String(count), what]));
  rows.push(...tally.skipped.map((what) => ['', 'skipped', what]));
}
