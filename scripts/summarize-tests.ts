// Reads AVA's report on stdin and judges it as CI does: a skipped test fails unless test/allowed-skips.txt gives a reason.
// Prints the slowest tests and what is wrong; the last line is the number of tests passed and failed.

import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';

const ALLOWED_SKIPS = path.join(import.meta.dirname, '..', 'test', 'allowed-skips.txt');
const SHOWN_SLOWEST = 10;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
type Unit = keyof typeof UNIT_MS;

const lines = (await text(process.stdin)).split('\n').map((line) => line.trim());
const allowed = parseAllowedSkips(await readFile(ALLOWED_SKIPS, 'utf8'));

// AVA says how many passed only if nothing failed.
const passed = sumCounts(/^(\d+) tests? passed$/) || lines.filter((line) => line.startsWith('✔ ')).length;
// AVA's own summary counts what has no line of its own; where it failed without saying so, one failure is counted.
const reported =
  sumCounts(/^(\d+) (?:tests?|hooks?) failed$/) + sumCounts(/^(\d+) (?:uncaught exceptions?|unhandled rejections?)$/);
const pending =
  sumCounts(/^(\d+) tests? (?:remained pending after a timeout|remaining in .*)$/) + sumCounts(/^(\d+) tests? todo$/);
const broken = lines.filter((line) => /^✘ (?!\[fail\])/.test(line));
const skipped = lines.flatMap((line) => /^- \[skip\] (.*)$/.exec(line)?.[1] ?? []);
const unexplained = skipped.filter((title) => !allowed.has(title));

printSlowest();
for (const title of skipped.filter((one) => allowed.has(one))) print(`skipped: ${title} (${allowed.get(title)})`);
for (const title of unexplained) print(`FAILED: skipped, and not listed in test/allowed-skips.txt: ${title}`);
for (const line of broken) print(`FAILED: ${line}`);
print(`${passed} ${Math.max(reported + pending, broken.length) + unexplained.length}`);

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function sumCounts(pattern: RegExp): number {
  return lines.reduce((sum, line) => sum + Number(pattern.exec(line)?.[1] ?? 0), 0);
}

function printSlowest(): void {
  const timed = lines.flatMap((line) => {
    const [, title, duration] = /^✔ (.*) \(((?:[\d.]+(?:ms|[smh]) ?)+)\)$/.exec(line) ?? [];
    return title === undefined || duration === undefined
      ? []
      : [{ title, duration, durationMs: parseDuration(duration) }];
  });
  const slowest = timed.toSorted((a, b) => b.durationMs - a.durationMs).slice(0, SHOWN_SLOWEST);
  if (slowest.length > 0) print('slowest tests:');
  for (const { title, duration } of slowest) print(`  ${duration.padStart(7)}  ${title}`);
}

/** Returns the milliseconds of a duration as AVA writes it: `153ms`, `1.2s`, `1m 2.3s`. */
function parseDuration(duration: string): number {
  let sum = 0;
  for (const [, amount, unit] of duration.matchAll(/([\d.]+)(ms|[smh])/g))
    sum += Number(amount) * UNIT_MS[unit as Unit];
  return sum;
}

/** Returns the reason of each allowed skip by its title; a line is `title -- reason`, or a comment after `#`. */
function parseAllowedSkips(source: string): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const line of source.split('\n').filter((one) => one.trim() !== '' && !one.startsWith('#'))) {
    const [title = '', reason] = line.split(' -- ');
    if (reason === undefined) throw new Error(`test/allowed-skips.txt gives no reason for: ${line}`);
    reasons.set(title.trim(), reason.trim());
  }
  return reasons;
}
