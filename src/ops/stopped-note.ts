// Notes that a restore in place stopped an agent and owes it the start: should molt be killed in between, the next restore starts it. The
// note dies with what makes it untrue: the agent is started, stopped by somebody who means it, or seen to run.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findRunning } from '../agent/running.ts';
import { readIfThere, type Agent, type Home } from './home.ts';

/** Notes durably that an agent is about to be stopped, and will be started again. */
export async function noteStopped(home: Home, label: string): Promise<void> {
  await home.write(fileOf(home, label), Buffer.from('{}\n', 'utf8'), { replace: true });
}

/** Says whether an agent was stopped by a restore that did not come to starting it again. */
export async function isStoppedNoted(home: Home, label: string): Promise<boolean> {
  return (await readIfThere(fileOf(home, label))) !== undefined;
}

/** Forgets that an agent is owed a start. */
export async function dropStopped(home: Home, label: string): Promise<void> {
  await rm(fileOf(home, label), { force: true });
}

/** Forgets it if the agent runs: somebody else has started it. */
export async function dropStoppedIfUp(home: Home, { label, stateDir }: Agent): Promise<void> {
  if (!(await isStoppedNoted(home, label))) return;
  if (findRunning(stateDir, [stateDir]) !== undefined) await dropStopped(home, label);
}

/** Keeps the note of an agent that gets another label. */
export async function moveStopped(home: Home, from: string, to: string): Promise<void> {
  if (await isStoppedNoted(home, from)) await noteStopped(home, to);
  await dropStopped(home, from);
}

function fileOf(home: Home, label: string): string {
  return join(home.dir, 'restores', `${label}.stopped`);
}
