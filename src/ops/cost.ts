// What an agent's backups cost a month, by what its history says it does: how much each commit and each full backup stored. It asks no
// remote: what lies there is what was pushed from here.

import type { CommitEntry } from '../format/commit-rows.ts';
import type { RunEntry } from '../model/run-entry.ts';
import { parseSegmentName, parseSegmentRecord, segmentName } from '../format/segment.ts';
import type { Repository } from '../repo/repository.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { estimateMonth, restoreCost, type Load, type MonthlyCost, type Prices, type Saving } from '../policy/cost.ts';
import { countMonth, type CountedMonth } from '../policy/counted-cost.ts';
import { parsePrices } from '../policy/prices.ts';
import { judgeQuota, type Quota } from '../policy/quota.ts';
import { parseScheduleRetention, type RetentionRules } from '../policy/retention-rules.ts';
import { readConfigMember } from './config.ts';
import type { OpsContext } from './context.ts';
import { openAgent } from './open.ts';
import { listRemotes } from './remotes.ts';
import { EVERY_MS, loadSchedule } from './schedule.ts';

export type { CountedMonth, Quota };

const DAY_MS = 86_400_000;
const PRICES_HINT = '{"prices": {"storageGbMonth": 0.023, "egressGb": 0.09, "put": 0.005, "get": 0.0004}}';
/** How far back a load is measured, at most. */
const MEASURED_DAYS = 30;
/** What was counted for less long tells little of a day. */
const LEAST_COUNTED_DAYS = 3;
/** As many of the newest full backups are looked at. */
const FULLS_READ = 8;

/** What to compute. What is left out is as it is. */
export interface CostOptions {
  readonly everyMs?: number | undefined;
  /** A span or plan as schedules have it. */
  readonly retention?: string | undefined;
  readonly copies?: number | undefined;
  readonly lockDays?: number | undefined;
  /** What the backup log has of the agent's last month. */
  readonly runs?: readonly RunEntry[] | undefined;
}

/** A way of saving and what it costs. */
export interface CostCase {
  /** What is other than it is now; empty for what is. */
  readonly change: string;
  readonly everyMs: number;
  /** As schedules have it; undefined if nothing expires. */
  readonly retention: string | undefined;
  readonly copies: number;
  readonly lockDays: number;
  readonly month: MonthlyCost;
}

/** What came of it. */
export interface AgentCost {
  readonly agent: string;
  readonly prices: Prices;
  /** What was measured, and over how many days. */
  readonly load: Load;
  readonly measuredDays: number;
  readonly remotes: readonly string[];
  /** Full, manual and safety backups that have their content. */
  readonly backups: number;
  readonly now: CostCase;
  /** As the options want it; undefined if they change nothing. */
  readonly wanted: CostCase | undefined;
  readonly others: readonly CostCase[];
  /** What one restore of everything downloads, and costs. */
  readonly restore: { readonly bytes: number; readonly cost: number };
  /** What the backup log counted. */
  readonly counted: CountedMonth;
  /** Where the plan Free keeps it, or would. */
  readonly quota: Quota | undefined;
}

/**
 * Estimates what an agent's backups cost a month.
 * @throws {MoltError} USAGE when the retention is none or the prices in config.json are wrong, and what opening throws
 */
export async function estimateCost(
  context: OpsContext,
  label: string | undefined,
  options: CostOptions,
): Promise<AgentCost> {
  await using open = await openAgent(context, label);
  const { agent, repository } = open;
  const schedule = await loadSchedule(context.home, agent.label);
  const remotes = await listRemotes(context.home, agent.repository);
  const commits = await repository.index.listCommits();
  const everyMs = schedule?.everyMs ?? EVERY_MS;
  const nowMs = context.clock.now();
  const { value, place } = await readConfigMember(context.home.dir, 'prices', PRICES_HINT);
  const prices = parsePrices(value, place);
  const counted = countMonth(options.runs ?? [], prices, nowMs);
  const { load: measured, measuredDays } = await measureLoad(repository, commits, everyMs, nowMs);
  const load = { ...measured, counted: countedADay(counted, remotes.length) };
  const present = {
    everyMs,
    retention: schedule?.retention,
    copies: Math.max(1, remotes.length),
    lockDays: Math.max(0, ...remotes.map(({ lock }) => lock?.days ?? 0)),
  };
  const costOf = (change: string, way: typeof present): CostCase => {
    const saving: Saving = { ...way, rules: rulesOf(way.retention) };
    const month = estimateMonth(load, saving, prices, { ...present, rules: rulesOf(present.retention) });
    return { change, ...way, month };
  };
  const wanted = {
    everyMs: options.everyMs ?? present.everyMs,
    retention: options.retention ?? present.retention,
    copies: options.copies ?? present.copies,
    lockDays: options.lockDays ?? present.lockDays,
  };
  const isOther = JSON.stringify(wanted) !== JSON.stringify(present);
  const backups = commits.filter(({ kind, isExpired }) => kind !== 'incremental' && !isExpired).length;
  const [now, other] = [costOf('', present), isOther ? costOf('as wanted', wanted) : undefined];
  const { month, retention, copies } = other ?? now;
  return {
    agent: agent.label,
    prices,
    load,
    measuredDays,
    remotes: remotes.map(({ name }) => name),
    backups,
    now,
    wanted: other,
    others: listOthers(present).map(([change, way]) => costOf(change, { ...present, ...way })),
    restore: restoreCost(load, prices),
    counted,
    quota: retention === 'free' ? judgeQuota(load.storedBytes, month.storedBytes / copies, backups) : undefined,
  };
}

/** Returns what a day takes of one remote as it was counted; undefined where that is too little to go by. */
function countedADay(counted: CountedMonth, remotes: number): Load['counted'] {
  if (counted.days < LEAST_COUNTED_DAYS || remotes === 0) return undefined;
  const { requests, receivedBytes } = counted;
  const share = 1 / (counted.days * remotes);
  const { put, get, list, head, delete: gone } = requests;
  const daily = { put: put * share, get: get * share, list: list * share, head: head * share, delete: gone * share };
  return { requests: daily, egressBytes: receivedBytes * share };
}

function rulesOf(retention: string | undefined): RetentionRules | undefined {
  return retention === undefined ? undefined : parseScheduleRetention(retention);
}

type Way = Pick<CostCase, 'everyMs' | 'retention' | 'copies' | 'lockDays'>;

/** Lists what else there is to choose from. */
function listOthers(present: Way): [string, Partial<Way>][] {
  const all: [string, Partial<Way>][] = [
    ['committed every 15m', { everyMs: 900_000 }],
    ['committed every 1h', { everyMs: 3_600_000 }],
    ['kept by the plan free', { retention: 'free' }],
    ['kept by the plan pro', { retention: 'pro' }],
    ['kept by the plan enterprise', { retention: 'enterprise' }],
    ['one copy', { copies: 1 }],
    ['three copies', { copies: 3 }],
    ['locked for 90 days', { lockDays: 90 }],
  ];
  return all.filter(([, way]) => Object.entries(way).some(([key, value]) => present[key as keyof Way] !== value));
}

/** Measures what an agent does to its storage. */
async function measureLoad(
  repository: Repository,
  commits: readonly CommitEntry[],
  everyMs: number,
  nowMs: number,
): Promise<{ load: Load; measuredDays: number }> {
  const sizes = await measureStorage(repository);
  const [first] = commits;
  const sinceMs = Math.max(first?.timeMs ?? nowMs, nowMs - MEASURED_DAYS * DAY_MS);
  // What was made within a few minutes says nothing about days.
  const measuredDays = Math.max((nowMs - sinceMs) / DAY_MS, 1 / 24);
  const lately = commits.filter(({ id, timeMs }) => id !== first?.id && timeMs > sinceMs && timeMs <= nowMs);
  const ticks = lately.filter(({ kind }) => kind === 'incremental');
  const tickBytes = mean(ticks.flatMap(({ seq }) => sizes.segments.get(seq) ?? []));
  const fulls = lately.filter(({ kind, isExpired }) => kind === 'full' && !isExpired);
  const ticksADay = ticks.length / measuredDays;
  const added = await Promise.all(fulls.slice(-FULLS_READ).map(async ({ seq }) => readFull(repository, seq)));
  const found = added.filter((bytes) => bytes !== undefined);
  // Before the second full there is nothing to go by but what changes in a day.
  const fullBytes = found.length > 0 ? mean(found) : Math.min(ticksADay * tickBytes, sizes.packs);
  const whole = commits.filter(({ kind, isExpired }) => kind === 'full' && !isExpired).length;
  return {
    load: {
      ticksADay,
      tickBytes,
      fullsADay:
        fulls.length > 0 && measuredDays >= 2 ? lately.filter(({ kind }) => kind === 'full').length / measuredDays : 1,
      fullBytes,
      wholeBytes: Math.max(sizes.packs - Math.max(0, whole - 1) * fullBytes, Math.min(fullBytes, sizes.packs)),
      otherBytes: sizes.other,
      storedBytes: sizes.all,
      everyMs,
    },
    measuredDays,
  };
}

/** What a storage holds. */
interface StorageSizes {
  /** By number. */
  readonly segments: ReadonlyMap<number, number>;
  /** Packs that count, without those of lines of what expired. */
  readonly packs: number;
  readonly other: number;
  readonly all: number;
}

async function measureStorage({ storage, log }: Repository): Promise<StorageSizes> {
  const segments = new Map<number, number>();
  const [history, swept] = [new Set<string>(log.begin.history), new Set<string>(log.begin.swept)];
  let [packs, other, all] = [0, 0, 0];
  for await (const { name, sizeBytes } of storage.list('')) {
    all += sizeBytes;
    const seq = parseSegmentName(name);
    const pack = name.startsWith('packs/') ? name.slice(name.lastIndexOf('/') + 1) : undefined;
    if (seq !== undefined) segments.set(seq, sizeBytes);
    else if (pack === undefined || history.has(pack)) other += sizeBytes;
    else if (!swept.has(pack)) packs += sizeBytes;
  }
  return { segments, packs, other, all };
}

/** Returns what a full backup added: its segment and its packs; undefined if it can't be read. */
async function readFull(repository: Repository, seq: number): Promise<number | undefined> {
  if (seq <= repository.log.begin.seq) return undefined;
  const name = segmentName(seq);
  const stat = await repository.storage.stat(name);
  const footer = await unlessDamaged(repository.containers.readFooter({ seq: seq as CommitEntry['seq'] }));
  if (stat === undefined || footer === undefined) return undefined;
  const { packs } = parseSegmentRecord(footer.record, name);
  return packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, stat.sizeBytes);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
