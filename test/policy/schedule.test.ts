// When scheduled agents are saved: across restarts, sleep, clocks that are set, and daylight saving. Daily times are held against a clock
// that is walked minute by minute.

import test from 'ava';
import fc from 'fast-check';
import { isMoltError } from '../../src/model/error.ts';
import { parseDaily } from '../../src/policy/daily.ts';
import { nextFullTime, parseCron } from '../../src/policy/full-times.ts';
import {
  countMissed,
  fullSpread,
  nextDue,
  nextFull,
  nextTick,
  shareOf,
  type Timing,
} from '../../src/policy/schedule.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const START = Date.parse('2026-01-01T00:00:00Z');
// Gaps and doubled hours at night, at midnight, of half an hour, on either half of the earth; and zones without any.
const ZONES = [
  'Asia/Jakarta',
  'Europe/Berlin',
  'America/New_York',
  'America/Santiago',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Asia/Kathmandu',
];

const timing = (changes: Partial<Timing> = {}): Timing => ({
  label: 'bot',
  everyMs: 5 * MINUTE_MS,
  full: parseDaily('02:00', 'Asia/Jakarta'),
  fullSpreadMs: 0,
  ...changes,
});

/** The minute of the day that a clock in the zone shows at each minute of a year, by the system's own zone data. */
function walkYear(zone: string): Uint16Array {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
    hour12: false,
  });
  const count = 366 * 1440;
  const shown = new Uint16Array(count);
  // Offsets change on quarters of an hour.
  for (let minute = 0; minute < count; minute += 15) {
    const [hour = 0, at = 0] = format
      .format(START + minute * MINUTE_MS)
      .split(':')
      .map(Number);
    for (let after = 0; after < 15; after += 1) shown[minute + after] = (hour % 24) * 60 + at + after;
  }
  return shown;
}

/**
 * Walks to the first minute after `from` at which a clock comes by a time of day: shows it, or jumps over it. What is jumped over comes as
 * much later as was jumped; what is shown again within a few hours was there already.
 */
function walkTo(shown: Uint16Array, from: number, wanted: number): number {
  // From before: what was jumped over may still be to come.
  for (let minute = from - 120; minute < shown.length; minute += 1) {
    const now = shown[minute] ?? 0;
    if (minute > from && now === wanted && !shown.subarray(Math.max(0, minute - 180), minute).includes(wanted))
      return minute;
    const before = shown[minute - 1] ?? 0;
    // 30 and 60 minutes are what zones skip; setting back looks like skipping most of a day.
    const skipped = (now - before - 1 + 1440) % 1440;
    const into = (wanted - before - 1 + 1440) % 1440;
    if (skipped > 0 && skipped <= 120 && into < skipped && minute + into > from) return minute + into;
  }
  throw new Error('the year is over');
}

for (const zone of ZONES) {
  const shown = walkYear(zone);
  // The days around a change are where it goes wrong.
  const changes = [...shown.keys()].filter(
    (minute) => minute > 0 && (shown[minute] ?? 0) !== ((shown[minute - 1] ?? 0) + 1) % 1440,
  );
  const nearChange =
    changes.length === 0
      ? fc.nat(300 * 1440)
      : fc
          .tuple(fc.constantFrom(...changes), fc.integer({ min: -2000, max: 2000 }))
          .map(([at, by]) => Math.max(200, at + by));
  test(`the daily time in ${zone} is that of a clock that is walked by the minute`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: 200, max: 363 * 1440 }), nearChange),
        fc.oneof(fc.nat(1439), fc.integer({ min: 0, max: 240 })),
        async (from, wanted) => {
          const text = `${Math.floor(wanted / 60)}:${String(wanted % 60).padStart(2, '0')}`;
          const ms = await nextFullTime(START + from * MINUTE_MS, parseDaily(text, zone));
          t.is(new Date(ms).toISOString(), new Date(START + walkTo(shown, from, wanted) * MINUTE_MS).toISOString());
        },
      ),
      { numRuns: 400 },
    );
  });
}

test('a daily time comes once a day, also where daylight saving skips or doubles it', async (t) => {
  for (const [zone, at] of [
    ['Europe/Berlin', '02:30'],
    ['America/Santiago', '00:30'],
    ['Australia/Lord_Howe', '02:15'],
  ] as const) {
    const full = parseDaily(at, zone);
    const times: number[] = [];
    for (let ms = START; times.length < 365;) times.push((ms = await nextFullTime(ms, full)));
    const gaps = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
    t.true(
      gaps.every((gap) => gap >= 23 * 3_600_000 && gap <= 25 * 3_600_000),
      zone,
    );
    t.true(new Set(gaps).size > 1, `${zone} has daylight saving`);
  }
});

test('a cron expression comes when the daily time does, but within a gap, where it comes at its end', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...ZONES),
      fc.integer({ min: 0, max: 365 * 1440 }),
      fc.oneof(fc.nat(1439), fc.integer({ min: 0, max: 240 })),
      async (zone, from, wanted) => {
        const [hour, minute] = [Math.floor(wanted / 60), wanted % 60];
        const fromMs = START + from * MINUTE_MS;
        const byCron = await nextFullTime(fromMs, await parseCron(`${minute} ${hour} * * *`, zone));
        const daily = await nextFullTime(fromMs, { hour, minute, zone });
        t.true(byCron === daily || (byCron < daily && daily - byCron < 3_600_000), `${zone} ${fromMs} ${wanted}`);
      },
    ),
    { numRuns: 1000 },
  );
});

test('fulls by a cron expression come at its times in its zone', async (t) => {
  const weekdays = await parseCron(' 0 2  * * 1-5', 'Asia/Jakarta');
  // 2026-03-06 is a Friday.
  t.is(await nextFullTime(Date.parse('2026-03-05T19:00:00Z'), weekdays), Date.parse('2026-03-08T19:00:00Z'));
  const offset = await parseCron('30 4 1 * *', '+02:00');
  t.is(await nextFullTime(START, offset), Date.parse('2026-01-01T02:30:00Z'));
  for (const text of ['', 'weekly', '0 2 * *', '0 0 2 * * *', '61 2 * * *', '0 2 30 2 *'])
    t.true(isMoltError(await t.throwsAsync(parseCron(text, 'UTC')), 'USAGE'), text);
  t.true(isMoltError(await t.throwsAsync(parseCron('0 2 * * *', 'Mars/Phobos')), 'USAGE'));
});

test('a commit is due once in each interval, wherever in it the last one began', (t) => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.integer({ min: 1000, max: 7 * DAY_MS }),
      fc.integer({ min: START, max: START + 1000 * DAY_MS }),
      (label, everyMs, lastMs) => {
        const one = timing({ label, everyMs });
        const nextMs = nextTick(one, lastMs, lastMs);
        t.true(nextMs > lastMs && nextMs <= lastMs + everyMs);
        // Kept on time, they come at even intervals.
        t.is(nextTick(one, nextMs, nextMs), nextMs + everyMs);
        // A clock that was set back by less than an interval delays it by less than two.
        t.true(nextTick(one, lastMs, lastMs - everyMs + 1) - (lastMs - everyMs + 1) < 2 * everyMs);
        // By more: now.
        t.is(nextTick(one, lastMs, lastMs - everyMs - 1), lastMs - everyMs - 1);
        t.is(nextTick(one, undefined, lastMs), lastMs);
      },
    ),
  );
});

test('what was missed is what a minute by minute walk finds, less the run that makes up for it', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('bot', 'another', 'third'),
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 0, max: 4 * 1440 }),
      async (label, everyMinutes, sleptMinutes) => {
        const one = timing({ label, everyMs: everyMinutes * MINUTE_MS });
        const tickMs = START + 123_456;
        const nowMs = tickMs + sleptMinutes * MINUTE_MS;
        let due = 0;
        for (let atMs = nextTick(one, tickMs, tickMs); atMs <= nowMs; atMs = nextTick(one, atMs, atMs)) due += 1;
        let fullsDue = 0;
        for (let atMs = START; atMs <= nowMs; atMs += MINUTE_MS)
          if (atMs > tickMs && new Date(atMs).toISOString().endsWith('T19:00:00.000Z')) fullsDue += 1;
        t.deepEqual(await countMissed(one, { tickMs, fullMs: tickMs }, nowMs), {
          ticks: Math.max(0, due - 1),
          fulls: Math.max(0, fullsDue - 1),
        });
      },
    ),
  );
  const never = { tickMs: undefined, fullMs: undefined };
  t.deepEqual(await countMissed(timing(), never, START), { ticks: 0, fulls: 0 });
  // A clock that jumps by thirty years makes nobody think for long.
  const jumped = await countMissed(timing(), { tickMs: START, fullMs: START }, START + 11_000 * DAY_MS);
  t.is(jumped.ticks, 11_000 * 288 - 1);
  t.is(jumped.fulls, 400);
});

test('fulls that are far apart are missed only once their time has come', async (t) => {
  const one = timing({ full: await parseCron('0 2 * * 1', 'UTC') });
  // 2026-01-05 is a Monday.
  const fullMs = Date.parse('2026-01-05T02:00:03Z');
  for (const [days, fulls] of [
    [0, 0],
    [1, 0],
    [6, 0],
    [7, 0],
    [8, 0],
    [14, 1],
    [22, 2],
  ] as const) {
    const nowMs = fullMs + days * DAY_MS;
    t.is((await countMissed(one, { tickMs: nowMs, fullMs }, nowMs)).fulls, fulls, `${days} days later`);
  }
});

test('one run makes up for all that were missed', async (t) => {
  const one = timing();
  const nowMs = START + 10 * DAY_MS;
  t.true(nextTick(one, START, nowMs) <= nowMs);
  t.true(nextTick(one, nowMs, nowMs) > nowMs);
  t.true((await nextFull(one, START, nowMs)) <= nowMs);
  t.is(await nextFull(one, nowMs, nowMs), Date.parse('2026-01-11T19:00:00Z'));
});

test('fulls don’t wait until the time comes again that a clock showed before it was set back', async (t) => {
  const one = timing();
  t.is(await nextFull(one, START + 2 * DAY_MS, START), START);
  // By an hour, the one that was made counts.
  t.is(await nextFull(one, START, START - 3_600_000), Date.parse('2026-01-01T19:00:00Z'));
  t.is(await nextFull(one, undefined, START), START);
});

test('a full that is overdue, because it failed, is tried again no sooner than the next commit', (t) => {
  t.is(nextDue({ tickMs: 500, fullMs: 300 }, 200), 300);
  t.is(nextDue({ tickMs: 500, fullMs: 100 }, 200), 500);
  t.is(nextDue({ tickMs: 500, fullMs: 900 }, 200), 500);
});

test('many agents are spread over the interval and over some minutes of the night; one alone is on time', (t) => {
  const everyMs = 5 * MINUTE_MS;
  const perTenth = Array.from({ length: 10 }, () => 0);
  for (let index = 0; index < 1000; index += 1) {
    const share = shareOf(`agent-${index}`, everyMs);
    t.true(share >= 0 && share < everyMs);
    const tenth = Math.floor(share / (everyMs / 10));
    perTenth[tenth] = (perTenth[tenth] ?? 0) + 1;
  }
  t.true(
    perTenth.every((count) => count > 70 && count < 130),
    perTenth.join(' '),
  );
  t.is(fullSpread(1), 0);
  t.is(fullSpread(10), 18_000);
  t.is(fullSpread(100_000), 30 * MINUTE_MS);
});
