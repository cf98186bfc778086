// Times as users write them: which instant each form means, and which forms are refused.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { formatAge, formatJsonTime, formatTime } from '../../src/model/time-format.ts';
import { parseTime } from '../../src/policy/time.ts';
import { parseZone } from '../../src/model/zone.ts';

// A Thursday.
const NOW = Date.parse('2026-03-05T10:20:30.456Z');

type Edge = 'start' | 'end';

async function read(text: string, edge: Edge, zone = 'UTC', now = NOW): Promise<string> {
  return formatJsonTime((await parseTime(text, { nowMs: now, zone, edge })).ms);
}

const means = test.macro({
  async exec(t, text: string, start: string, end: string, zone?: string, now?: string) {
    const nowMs = now === undefined ? NOW : Date.parse(now);
    t.is(await read(text, 'start', zone, nowMs), start);
    t.is(await read(text, 'end', zone, nowMs), end);
  },
  title: (_, text: string, _start, _end, zone?: string) =>
    `"${text}" is a time${zone === undefined ? '' : ` in ${zone}`}`,
});

// ISO 8601 and its near relatives.
test(means, '2026-03-04', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '2026/3/4', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '20260304', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '2026-02', '2026-02-01T00:00:00.000Z', '2026-02-28T23:59:59.999Z');
test(means, '2026', '2026-01-01T00:00:00.000Z', '2026-12-31T23:59:59.999Z');
test(means, '2026-03-04T14:30:00Z', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:00.999Z', 'Asia/Jakarta');
test(means, '2026-03-04T14:30:00.5Z', '2026-03-04T14:30:00.500Z', '2026-03-04T14:30:00.500Z');
test(means, '2026-03-04T14:30:00.123456Z', '2026-03-04T14:30:00.123Z', '2026-03-04T14:30:00.123Z');
test(means, '2026-03-04 14:30', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:59.999Z');
test(means, '2026-03-04 14:30', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z', 'Asia/Jakarta');
test(means, '2026-03-04 14:30', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z', '+07:00');
test(means, '2026-03-04', '2026-03-03T17:00:00.000Z', '2026-03-04T16:59:59.999Z', 'Asia/Jakarta');
test(means, '2026-03-04T14:30+07:00', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z');
test(means, '2026-03-04 14:30:00 -0330', '2026-03-04T18:00:00.000Z', '2026-03-04T18:00:00.999Z');
test(means, '2026-03-04 14:30 WIB', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z', 'America/New_York');
test(means, '2026-03-04 14:30 Asia/Jakarta', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z');
test(means, '20260305T020000Z', '2026-03-05T02:00:00.000Z', '2026-03-05T02:00:00.999Z');
test(means, '2024-02-29', '2024-02-29T00:00:00.000Z', '2024-02-29T23:59:59.999Z');
test(means, '  2026-03-04  ', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '2026-W10', '2026-03-02T00:00:00.000Z', '2026-03-08T23:59:59.999Z');
test(means, '2026-W10-3', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '2026W103', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, '2026-W10-3 14:30', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:59.999Z');
// 2020 had 53 weeks, the last of which ended in 2021.
test(means, '2020-W53-7', '2021-01-03T00:00:00.000Z', '2021-01-03T23:59:59.999Z');
test(means, '2026-W01', '2025-12-29T00:00:00.000Z', '2026-01-04T23:59:59.999Z');
test(means, '2026-064', '2026-03-05T00:00:00.000Z', '2026-03-05T23:59:59.999Z');
test(means, '2024-366', '2024-12-31T00:00:00.000Z', '2024-12-31T23:59:59.999Z');
test(means, '2026-12-31T24:00', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:59.999Z');
// As molt shows a time.
test(
  means,
  '2026-03-05T02:00:00Z (2026-03-05 09:00:00 +07:00)',
  '2026-03-05T02:00:00.000Z',
  '2026-03-05T02:00:00.999Z',
);

// Unix time.
test(means, '1772634600', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:00.999Z', 'Asia/Jakarta');
test(means, '1772634600.25', '2026-03-04T14:30:00.250Z', '2026-03-04T14:30:00.250Z');
test(means, '1772634600123', '2026-03-04T14:30:00.123Z', '2026-03-04T14:30:00.123Z');
test(means, '@60', '1970-01-01T00:01:00.000Z', '1970-01-01T00:01:00.999Z');

// Words, from a Thursday at 10:20:30.456 in UTC.
test(means, 'yesterday', '2026-03-04T00:00:00.000Z', '2026-03-04T23:59:59.999Z');
test(means, 'Yesterday 14:30', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:59.999Z');
test(means, 'yesterday at 2pm', '2026-03-04T14:00:00.000Z', '2026-03-04T14:00:59.999Z');
test(means, 'yesterday 14:30:05', '2026-03-04T14:30:05.000Z', '2026-03-04T14:30:05.999Z');
test(means, 'yesterday noon', '2026-03-04T12:00:00.000Z', '2026-03-04T12:00:59.999Z');
test(means, 'today', '2026-03-05T00:00:00.000Z', '2026-03-05T23:59:59.999Z');
test(means, 'now', '2026-03-05T10:20:30.456Z', '2026-03-05T10:20:30.456Z');
test(means, '2 hours ago', '2026-03-05T08:20:30.456Z', '2026-03-05T08:20:30.456Z');
test(means, '5m ago', '2026-03-05T10:15:30.456Z', '2026-03-05T10:15:30.456Z');
test(means, '2 days ago', '2026-03-03T10:20:30.456Z', '2026-03-03T10:20:30.456Z');
test(means, 'a month ago', '2026-02-05T10:20:30.456Z', '2026-02-05T10:20:30.456Z');
test(means, '2 days ago 14:30', '2026-03-03T14:30:00.000Z', '2026-03-03T14:30:59.999Z');
test(means, 'the day before yesterday', '2026-03-03T00:00:00.000Z', '2026-03-03T23:59:59.999Z');
test(means, 'day before yesterday', '2026-03-03T00:00:00.000Z', '2026-03-03T23:59:59.999Z');
test(means, '1.5 hours ago', '2026-03-05T08:50:30.456Z', '2026-03-05T08:50:30.456Z');
test(means, 'noon', '2026-03-04T12:00:00.000Z', '2026-03-04T12:00:59.999Z');
test(means, 'tomorrow 14:30', '2026-03-06T14:30:00.000Z', '2026-03-06T14:30:59.999Z');
test(means, 'next friday', '2026-03-13T00:00:00.000Z', '2026-03-13T23:59:59.999Z');
test(means, 'in 2 hours', '2026-03-05T12:20:30.456Z', '2026-03-05T12:20:30.456Z');
test(means, 'last friday', '2026-02-27T00:00:00.000Z', '2026-02-27T23:59:59.999Z');
test(means, 'last thursday', '2026-02-26T00:00:00.000Z', '2026-02-26T23:59:59.999Z');
test(means, 'last week', '2026-02-23T00:00:00.000Z', '2026-03-01T23:59:59.999Z');
test(means, 'this week', '2026-03-02T00:00:00.000Z', '2026-03-08T23:59:59.999Z');
test(means, 'last month', '2026-02-01T00:00:00.000Z', '2026-02-28T23:59:59.999Z');
test(means, 'last year', '2025-01-01T00:00:00.000Z', '2025-12-31T23:59:59.999Z');
test(means, '5 march 2026', '2026-03-05T00:00:00.000Z', '2026-03-05T23:59:59.999Z');
// What is left open lies in the past.
test(means, 'friday', '2026-02-27T00:00:00.000Z', '2026-02-27T23:59:59.999Z');
test(means, 'thursday', '2026-03-05T00:00:00.000Z', '2026-03-05T23:59:59.999Z');
test(means, 'thursday 14:30', '2026-02-26T14:30:00.000Z', '2026-02-26T14:30:59.999Z');
test(means, '09:00', '2026-03-05T09:00:00.000Z', '2026-03-05T09:00:59.999Z');
test(means, '14:30', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:59.999Z');
test(means, 'midnight', '2026-03-05T00:00:00.000Z', '2026-03-05T00:00:59.999Z');
test(means, 'march 9', '2025-03-09T00:00:00.000Z', '2025-03-09T23:59:59.999Z');
test(means, 'tomorrow', '2026-03-06T00:00:00.000Z', '2026-03-06T23:59:59.999Z');
// In a zone, "yesterday" is that zone's: in Auckland it is Friday the 6th already at 11:20 UTC.
test(
  means,
  'yesterday',
  '2026-03-04T11:00:00.000Z',
  '2026-03-05T10:59:59.999Z',
  'Pacific/Auckland',
  '2026-03-05T11:20:00Z',
);
test(means, 'yesterday 14:30 UTC', '2026-03-04T14:30:00.000Z', '2026-03-04T14:30:59.999Z', 'Asia/Jakarta');
test(means, 'yesterday 14:30 +07:00', '2026-03-04T07:30:00.000Z', '2026-03-04T07:30:59.999Z');

// Daylight saving in New York: 2026-03-08 lacks 02:00-03:00, 2026-11-01 has 01:00-02:00 twice.
const NY = 'America/New_York';
test(means, '2026-03-08', '2026-03-08T05:00:00.000Z', '2026-03-09T03:59:59.999Z', NY);
test(means, '2026-11-01', '2026-11-01T04:00:00.000Z', '2026-11-02T04:59:59.999Z', NY);
test(means, '2026-03-08 02:30', '2026-03-08T07:30:00.000Z', '2026-03-08T07:30:59.999Z', NY);
test(means, '2026-11-01 01:30', '2026-11-01T05:30:00.000Z', '2026-11-01T06:30:59.999Z', NY);
// Words about the other season: the offset is that day's, not today's; hours ago are elapsed hours, also over the change.
test(means, '2 months ago 12:00', '2026-01-08T17:00:00.000Z', '2026-01-08T17:00:59.999Z', NY, '2026-03-08T17:00:00Z');
test(means, '10 hours ago', '2026-03-08T03:00:00.000Z', '2026-03-08T03:00:00.000Z', NY, '2026-03-08T13:00:00Z');
// Havana turns back from 01:00 to 00:00, so the day has two midnights; Sao Paulo's 2018-11-04 had none.
test(means, '2026-10-31', '2026-10-31T04:00:00.000Z', '2026-11-01T03:59:59.999Z', 'America/Havana');
test(means, '2018-11-04', '2018-11-04T03:00:00.000Z', '2018-11-05T01:59:59.999Z', 'America/Sao_Paulo');

const refused = test.macro({
  async exec(t, text: string, message: RegExp) {
    const error = await t.throwsAsync(parseTime(text, { nowMs: NOW, zone: 'UTC', edge: 'end' }));
    t.true(isMoltError(error, 'USAGE'));
    t.regex(error?.message ?? '', message);
    t.regex(error?.message ?? '', /[^.]$/);
  },
  title: (_, text: string) => `"${text.slice(0, 30)}" is refused`,
});

test(refused, '', /empty/);
test(refused, '   ', /empty/);
test(refused, 'x'.repeat(5000), /too long/);
test(refused, 'soon', /'soon' is not a time/);
test(refused, '2026-02-30', /February 2026 has 28 days/);
test(refused, '2026-13-01', /no month 13/);
test(refused, '2026-00-10', /no month 0/);
test(refused, '2026-03-04 25:00', /hours go from 0 to 23/);
test(refused, '2026-03-04T14:61', /minutes and seconds/);
test(refused, '2026-03T14:30', /day is missing/);
test(refused, '25:00', /'25:00' is not a time/);
test(refused, 'yesterday 25:00', /is not a time/);
test(refused, 'february 30', /no such day is in that month/);
test(refused, '31 April 2026', /no such day is in that month/);
test(refused, 'Feb 29, 2025', /no such day is in that month/);
test(refused, '2026-W54', /2026 has 53 weeks/);
test(refused, '2026-W00', /2026 has 53 weeks/);
test(refused, '2025-W53', /2025 has 52 weeks/);
test(refused, '2025-366', /2025 has no day 366/);
test(refused, '2026-03-04T24:01', /hours go from 0 to 23/);
test(refused, '2026-03-04 14:30 Europe/Atlantis', /there is no zone 'Europe\/Atlantis'/);
test(refused, '9999-01-01', /year 9999 lies outside/);
test(refused, '12026-03-04', /is not a time/);
test(refused, '1969-12-31', /year 1969/);
test(refused, '12345678901', /unix seconds have ten digits/);
test(refused, '17726346001234567', /unix seconds have ten digits/);
test(refused, '@99999999999999999999', /outside/);
test(refused, '03/04/2026', /day or with the month/);
test(refused, '4.3.2026', /day or with the month/);
test(refused, 'monday to friday', /span/);
test(refused, 'yesterday evening', /no exact hour/);
test(refused, 'last night', /no exact hour/);
test(refused, 'yesterday 14:30 CST', /zone has several meanings/);
test(refused, 'yesterday 14:30 WET', /zone has several meanings/);
test(refused, '2026-03-04 14:30 CST', /'CST' is not a zone/);
test(refused, 'restore yesterday please', /is not a time/);

test('an unknown zone is named in the error, with an example of one that exists', async (t) => {
  const error = await t.throwsAsync(parseTime('2026-03-04', { nowMs: NOW, zone: 'Mars/Olympus', edge: 'end' }));
  t.true(
    isMoltError(error, 'USAGE') && error.message.includes("'Mars/Olympus'") && error.hint?.includes('Asia/Jakarta'),
  );
  for (const zone of ['', 'local', 'system', '+15:00', '../etc', '__proto__']) {
    t.throws(() => parseZone(zone), { message: /unknown time zone/ }, zone);
  }
});

test('an unknown zone that is nearly one is told apart from one that is nothing', (t) => {
  const hintOf = (zone: string): string | undefined => {
    const error = t.throws(() => parseZone(zone));
    return isMoltError(error, 'USAGE') ? error.hint : undefined;
  };
  t.is(hintOf('Asia/Jakrta'), 'did you mean Asia/Jakarta; an offset such as +07:00 will do as well');
  t.true(hintOf('Mars/Olympus Mons Base')?.includes('--tz +07:00'));
});

test('a zone may be an IANA name, an offset or an abbreviation with one meaning', (t) => {
  t.deepEqual(parseZone('Asia/Jakarta'), { iana: 'Asia/Jakarta' });
  t.deepEqual(parseZone('WIB'), { offsetMinutes: 420 });
  t.deepEqual(parseZone('UTC+7'), { offsetMinutes: 420 });
  t.deepEqual(parseZone('-03:30'), { offsetMinutes: -210 });
});

test('the precision says which unit was named', async (t) => {
  const of = async (text: string) => (await parseTime(text, { nowMs: NOW, zone: 'UTC', edge: 'end' })).precision;
  t.is(await of('2026'), 'year');
  t.is(await of('2026-03'), 'month');
  t.is(await of('yesterday'), 'day');
  t.is(await of('last week'), 'week');
  t.is(await of('14:30'), 'minute');
  t.is(await of('1772634600'), 'second');
  t.is(await of('2 hours ago'), 'millisecond');
});

test('a time is shown in UTC to the second, with local time where that differs', (t) => {
  const ms = Date.parse('2026-03-05T02:00:00.789Z');
  t.is(formatTime(ms), '2026-03-05T02:00:00Z');
  t.is(formatTime(ms, 'UTC'), '2026-03-05T02:00:00Z');
  t.is(formatTime(ms, 'Africa/Abidjan'), '2026-03-05T02:00:00Z');
  t.is(formatTime(ms, 'Asia/Jakarta'), '2026-03-05T02:00:00Z (2026-03-05 09:00:00 +07:00)');
  t.is(formatTime(ms, 'WIB'), '2026-03-05T02:00:00Z (2026-03-05 09:00:00 +07:00)');
  t.is(formatTime(ms, NY), '2026-03-05T02:00:00Z (2026-03-04 21:00:00 -05:00)');
  t.is(formatJsonTime(ms), '2026-03-05T02:00:00.789Z');
});

test('a time that was shown finds the moment that it was shown for', async (t) => {
  const ms = Date.parse('2026-03-05T02:00:00.789Z');
  const parsed = await parseTime(formatTime(ms), { nowMs: NOW, zone: 'Asia/Jakarta', edge: 'end' });
  t.true(parsed.ms >= ms && parsed.ms < ms + 1000);
});

test('an age is told in its largest whole unit', (t) => {
  t.is(formatAge(0), 'just now');
  t.is(formatAge(59_999), '59 s ago');
  t.is(formatAge(3 * 60_000), '3 min ago');
  t.is(formatAge(2 * 3_600_000), '2 h ago');
  t.is(formatAge(86_400_000), '1 day ago');
  t.is(formatAge(29 * 86_400_000), '29 days ago');
  t.is(formatAge(45 * 86_400_000), '1 month ago');
  t.is(formatAge(800 * 86_400_000), '2 years ago');
  t.is(formatAge(-3 * 60_000), 'in 3 min');
});
