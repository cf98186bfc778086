// Many machines that push to one remote at once, each its own process; and the check that nothing was lost.

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { walkHistory } from '../../src/ops/ancestry.ts';
import { switchBranch } from '../../src/ops/branch.ts';
import { clone } from '../../src/ops/clone.ts';
import { fetchRemote } from '../../src/ops/fetch.ts';
import { initAgent } from '../../src/ops/init.ts';
import { openAgent } from '../../src/ops/open.ts';
import { push } from '../../src/ops/push.ts';
import { addRemote } from '../../src/ops/remote.ts';
import { loadState } from '../../src/ops/remotes.ts';
import { verifyAgent } from '../../src/ops/verify.ts';
import { contextIn } from './machine.ts';

const PROCESS = new URL('pushing-process.ts', import.meta.url).pathname;
const run = promisify(execFile);

/** What a race of pushes came to. */
export interface PushRace {
  /** Commits that the processes made. */
  readonly made: number;
  /** Those of them that no branch of the remote leads to. */
  readonly lost: readonly string[];
  /** What verify found wrong with the remote. */
  readonly problems: readonly string[];
}

/**
 * Lets processes push to a remote that holds nothing yet.
 * @param options.dir an empty folder
 * @param options.shared all push to one branch, instead of each to its own
 */
export async function racePushes(options: {
  readonly dir: string;
  readonly url: string;
  readonly processes: number;
  readonly commits: number;
  readonly shared: boolean;
}): Promise<PushRace> {
  const { dir, url, processes, commits, shared } = options;
  const first = contextIn(join(dir, 'first'));
  const stateDir = join(dir, 'first', 'state');
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(join(stateDir, 'notes.md'), 'remember\n');
  await initAgent(first, {
    label: 'bot',
    stateDir,
    profile: 'generic',
    include: [],
    exclude: [],
    passphrase: async () => 'first',
    keepRecoveryKey: async () => {},
  });
  await addRemote(first, 'bot', { name: 'origin', url, singleWriter: false });
  await push(first, 'bot');
  const machines: { readonly home: string; readonly state: string }[] = [];
  for (let index = 0; index < processes; index += 1) {
    const context = contextIn(join(dir, `machine${index}`));
    const state = join(context.cwd, `state${index}`);
    mkdirSync(context.cwd, { recursive: true });
    await clone(context, { url, label: 'bot', stateDir: state, name: 'origin' });
    if (index === 0) await push(context, 'bot');
    if (!shared) await switchBranch(context, 'bot', { name: `branch${index}`, create: 'HEAD' });
    machines.push({ home: context.home.dir, state });
  }
  const outputs = await Promise.all(
    machines.map(({ home, state }) => run(process.execPath, [PROCESS, home, state, String(commits)])),
  );
  const ids = outputs.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
  await fetchRemote(first, 'bot');
  const { refs } = await loadState(first.home, (await first.home.findAgent('bot'))?.repository as never, 'origin');
  await using open = await openAgent(first, 'bot');
  const found = new Set<string>();
  for (const [name, tip] of refs) {
    if (!name.startsWith('refs/heads/')) continue;
    for await (const { commit } of walkHistory(open.repository, tip)) found.add(commit.id);
  }
  const verified = await verifyAgent(first, 'bot', { readShare: 1, repair: false, remote: 'origin' });
  return {
    made: ids.length,
    lost: ids.filter((id) => !found.has(id)),
    problems: verified.problems.map(({ problem }) => problem),
  };
}
