// How a restore in place of an agent that was stopped for it ends: the agent is started, and asked for what the commit holds; or what
// went wrong is told with what it left.

import { getProfile } from '../agent/profile.ts';
import { findRunning } from '../agent/running.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import type { Replaced } from './in-place-files.ts';
import type { InPlaceOptions, InPlaceResult } from './in-place-result.ts';
import type { OpenAgent } from './open.ts';
import { addOutcome, addUnchecked } from './outcome.ts';
import type { PhaseTimer } from './phase-timer.ts';
import { readRestoreNote } from './restore-journal.ts';
import { checkRevived } from './revived.ts';
import type { Runner } from './runner.ts';
import { dropStopped } from './stopped-note.ts';

/** Starts the agent, and asks it for what the commit holds. */
export async function startAgain(
  context: OpsContext,
  agent: Agent,
  {
    starter,
    stopped,
    done,
    dirs,
    timer,
  }: {
    starter: Runner;
    stopped: Runner | undefined;
    done: Replaced;
    dirs: ReadonlyMap<string, string>;
    timer: PhaseTimer;
  },
): Promise<Pick<InPlaceResult, 'lifecycle' | 'pod' | 'problems'>> {
  const { problem, pod } = await starter.start();
  timer.end('start');
  const lifecycle = {
    stopped: stopped !== undefined,
    started: problem === undefined,
    ...(problem !== undefined && { problem }),
  };
  if (problem !== undefined || pod === undefined) return { lifecycle, ...(pod && { pod }) };
  context.reporter.progress({ phase: 'health check' });
  const problems = await checkRevived(context, getProfile(agent.profile), dirs, done.expectations).catch(
    (error: unknown) => {
      throw addUnchecked(context, error, agent.label);
    },
  );
  timer.end('health check');
  return { lifecycle, pod, problems };
}

/** Says what a failure left on the disk, and starts an agent again that was stopped, if its files are what they were. */
export async function explainFailure(
  context: OpsContext,
  open: OpenAgent,
  stopped: Runner | undefined,
  { isStartWanted }: InPlaceOptions,
  error: unknown,
): Promise<unknown> {
  const { agent } = open;
  const note = await readRestoreNote(context.home, agent);
  if (note?.phase === 'under-way') {
    const end = stopped === undefined ? '' : `, and ${agent.label} is stopped`;
    const hint = 'do it again, or take it back with molt restore --undo, before you start it';
    return addOutcome(context, error, `the restore broke off among its files${end}`, hint);
  }
  if (stopped === undefined) return addOutcome(context, error, 'no file was changed');
  const isBack = findRunning(agent.stateDir, [agent.stateDir]) !== undefined;
  const isLeft = isStartWanted === false || isBack;
  const { problem } = isLeft ? {} : await stopped.start();
  if (isLeft) await dropStopped(context.home, agent.label);
  const state = isBack ? 'runs' : isLeft ? 'is stopped' : problem ? `is stopped: ${problem}` : 'was started again';
  return addOutcome(context, error, `no file was changed, and ${agent.label} ${state}`);
}
