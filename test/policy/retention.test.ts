// Which backups are kept: single cases with their reasons, and random histories against a slow model that follows the words of the rules.

import test from 'ava';
import fc from 'fast-check';
import { DateTime } from 'luxon';
import { isMoltError } from '../../src/model/error.ts';
import type { CommitId } from '../../src/model/ids.ts';
import { Calendar } from '../../src/policy/calendar.ts';
import { decideRetention, type RetentionCommit } from '../../src/policy/retention.ts';
import {
  parseRetention,
  parseScheduleRetention,
  PLANS,
  type RetentionRules,
  type RetentionWords,
} from '../../src/policy/retention-rules.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOW = Date.parse('2026-03-31T12:00:00Z');
const UTC = { nowMs: NOW, zone: 'UTC' };

function idOf(number: number): CommitId {
  return number.toString(16).padStart(40, '0') as CommitId;
}

/** Makes a commit; `number` is its id, and it follows `number - 1` unless something else is said. */
function commit(number: number, time: string | number, more: Partial<RetentionCommit> = {}): RetentionCommit {
  return {
    id: idOf(number),
    timeMs: typeof time === 'number' ? time : Date.parse(time),
    kind: 'incremental',
    parents: number > 1 ? [idOf(number - 1)] : [],
    tags: [],
    isHeld: false,
    isTip: false,
    isUnpushed: false,
    ...more,
  };
}

/** One full a day at noon and two incrementals after it, the last of them a tip. */
function dailyFulls(days: number): RetentionCommit[] {
  return Array.from({ length: days * 3 }, (_, at) =>
    commit(at + 1, NOW - (days - 1 - Math.floor(at / 3)) * DAY_MS + ((at % 3) * HOUR_MS) / 10 - HOUR_MS, {
      kind: at % 3 === 0 ? 'full' : 'incremental',
      isTip: at === days * 3 - 1,
    }),
  );
}

function keptNumbers(commits: readonly RetentionCommit[], rules: RetentionRules, options = UTC): number[] {
  return decideRetention(commits, rules, options)
    .filter(({ isKept }) => isKept)
    .map(({ id }) => Number.parseInt(id, 16));
}

test('a plan keeps the newest fulls within the days, each with its incrementals', (t) => {
  const commits = dailyFulls(40);
  t.deepEqual(keptNumbers(commits, { plan: PLANS.free }), [112, 113, 114, 115, 116, 117, 118, 119, 120]);
  t.is(keptNumbers(commits, { plan: PLANS.pro }).length, 90);
  t.is(keptNumbers(commits, { plan: PLANS.enterprise }).length, 120);
  const [first, second] = decideRetention(commits, { plan: PLANS.pro }, UTC);
  t.deepEqual(first, {
    id: idOf(1),
    isKept: false,
    reasons: ['it is older than 30 days', 'it is not among the newest 30 full backups'],
  });
  t.deepEqual(second?.reasons, ['it belongs to the full backup of 2026-02-20T11:00:00Z, which the plan does not keep']);
  const newest = decideRetention(commits, { plan: PLANS.free, daily: 2 }, UTC);
  t.deepEqual(newest.at(-3)?.reasons, [
    'it is the newest full backup',
    'it is within 7 days and among the newest 3 full backups',
  ]);
  t.deepEqual(newest.at(-1)?.reasons, [
    'it is the newest of a branch',
    'it belongs to the full backup of 2026-03-31T11:00:00Z',
    'it is the last of its day (keep-daily)',
  ]);
  t.deepEqual(newest.at(0)?.reasons.at(-1), 'no keep rule names it');
});

test('manual and safety backups stay by the days alone, however many fulls there are', (t) => {
  const commits = [
    commit(1, NOW - 8 * DAY_MS, { kind: 'manual' }),
    commit(2, NOW - 7 * DAY_MS, { kind: 'manual' }),
    commit(3, NOW - 6 * DAY_MS, { kind: 'safety' }),
    ...[5, 4, 3, 2, 1].map((days, at) => commit(4 + at, NOW - days * DAY_MS, { kind: 'full' })),
  ];
  t.deepEqual(keptNumbers(commits, { plan: PLANS.free }), [2, 3, 6, 7, 8]);
  t.deepEqual(decideRetention(commits, { plan: PLANS.free }, UTC)[2]?.reasons, ['it is a safety backup within 7 days']);
});

test('what must not go stays whatever the rules are, and says why', (t) => {
  const old = NOW - 400 * DAY_MS;
  const commits = [
    commit(1, old, { kind: 'full' }),
    commit(2, old, { isHeld: true }),
    commit(3, old, { tags: ['before-upgrade', 'v2'] }),
    commit(4, old, { isUnpushed: true }),
    commit(5, old, { lockedUntilMs: NOW + DAY_MS }),
    commit(6, old, { lockedUntilMs: NOW }),
    commit(7, old, { kind: 'full' }),
    commit(8, old, { isTip: true }),
    commit(9, old),
  ];
  const decisions = decideRetention(commits, { plan: PLANS.pro, last: 1 }, UTC);
  t.deepEqual(
    decisions.flatMap(({ isKept, reasons }) => (isKept ? reasons : [])),
    [
      'it is held',
      'it is tagged before-upgrade, v2',
      'it is not pushed yet',
      'it is locked until 2026-04-01T12:00:00Z',
      'it is the newest full backup',
      'it is the newest of a branch',
      'it is one of the last 1 (keep-last)',
    ],
  );
});

test('the incrementals since the newest full stay by their days when that full is long past them', (t) => {
  const commits = [
    commit(1, NOW - 90 * DAY_MS, { kind: 'full' }),
    commit(2, NOW - 60 * DAY_MS),
    commit(3, NOW - 2 * DAY_MS),
    commit(4, NOW - DAY_MS),
  ];
  t.deepEqual(keptNumbers(commits, { plan: PLANS.free }), [1, 3, 4]);
});

test('an incremental whose full is gone already stays by its days', (t) => {
  const commits = [commit(5, NOW - 9 * DAY_MS), commit(6, NOW - 2 * DAY_MS), commit(7, NOW - DAY_MS, { kind: 'full' })];
  t.deepEqual(keptNumbers(commits, { plan: PLANS.free }), [6, 7]);
});

test('on several branches an incremental belongs to the full of its own line, after a merge to the newer one', (t) => {
  const commits = [
    commit(1, '2026-03-20T00:00:00Z', { kind: 'full' }),
    commit(2, '2026-03-21T00:00:00Z', { kind: 'full' }),
    // Another line, from the first full on, made later by the clock than the second full.
    commit(3, '2026-03-29T00:00:00Z', { parents: [idOf(1)] }),
    commit(4, '2026-03-29T01:00:00Z', { parents: [idOf(2)] }),
    commit(5, '2026-03-29T02:00:00Z', { parents: [idOf(3), idOf(4)] }),
  ];
  t.deepEqual(keptNumbers(commits, { plan: { days: 30, fulls: 1 } }), [2, 4, 5]);
});

test('backups of the future stay until their time, and take no place of another one', (t) => {
  const commits = [
    commit(1, NOW - 3 * DAY_MS, { kind: 'full' }),
    commit(2, NOW - 2 * DAY_MS, { kind: 'full' }),
    commit(3, NOW + 900 * DAY_MS, { kind: 'full' }),
    // The clock was put right.
    commit(4, NOW - DAY_MS),
    commit(5, NOW - HOUR_MS),
  ];
  t.deepEqual(keptNumbers(commits, { plan: { days: 30, fulls: 1 } }), [2, 3, 4, 5]);
  t.deepEqual(keptNumbers(commits, { last: 1 }), [2, 3, 5]);
  t.deepEqual(keptNumbers(commits, { withinMs: HOUR_MS }), [2, 3, 5]);
  t.deepEqual(keptNumbers(commits, { yearly: 1 }), [2, 3, 5]);
});

test('with a clock set back before all backups nothing goes', (t) => {
  t.is(keptNumbers(dailyFulls(40), { plan: PLANS.free, last: 1 }, { nowMs: 0, zone: 'UTC' }).length, 120);
});

test('of several commits of one time the last in history is the newest', (t) => {
  const time = '2026-03-01T00:00:00Z';
  const commits = [commit(1, time), commit(2, time), commit(3, time, { parents: [idOf(4)] }), commit(4, time)];
  // 3 follows 4 follows nothing of the list but 3: a ring, which Git can't make; it must not hang.
  t.is(keptNumbers(commits, { last: 1 }).length, 1);
  const line = [
    commit(9, time, { parents: [] }),
    commit(3, time, { parents: [idOf(9)] }),
    commit(5, time, { parents: [idOf(3)] }),
  ];
  t.deepEqual(keptNumbers(line, { last: 1 }), [5]);
  t.deepEqual(keptNumbers(line.toReversed(), { last: 2 }), [5, 3]);
});

test('keep-within counts back from the newest backup, so that a long pause drops nothing', (t) => {
  const commits = [
    commit(1, '2026-01-01T00:00:00Z'),
    commit(2, '2026-01-03T00:00:00Z'),
    commit(3, '2026-01-10T00:00:00Z'),
  ];
  t.deepEqual(keptNumbers(commits, { withinMs: 7 * DAY_MS }), [2, 3]);
});

test('days, weeks, months and years are those of the zone', (t) => {
  const commits = [
    commit(1, '2025-12-31T16:30:00Z'),
    // In Jakarta the year, the month and the day are new already; the week is the same.
    commit(2, '2025-12-31T17:30:00Z'),
    commit(3, '2026-01-04T16:30:00Z'),
    // A Monday in Jakarta.
    commit(4, '2026-01-04T17:30:00Z'),
  ];
  const jakarta = { nowMs: NOW, zone: 'Asia/Jakarta' };
  for (const rule of ['yearly', 'monthly'] as const) {
    t.deepEqual(keptNumbers(commits, { [rule]: 5 }, jakarta), [1, 4], rule);
  }
  t.deepEqual(keptNumbers(commits, { weekly: 5 }, jakarta), [3, 4]);
  t.deepEqual(keptNumbers(commits, { daily: 5 }, jakarta), [1, 2, 3, 4]);
  t.deepEqual(keptNumbers(commits, { daily: 5 }), [2, 4]);
  t.deepEqual(keptNumbers(commits, { daily: 2 }, { nowMs: NOW, zone: '+07:00' }), [3, 4]);
});

test('an hour that daylight saving makes happen twice is two hours', (t) => {
  const commits = [
    commit(1, '2025-10-26T00:10:00Z'),
    commit(2, '2025-10-26T00:50:00Z'),
    commit(3, '2025-10-26T01:10:00Z'),
    commit(4, '2025-10-26T02:10:00Z'),
  ];
  t.deepEqual(keptNumbers(commits, { hourly: 9 }, { nowMs: NOW, zone: 'Europe/Berlin' }), [2, 3, 4]);
});

test('clocks set back over midnight make no third day', (t) => {
  // Newfoundland set its clocks back at 00:01 until 2011.
  const commits = [
    commit(1, '2010-11-07T02:29:00Z'),
    commit(2, '2010-11-07T02:30:30Z'),
    commit(3, '2010-11-07T02:40:00Z'),
    commit(4, '2010-11-07T03:40:00Z'),
  ];
  t.deepEqual(keptNumbers(commits, { daily: 9 }, { nowMs: NOW, zone: 'America/St_Johns' }), [3, 4]);
});

test('no rule keeps everything', (t) => {
  const [decision] = decideRetention([commit(1, 0), commit(2, 1)], {}, UTC);
  t.deepEqual(decision, { id: idOf(1), isKept: true, reasons: ['there is no rule by which it could go'] });
  t.deepEqual(decideRetention([], { last: 1 }, UTC), []);
});

test('times that no calendar has are no crash', (t) => {
  const times = [Number.NaN, Infinity, -Infinity, 9e15, -9e15, Number.MAX_VALUE];
  const commits = times.map((time, at) => commit(at + 1, time, { kind: 'full', lockedUntilMs: time }));
  const rules = { plan: PLANS.free, last: 1, withinMs: 1, hourly: 9, daily: 9, weekly: 9, monthly: 9, yearly: 9 };
  for (const zone of ['UTC', 'Asia/Jakarta', '-12:00'])
    t.is(decideRetention(commits, rules, { nowMs: NOW, zone }).length, times.length);
});

// --- random histories ---

const ZONES = ['UTC', 'Asia/Jakarta', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', '+05:45'] as const;

const histories = fc
  .array(
    fc.record({
      // Few hours, so that times and buckets coincide; some of the future.
      step: fc.oneof(fc.nat(4), fc.integer({ min: -30, max: 200 })),
      kind: fc.constantFrom('full', 'incremental', 'incremental', 'manual', 'safety'),
      back: fc.array(fc.nat(4), { maxLength: 2 }),
      tags: fc.constantFrom([], [], [], [], ['mine']),
      isHeld: fc.constantFrom(false, false, false, true),
      isTip: fc.constantFrom(false, false, false, true),
      isUnpushed: fc.constantFrom(false, false, false, true),
      lockedFor: fc.constantFrom(undefined, undefined, -1, 1),
    }),
    { maxLength: 40 },
  )
  .map((steps) => {
    let hours = 0;
    return steps.map(({ step, back, lockedFor, kind, ...more }, at): RetentionCommit => {
      hours += step;
      return commit(at + 1, NOW - 60 * DAY_MS + hours * HOUR_MS, {
        ...more,
        kind,
        parents: [...new Set(back.map((by) => idOf(at - by)))],
        lockedUntilMs: lockedFor === undefined ? undefined : NOW + lockedFor,
      });
    });
  });

const count = fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined });
const ruleSets: fc.Arbitrary<RetentionRules> = fc.record({
  plan: fc.option(fc.record({ days: fc.integer({ min: 1, max: 50 }), fulls: fc.constantFrom(1, 2, 3, Infinity) }), {
    nil: undefined,
  }),
  last: count,
  withinMs: fc.option(
    fc.integer({ min: 1, max: 500 }).map((hours) => hours * HOUR_MS),
    { nil: undefined },
  ),
  hourly: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
});

function isEmpty(rules: RetentionRules): boolean {
  return Object.values(rules).every((rule) => rule === undefined);
}

/** What is kept, worked out from the words of the rules, by asking each commit about all others. */
function keptByWords(commits: readonly RetentionCommit[], rules: RetentionRules, zone: string): number[] {
  const depthOf = (one: RetentionCommit): number => Math.max(0, ...parentsOf(one).map((parent) => depthOf(parent) + 1));
  const parentsOf = (one: RetentionCommit): RetentionCommit[] => commits.filter(({ id }) => one.parents.includes(id));
  const isNewer = (a: RetentionCommit, b: RetentionCommit): boolean =>
    a.timeMs !== b.timeMs ? a.timeMs > b.timeMs : depthOf(a) !== depthOf(b) ? depthOf(a) > depthOf(b) : a.id > b.id;
  const past = commits.filter(({ timeMs }) => timeMs <= NOW);
  const newerThan = (one: RetentionCommit, among: readonly RetentionCommit[]): number =>
    among.filter((other) => isNewer(other, one)).length;
  const fulls = past.filter(({ kind }) => kind === 'full');
  const fullOf = (one: RetentionCommit): RetentionCommit | undefined => {
    if (one.kind === 'full') return one;
    const candidates = parentsOf(one).flatMap((parent) => fullOf(parent) ?? []);
    return candidates.find((full) => candidates.every((other) => !isNewer(other, full)));
  };
  const inZone = (ms: number): DateTime =>
    DateTime.fromMillis(ms, { zone: zone.startsWith('+') ? `UTC${zone}` : zone });
  const { plan, last, withinMs } = rules;
  const isWithinDays = (one: RetentionCommit): boolean => plan !== undefined && one.timeMs >= NOW - plan.days * DAY_MS;
  const isPlannedFull = (one: RetentionCommit): boolean =>
    plan !== undefined && isWithinDays(one) && newerThan(one, fulls) < plan.fulls;
  const isNewestFull = (one: RetentionCommit): boolean => one.kind === 'full' && newerThan(one, fulls) === 0;
  const names = {
    hourly: (ms: number) => inZone(ms).toFormat("yyyy-LL-dd'T'HHZZ"),
    daily: (ms: number) => inZone(ms).toFormat('yyyy-LL-dd'),
    weekly: (ms: number) => inZone(ms).toFormat("kkkk-'W'WW"),
    monthly: (ms: number) => inZone(ms).toFormat('yyyy-LL'),
    yearly: (ms: number) => inZone(ms).toFormat('yyyy'),
  };
  const isLastOf = (one: RetentionCommit, rule: keyof typeof names): boolean => {
    const name = names[rule](one.timeMs);
    const newer = past.filter((other) => isNewer(other, one)).map(({ timeMs }) => names[rule](timeMs));
    return !newer.includes(name) && new Set(newer).size < (rules[rule] ?? 0);
  };
  const isKept = (one: RetentionCommit): boolean => {
    if (isEmpty(rules) || one.timeMs > NOW) return true;
    if (one.isTip || one.isHeld || one.isUnpushed || one.tags.length > 0 || (one.lockedUntilMs ?? 0) > NOW) return true;
    if (isNewestFull(one)) return true;
    if (plan !== undefined) {
      const full = fullOf(one);
      if (one.kind === 'full' && isPlannedFull(one)) return true;
      if ((one.kind === 'manual' || one.kind === 'safety') && isWithinDays(one)) return true;
      const hasFull = full === undefined || full.timeMs > NOW || isPlannedFull(full) || isNewestFull(full);
      if (one.kind === 'incremental' && isWithinDays(one) && hasFull) return true;
    }
    if (last !== undefined && newerThan(one, past) < last) return true;
    if (withinMs !== undefined && past.every(({ timeMs }) => timeMs - one.timeMs <= withinMs)) return true;
    return Object.keys(names).some((rule) => isLastOf(one, rule as keyof typeof names));
  };
  return commits.filter(isKept).map(({ id }) => Number.parseInt(id, 16));
}

test('random histories are decided as the words of the rules say', (t) => {
  fc.assert(
    fc.property(histories, ruleSets, fc.constantFrom(...ZONES), (commits, rules, zone) => {
      t.deepEqual(keptNumbers(commits, rules, { nowMs: NOW, zone }), keptByWords(commits, rules, zone));
    }),
    { numRuns: 300 },
  );
});

test('another rule never drops anything, several rules keep what each of them keeps, and the order of the list means nothing', (t) => {
  fc.assert(
    fc.property(histories, ruleSets, ruleSets, (commits, some, others) => {
      fc.pre(!isEmpty(some) && !isEmpty(others));
      const given = Object.entries(others).filter(([, rule]) => rule !== undefined);
      const both = {
        ...some,
        ...Object.fromEntries(given.filter(([name]) => some[name as keyof RetentionRules] === undefined)),
      };
      const kept = keptNumbers(commits, both);
      const single = Object.entries(both)
        .filter(([, rule]) => rule !== undefined)
        .flatMap(([name, rule]) => keptNumbers(commits, { [name]: rule }));
      t.deepEqual(
        kept,
        [...new Set(single)].toSorted((a, b) => a - b),
      );
      t.true(keptNumbers(commits, some).every((one) => kept.includes(one)));
      t.deepEqual(keptNumbers(commits.toReversed(), both), kept.toReversed());
    }),
    { numRuns: 300 },
  );
});

test('the newest full is always kept, every decision has a reason, and nothing more goes when it is done again', (t) => {
  fc.assert(
    fc.property(histories, ruleSets, (commits, rules) => {
      const decisions = decideRetention(commits, rules, UTC);
      t.true(decisions.every(({ reasons }) => reasons.length > 0));
      const isKept = new Map(decisions.map((one) => [one.id, one.isKept]));
      const latest = Math.max(
        ...commits.filter(({ kind, timeMs }) => kind === 'full' && timeMs <= NOW).map(({ timeMs }) => timeMs),
      );
      const newest = commits.filter(({ kind, timeMs }) => kind === 'full' && timeMs === latest);
      t.true(newest.length === 0 || newest.some(({ id }) => isKept.get(id)));
      const left = commits.filter(({ id }) => isKept.get(id));
      t.deepEqual(
        keptNumbers(left, rules),
        left.map(({ id }) => Number.parseInt(id, 16)),
      );
    }),
    { numRuns: 300 },
  );
});

test('hours, days, weeks, months and years are told apart as luxon tells them', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: Date.parse('1975-01-01'), max: Date.parse('2060-01-01') }),
      fc.integer({ min: 0, max: 40 * DAY_MS }),
      fc.constantFrom(...ZONES.filter((zone) => !zone.startsWith('+')), 'Africa/Casablanca', 'Pacific/Apia'),
      (ms, laterBy, zone) => {
        const calendar = new Calendar(zone);
        const [a, b] = [ms, ms + laterBy].map((one) => DateTime.fromMillis(one, { zone }));
        for (const unit of ['day', 'week', 'month', 'year'] as const)
          t.is(
            calendar.unitOf(ms, unit) === calendar.unitOf(ms + laterBy, unit),
            a?.startOf(unit).toISO() === b?.startOf(unit).toISO(),
            unit,
          );
      },
    ),
    { numRuns: 1000 },
  );
});

// --- words ---

test('options give rules', (t) => {
  t.is(parseRetention({}), undefined);
  const rules = parseRetention({ plan: 'Pro', keepLast: 3, keepWithin: '7d', keepYearly: 2 });
  t.deepEqual(Object.fromEntries(Object.entries(rules ?? {}).filter(([, rule]) => rule !== undefined)), {
    plan: { days: 30, fulls: 30 },
    last: 3,
    withinMs: 7 * DAY_MS,
    yearly: 2,
  });
  t.deepEqual(parseScheduleRetention('90d'), { plan: { days: 90, fulls: Infinity } });
  t.deepEqual(parseScheduleRetention('free'), { plan: { days: 7, fulls: 3 } });
});

const isRefused = test.macro({
  exec(t, words: RetentionWords | string, message: RegExp, hint: RegExp) {
    const error = t.throws(() => (typeof words === 'string' ? parseScheduleRetention(words) : parseRetention(words)));
    if (!isMoltError(error, 'USAGE')) throw error;
    t.regex(error.message, message);
    t.regex(error.hint ?? '', hint);
  },
  title: (_, words) => `${JSON.stringify(words)} is refused, and says what is right`,
});

test(isRefused, { plan: 'entreprise' }, /no plan 'entreprise'/, /did you mean --plan=enterprise/);
test(isRefused, { plan: 'constructor' }, /no plan/, /free, pro, enterprise/);
test(isRefused, { keepLast: 0 }, /--keep-last takes a whole number from 1 up, not 0/, /7/);
test(isRefused, { keepDaily: 1.5 }, /--keep-daily/, /7/);
test(isRefused, { keepWeekly: Number.NaN }, /--keep-weekly/, /7/);
test(isRefused, { keepWithin: '7' }, /--keep-within takes a duration/, /units/);
test(isRefused, { keepWithin: '0d' }, /longer than none/, /7d/);
test(isRefused, 'all', /no plan 'all'/, /--retention takes .*90d/);
test(isRefused, '-5d', /no plan '-5d'/, /90d/);
