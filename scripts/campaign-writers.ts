// Commits a live agent many times while seven processes write its databases and files, restores each commit, and checks that
// everything in it was there at one moment. Prints figures; exits with 1 if a commit fails, is late, or holds something torn.
//
//     npx node scripts/campaign-writers.ts [COMMITS]      50 unless given

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitAgent, type CommitResult } from '../src/ops/commit.ts';
import { type OpenAgent, openAgent } from '../src/ops/open.ts';
import {
  beginAgent,
  findTornContent,
  makeContext,
  makeLiveState,
  restoreCommit,
  startWriters,
} from '../test/ops/writers.ts';

// The busy timeout of a locked database is one second; the rest is room for a slow machine that the writers share.
const BOUND_MS = 10_000;
const count = Number(process.argv[2] ?? 50);
const base = mkdtempSync(join(tmpdir(), 'molt-campaign-'));

try {
  process.exitCode = (await runCampaign()) ? 0 : 1;
} finally {
  rmSync(base, { recursive: true, force: true });
}

async function runCampaign(): Promise<boolean> {
  const stateDir = makeLiveState(base);
  const context = makeContext(join(base, 'home'));
  const writers = await startWriters(stateDir, 0);
  const commits: CommitResult[] = [];
  try {
    await beginAgent(context, stateDir);
    await using live = await openAgent(context, 'live');
    for (let made = 0; made < count; made += 1) {
      commits.push(await commitAgent(context, live.agent, live.repository, { kind: 'incremental', trigger: 'cli' }));
    }
    await Promise.all(writers.map((writer) => writer.stop()));
    printFigures(commits);
    return (await checkAll(live, commits)) && commits.every(({ durationMs }) => durationMs <= BOUND_MS);
  } finally {
    await Promise.all(writers.map((writer) => writer.stop()));
  }
}

async function checkAll(live: OpenAgent, commits: readonly CommitResult[]): Promise<boolean> {
  let problems = 0;
  for (const [index, { id }] of commits.entries()) {
    const dir = join(base, 'restored');
    await restoreCommit(live, id, dir);
    for (const problem of findTornContent(dir)) {
      console.log(`TORN in commit ${index + 1}: ${problem}`);
      problems += 1;
    }
    rmSync(dir, { recursive: true });
  }
  console.log(`restored and checked ${commits.length} commits: ${problems} problems`);
  return problems === 0;
}

function printFigures(commits: readonly CommitResult[]): void {
  const durations = commits.map(({ durationMs }) => durationMs).toSorted((a, b) => a - b);
  const stored = commits.map(({ bytes }) => bytes.stored).toSorted((a, b) => a - b);
  const middle = durations.length >> 1;
  console.log(`${commits.length} commits in a row under 7 writing processes, each within ${BOUND_MS} ms or it fails`);
  console.log(`  time a commit, ms: median ${durations[middle]}, most ${durations.at(-1)}`);
  console.log(`  stored a commit, bytes: median ${stored[middle]}, most ${stored.at(-1)}`);
  const reasons = new Map<string, number>();
  for (const { path, reason, kept } of commits.flatMap(({ skipped }) => skipped)) {
    const key = `${path}: ${reason} (${kept ? 'last good version kept' : 'no version yet'})`;
    reasons.set(key, (reasons.get(key) ?? 0) + 1);
  }
  console.log(`  skipped paths: ${commits.reduce((sum, { skipped }) => sum + skipped.length, 0)}`);
  for (const [reason, times] of reasons) console.log(`    ${times} x ${reason}`);
}
