// `molt backup log`: what was run, newest first.

import { shortId } from '../../model/ids.ts';
import { RUN_VERBS, type RunEntry } from '../../model/run-entry.ts';
import { formatTime } from '../../model/time-format.ts';
import { parseRange } from '../../ops/revision.ts';
import { findBackupLog } from '../backup-log-url.ts';
import { defineCommand } from '../command.ts';
import { checkCount } from '../count.ts';
import { makeOpsContext } from '../ops-context.ts';
import type { Output } from '../output.ts';
import { readRuns } from '../runs.ts';
import { formatCount, formatDuration, formatSize, formatTable } from '../text.ts';

const LIMIT = 1000;

/** The backup log command. */
export const command = defineCommand({
  name: 'backup log',
  summary: 'show what was run, and what came of it',
  description:
    'Backups, pushes, pulls, fetches, clones, restores, drills, checks, prunes, exports and imports: when, what set them off, how long\n' +
    'they took, what they moved, and why they failed. Without AGENT, of all agents of this machine.\n' +
    'Runs by which nothing changed are shown with --all; runs that repeat each other are one line.\n' +
    'The log lies sealed in MOLT_HOME, or with --backup-log, MOLT_BACKUP_LOG or "backupLog" in MOLT_HOME/config.json in\n' +
    'PostgreSQL, where many machines share it; --backup-log embedded reads this machine’s all the same. A log that can’t be\n' +
    'reached stops no backup: entries wait on this machine and follow. Password: PGPASSWORD or ~/.pgpass.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    all: { type: 'boolean', description: 'also runs by which nothing changed' },
    failed: { type: 'boolean', description: 'only what failed, or did not do all' },
    verb: { type: 'strings', value: 'VERB', choices: RUN_VERBS, description: 'only this; may be given several times' },
    since: { type: 'string', value: 'TIME', description: 'only what was run since then' },
    until: { type: 'string', value: 'TIME', description: 'only what was run until then' },
    limit: { type: 'number', alias: 'n', value: 'N', description: `only the newest N (${LIMIT})` },
  },
  examples: [
    ['backup log', 'show what was run on this machine'],
    ['backup log my-agent --failed --since yesterday', 'show what went wrong'],
    ['backup log my-agent --verb push --all -n 20', 'show the last pushes, also those with nothing to send'],
    ['backup log --backup-log postgres://molt@db.example.org/backups', 'show what a fleet has run'],
  ],
  async run(context, { agent, options }) {
    const { output } = context;
    const limit = checkCount('limit', options.limit) ?? LIMIT;
    const url = await findBackupLog(context);
    const ops = makeOpsContext(context);
    const range = await parseRange(ops, options);
    const verbs = RUN_VERBS.filter((verb) => options.verb.includes(verb));
    const results = options.failed ? FAILURES : options.all ? undefined : NEWS;
    const wanted = { ...range, results, verbs: verbs.length === 0 ? undefined : verbs, limit };
    const { entries, rebuilt, problems } = await readRuns(ops, agent, wanted, url);
    context.reporter.pause();
    output.result(entries.map(runDocument), () => formatRuns(output, entries, agent === undefined));
    if (entries.length === 0 && problems.length === 0)
      output.note(options.all ? 'no runs yet' : 'no such runs; --all shows those that changed nothing too');
    else if (entries.length === limit && options.limit === undefined)
      output.note(`the newest ${limit}; --limit shows more`);
    for (const label of rebuilt)
      output.warn(`the log of ${label} was damaged, and is made anew from its history: only its backups are known`);
    const [problem, ...others] = problems;
    for (const other of others) output.warn(other.message);
    if (problem !== undefined) throw problem;
  },
});

const FAILURES = ['failed', 'partial'] as const;
const NEWS = ['ok', ...FAILURES] as const;

/** Returns the JSON of an entry. */
export function runDocument(entry: RunEntry): object {
  const { startedMs, lastMs, durationMs, trigger, error, commit, remote, detail, isRebuilt, ...rest } = entry;
  return {
    ...rest,
    trigger,
    time: new Date(startedMs).toISOString(),
    lastTime: new Date(lastMs).toISOString(),
    durationMs: durationMs ?? null,
    error: error ?? null,
    commit: commit ?? null,
    remote: remote ?? null,
    detail: detail ?? null,
    rebuilt: isRebuilt,
  };
}

function formatRuns(output: Output, entries: readonly RunEntry[], isMany: boolean): string[] {
  const isFleet = new Set(entries.map(({ host }) => host).filter((host) => host !== '')).size > 1;
  const isSeveral = isMany && new Set(entries.map(({ agent }) => agent)).size > 1;
  const rows = entries.map((entry) => [
    formatTime(entry.startedMs),
    ...(isFleet ? [entry.host] : []),
    ...(isSeveral || isFleet ? [output.style('bold', entry.agent)] : []),
    entry.verb,
    entry.trigger,
    formatResult(output, entry),
    entry.durationMs === undefined ? '' : formatDuration(entry.durationMs / entry.count),
    formatBytes(entry),
    formatWhat(output, entry),
  ]);
  const right = rows[0] === undefined ? [] : [rows[0].length - 3];
  return formatTable(rows, right);
}

function formatResult(output: Output, { result, count }: RunEntry): string {
  const colours = { ok: 'green', unchanged: 'dim', partial: 'yellow', failed: 'red' } as const;
  return output.style(colours[result], count === 1 ? result : `${result} ×${count}`);
}

function formatBytes({ bytes, requests }: RunEntry): string {
  const moved = (['stored', 'sent', 'received', 'written'] as const)
    .filter((way) => bytes[way] > 0)
    .map((way) => `${formatSize(bytes[way])} ${way}`);
  const checked = moved.length === 0 && bytes.read > 0 ? [`${formatSize(bytes.read)} read`] : [];
  const asked = Object.values(requests).reduce((sum: number, count: number) => sum + count, 0);
  return [...moved, ...checked, ...(asked === 0 ? [] : [formatCount(asked, 'request')])].join(', ');
}

function formatWhat(output: Output, { detail, remote, commit, error, count, lastMs, isRebuilt }: RunEntry): string {
  return [
    detail,
    remote,
    commit === undefined ? undefined : output.style('yellow', shortId(commit)),
    count === 1 ? undefined : `until ${formatTime(lastMs)}`,
    isRebuilt ? output.style('dim', '(from the history)') : undefined,
    error === undefined ? undefined : `${error.code}: ${error.message}`,
  ]
    .filter((part) => part !== undefined)
    .join('  ');
}
