// What every backup log must do. Run it with an opener of one log: each call opens that log anew.

import type { ExecutionContext, TestFn } from 'ava';
import type { BackupLog } from '../../src/catalog/backup-log.ts';
import { newestFirst } from '../../src/catalog/read-runs.ts';
import { MAX_RUN_TEXT, runText, type RunEntry } from '../../src/model/run-entry.ts';
import { BEGAN_MS, entry, OTHER_REPOSITORY, REPOSITORY, unchanged } from './entries.ts';

/** Opens a log that the test has for itself, empty at first. */
export type OpenLog = () => Promise<BackupLog>;

type Case = (t: ExecutionContext, open: OpenLog) => Promise<void>;

/** Runs the contract on a log. */
export function backupLogContract(test: TestFn, name: string, make: (t: ExecutionContext) => Promise<OpenLog>): void {
  for (const [title, run] of Object.entries(CASES))
    test(`${name}: ${title}`, async (t) => {
      await run(t, await make(t));
    });
}

/** Texts that are meant to be taken for something else than text. */
const HOSTILE = [
  `'); DROP TABLE molt_runs; --`,
  `"; DELETE FROM runs WHERE ''=''`,
  '$1 ?1 :id @id %s {0} \\',
  '\u001b[2J\u001b]0;gone\u0007\r\n\t\u0008',
  '\u202eelif\u2066 \ufeff\u200b',
  '{"id":"x"}\n{"id":"y"}',
  '日本語 🦞 e\u0301 ﷽',
  'a\0b',
  `lone \ud800 surrogate`,
  'x'.repeat(10_000),
  ' ',
  '',
];

const CASES: Readonly<Record<string, Case>> = {
  'entries come back as they were, newest first, also from another opening': async (t, open) => {
    const given = [
      entry(1),
      entry(3, {
        verb: 'push',
        trigger: 'manual',
        remote: 'origin',
        bytes: { read: 1, stored: 2, sent: 3, received: 4, written: 5 },
        requests: { put: 6, get: 7, list: 8, head: 9, delete: 10 },
        detail: undefined,
        commit: undefined,
      }),
      entry(2, { result: 'failed', error: { code: 'IO', message: 'the disk is full' }, durationMs: 0 }),
      unchanged(4, { count: 288, lastMs: BEGAN_MS + 86_400_000 }),
    ];
    await append(open, given);
    t.deepEqual(await all(open), newestFirst(given));
  },
  'an empty log has no entries, and takes none': async (t, open) => {
    await append(open, []);
    t.deepEqual(await all(open), []);
  },
  'an entry that is handed over twice is kept once, as it was first': async (t, open) => {
    await append(open, [entry(1), entry(2)]);
    await append(open, [entry(2, { agent: 'forged' }), entry(3), entry(3)]);
    t.deepEqual(await all(open), [entry(3), entry(2), entry(1)]);
  },
  'texts stay data, whatever is in them': async (t, open) => {
    const given = HOSTILE.map((text, number) => {
      const kept = runText(text);
      return entry(number, {
        agent: kept,
        host: kept,
        remote: kept,
        detail: kept,
        error: { code: kept, message: kept },
      });
    });
    t.true(given.every(({ agent }) => agent.length <= MAX_RUN_TEXT));
    await append(open, given);
    t.deepEqual(await all(open), newestFirst(given));
    await using log = await open();
    for (const { agent, id } of given) {
      const found = await log.query({ agent, limit: 100 });
      t.true(
        found.some((one) => one.id === id),
        agent,
      );
    }
  },
  'numbers are kept up to the largest that JSON carries safely': async (t, open) => {
    const most = Number.MAX_SAFE_INTEGER;
    const given = entry(1, {
      startedMs: most,
      lastMs: most,
      count: most,
      durationMs: most,
      bytes: { read: most, stored: most, sent: most, received: most, written: most },
      requests: { put: most, get: most, list: most, head: most, delete: most },
    });
    await append(open, [given]);
    t.deepEqual(await all(open), [given]);
  },
  'a query has what the filter says': async (t, open) => {
    const given = [
      entry(0),
      entry(1, { verb: 'push', result: 'failed', error: { code: 'IO', message: 'no' } }),
      entry(2, { agent: 'other' }),
      entry(3, { repository: OTHER_REPOSITORY }),
      entry(4, { verb: 'restore', result: 'partial' }),
      unchanged(5, { count: 10, lastMs: BEGAN_MS + 15 * 60_000 }),
    ];
    await append(open, given);
    await using log = await open();
    const ids = async (filter: Parameters<BackupLog['query']>[0]): Promise<number[]> =>
      (await log.query(filter)).map(({ id }) => Number.parseInt(id, 16));
    const limit = 100;
    t.deepEqual(await ids({ limit }), [5, 4, 3, 2, 1, 0]);
    t.deepEqual(await ids({ limit: 2 }), [5, 4]);
    t.deepEqual(await ids({ limit: 0 }), []);
    t.deepEqual(await ids({ limit, repository: REPOSITORY }), [5, 4, 2, 1, 0]);
    t.deepEqual(await ids({ limit, agent: 'bot', repository: REPOSITORY }), [5, 4, 1, 0]);
    t.deepEqual(await ids({ limit, agent: 'nobody' }), []);
    t.deepEqual(await ids({ limit, sinceMs: BEGAN_MS + 4 * 60_000 }), [5, 4]);
    // What was folded reaches from its first run to its last.
    t.deepEqual(await ids({ limit, sinceMs: BEGAN_MS + 15 * 60_000 }), [5]);
    t.deepEqual(await ids({ limit, untilMs: BEGAN_MS + 60_000 }), [1, 0]);
    t.deepEqual(await ids({ limit, sinceMs: BEGAN_MS + 60_000, untilMs: BEGAN_MS + 120_000 }), [2, 1]);
    t.deepEqual(await ids({ limit, verbs: ['push', 'restore'] }), [4, 1]);
    t.deepEqual(await ids({ limit, results: ['failed', 'partial'] }), [4, 1]);
    t.deepEqual(await ids({ limit, verbs: ['push'], results: ['partial'] }), []);
  },
  'thousands of entries go in at once': async (t, open) => {
    const given = Array.from({ length: 5_000 }, (_, number) => entry(number));
    await append(open, given);
    await using log = await open();
    t.is((await log.query({ limit: 10_000 })).length, 5_000);
    t.deepEqual(await log.query({ limit: 2 }), [entry(4_999), entry(4_998)]);
  },
};

async function append(open: OpenLog, entries: readonly RunEntry[]): Promise<void> {
  await using log = await open();
  await log.append(entries);
}

async function all(open: OpenLog): Promise<RunEntry[]> {
  await using log = await open();
  return await log.query({ limit: 100 });
}
