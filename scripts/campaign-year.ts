// `npm run campaign:year`: a year of an agent that is saved every five minutes, pushed, backed up in full and pruned daily by the Pro
// plan, on simulated time. Prints a row a month: from the second one on nothing may grow but the lines of what expired.
//
//     npm run campaign:year                           105,120 commits; hours
//     npm run campaign:year -- --days 90 --ticks 24   a quarter of a year of hourly commits
//     npm run campaign:year -- --far s3               its remote is a real Ceph, which is started; else a folder
//     npm run campaign:year -- --json FILE            each day's figures as well, a line of JSON each

import { appendFileSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/text.ts';
import { startCluster, type Cluster } from '../test/ceph/cluster.ts';
import { estimateCost } from '../src/ops/cost.ts';
import { MONTH_DAYS as COST_DAYS, type MonthlyCost } from '../src/policy/cost.ts';
import { Simulation, type Day, type Took, type Work } from './year/simulate.ts';
import { S3Time } from './year/s3-time.ts';
import type { StoreSize, StoreSizes } from './year/store.ts';

const MONTH_DAYS = 30;
/** A line of what expired in an index run: its object's row and its commit's (FORMAT.md, "Index runs"). */
const LINE_ROWS_BYTES = 13 + 40;

const { values } = parseArgs({
  options: {
    days: { type: 'string', default: '365' },
    ticks: { type: 'string', default: '288' },
    seed: { type: 'string', default: '1' },
    far: { type: 'string', default: 'folder' },
    json: { type: 'string' },
  },
});
const [days, ticksADay] = [Number(values.days), Number(values.ticks)];
const within = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const dir = realpathSync(mkdtempSync(join(within, 'molt-year-')));
const rows: string[][] = [headings()];
let cluster: Cluster | undefined;
try {
  const { seed, far: where } = values;
  if (where === 's3') {
    cluster = await startCluster();
    await cluster.makeBucket('year');
  }
  using far = cluster && (await S3Time.start(cluster.placeIn('year')));
  const simulation = await Simulation.begin({ dir, seed, ticksADay, retention: 'pro', ...(far && { far }) });
  console.log(`seed ${seed}: ${days} days of ${ticksADay} commits`);
  let month: Day[] = [];
  let estimated: MonthlyCost | undefined;
  for (let day = 1; day <= days; day += 1) {
    const lived = await simulation.live();
    month.push(lived);
    if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify(lineOf(day, lived))}\n`);
    if (day % MONTH_DAYS !== 0 && day !== days) continue;
    const row = [...rowOf(Math.ceil(day / MONTH_DAYS), month), ...judge(estimated, month)];
    estimated = (await estimateCost(simulation.context, 'year', {})).now.month;
    rows.push(row);
    console.log(row.join('  '));
    month = [];
  }
  simulation.close();
  rmSync(dir, { recursive: true, force: true });
} catch (error) {
  console.log(`broke off; what was there is left in ${dir}`);
  console.error(error);
  process.exitCode = 1;
} finally {
  await cluster?.stop();
}
console.log(`\n${[...formatTable(rows)].join('\n')}`);

function headings(): string[] {
  const sizes = ['kept', 'expired', 'B/line', 'here MB', '-lines', 'objects', 'far MB', 'objects', 'runs', 'refs'];
  const times = ['tick kB', 'full kB', 'commit', 'full', 'push', 'list', 'log', 'restore', 'prune', 'prune MB'];
  const traffic = ['push req/day', 'prune req/day', 'got MB/day'];
  return ['month', ...sizes, ...times, ...traffic, 'est. stored', 'est. puts'];
}

/** Sizes and counts are those of the month's last day, times and bytes medians: milliseconds, by the clock and of the processor. */
function rowOf(number: number, month: readonly Day[]): string[] {
  const last = month.at(-1);
  if (last === undefined) throw new Error('a month without days');
  const { kept, expired, historyBytes } = last;
  const lineBytes = expired === 0 ? 0 : historyBytes / expired + LINE_ROWS_BYTES;
  const [here, far] = [total(last.here), total(last.far)];
  const times = (['commit', 'full', 'push', 'list', 'log', 'restore', 'prune'] as const).map((work) =>
    timesOf(month, work),
  );
  return [
    String(number),
    String(kept),
    String(expired),
    lineBytes.toFixed(0),
    megabytes(here.sizeBytes),
    megabytes(here.sizeBytes - expired * lineBytes),
    String(here.objects),
    megabytes(far.sizeBytes),
    String(far.objects),
    String(last.runs),
    String(last.refs),
    (median(month.flatMap(({ tickBytes }) => tickBytes)) / 1000).toFixed(1),
    (median(month.map(({ fullBytes }) => fullBytes)) / 1000).toFixed(0),
    ...times,
    megabytes(Math.max(...month.map(({ pruneMemoryBytes }) => pruneMemoryBytes))),
    requestsOf(month, ({ pushRequests }) => pushRequests),
    requestsOf(month, ({ pruneRequests }) => pruneRequests),
    megabytes(median(month.map(({ pruneBytes }) => pruneBytes.received))),
  ];
}

/** What `cost` estimated of a month when it began, as a share of what the remote then held on average, and of the puts it took. */
function judge(estimated: MonthlyCost | undefined, month: readonly Day[]): string[] {
  if (estimated === undefined) return ['-', '-'];
  const mean = (of: (day: Day) => number): number => month.reduce((sum, day) => sum + of(day), 0) / month.length;
  const stored = mean(({ far, farPeak }) => (total(far).sizeBytes + total(farPeak).sizeBytes) / 2);
  const puts = COST_DAYS * mean(({ pushRequests, pruneRequests }) => pushRequests.put + pruneRequests.put);
  return [(estimated.storedBytes / stored).toFixed(2), (estimated.requests.put / puts).toFixed(2)];
}

function timesOf(month: readonly Day[], work: Work): string {
  const all = month.flatMap(({ took }) => took.get(work) ?? []);
  const of = (which: keyof Took): string => median(all.map((one) => one[which])).toFixed(0);
  return all.length === 0 ? '-' : `${of('wallMs')}/${of('cpuMs')}`;
}

/** Puts, gets, lists, heads and deletes of a day, medians. */
function requestsOf(month: readonly Day[], of: (day: Day) => Readonly<Record<string, number>>): string {
  const kinds = ['put', 'get', 'list', 'head', 'delete'];
  return kinds.map((kind) => median(month.map((day) => of(day)[kind] ?? 0))).join('/');
}

function lineOf(day: number, lived: Day): object {
  const { took, here, far, farPeak: _, tickBytes, ...rest } = lived;
  const times = Object.fromEntries(
    [...took].map(([work, all]) => [
      work,
      { wallMs: median(all.map((one) => one.wallMs)), cpuMs: median(all.map((one) => one.cpuMs)) },
    ]),
  );
  const sizes = { here: Object.fromEntries(here), far: Object.fromEntries(far) };
  return { day, ...rest, tickBytes: median(tickBytes), times, ...sizes };
}

function total(sizes: StoreSizes): StoreSize {
  let sum = { objects: 0, sizeBytes: 0 };
  for (const { objects, sizeBytes } of sizes.values())
    sum = { objects: sum.objects + objects, sizeBytes: sum.sizeBytes + sizeBytes };
  return sum;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
