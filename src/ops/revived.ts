// Asks a restored agent that runs whether it has what its commit holds. An endpoint that answers proves nothing of that.

import { setTimeout as delay } from 'node:timers/promises';
import type { Profile } from '../agent/profile.ts';
import type { Expectations, RootDirs } from '../agent/revival.ts';
import { fillIn, type PodSpec } from '../pod/spec.ts';
import { podEnvironment } from '../pod/environment.ts';
import type { OpsContext } from './context.ts';

/** How long an agent that is ready may take until it has taken over all that it was given (a migration, say). */
const SETTLE_MS = 15_000;
const ASK_EVERY_MS = 250;

/** Returns what the agent lacks, as sentences; empty as soon as it lacks nothing. */
export async function checkRevived(
  { signal }: OpsContext,
  profile: Profile,
  dirs: RootDirs,
  expectations: Expectations,
): Promise<string[]> {
  const untilMs = performance.now() + SETTLE_MS;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- asking again after a while
    const problems = await profile.check(dirs, expectations);
    if (problems.length === 0 || performance.now() > untilMs) return problems;
    signal?.throwIfAborted();
    // oxlint-disable-next-line no-await-in-loop -- the same
    await delay(ASK_EVERY_MS, undefined, { signal });
  }
}

/**
 * Refuses a state that a newer program wrote than the one that would be started.
 * @throws {MoltError} NEWER_FORMAT naming both
 */
export async function checkInstalled(
  { signal }: OpsContext,
  made: { profile: Profile; spec: PodSpec; programVersion: string | undefined; dir: string; target: string },
): Promise<void> {
  const { profile, spec, programVersion, dir, target } = made;
  if (programVersion === undefined || spec.provider !== 'process') return;
  const ports = Object.fromEntries(spec.ports.map(({ name, port }) => [name, { public: port, private: port }]));
  const pod = fillIn(spec, { state: dir, name: target, ports, generation: 1 });
  const installed = await profile.installedVersion({ command: pod.command, env: podEnvironment(pod), signal });
  profile.checkVersion(programVersion, installed);
}
