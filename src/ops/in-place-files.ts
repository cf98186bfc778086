// The part of a restore in place that changes the agent's files, once nothing of it runs: a safety commit first, then everything that
// differs is staged and checked, and only then switched. A crash leaves a note behind.

import { mkdirSync, readdirSync } from 'node:fs';
import { getProfile } from '../agent/profile.ts';
import { flushTree } from '../agent/rehydrate.ts';
import type { Expectations } from '../agent/revival.ts';
import { findRunning } from '../agent/running.ts';
import { switchFiles } from '../agent/switch.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { checkSaved, comparePlan, type Wanted } from './in-place-plan.ts';
import { saveFirst, type Saved } from './in-place-save.ts';
import { resultOf, type InPlaceOptions, type InPlaceResult } from './in-place-result.ts';
import { raiseIncarnation } from './incarnation.ts';
import type { OpenAgent } from './open.ts';
import type { PhaseTimer } from './phase-timer.ts';
import { dropRestoreNote, writeRestoreNote, type RestoreNote } from './restore-journal.ts';
import { bindingsOf, publicPorts } from './restore-pod.ts';
import type { Runner } from './runner.ts';
import { liveSide } from './side.ts';
import { dropStaged, stageFiles, type Staged } from './stage.ts';

/** What is known of the agent when its files are replaced. */
export interface Replacing {
  readonly dirs: ReadonlyMap<string, string>;
  /** Where the roots were when the commit was made. */
  readonly from: ReadonlyMap<string, string>;
  readonly pending: RestoreNote | undefined;
  readonly early: Staged | undefined;
  readonly runner: Runner | undefined;
  readonly timer: PhaseTimer;
}

/** What came of it. */
export interface Replaced {
  readonly result: Omit<InPlaceResult, 'phases'>;
  readonly expectations: Expectations;
  /** Whether nothing was there before. */
  readonly isEmpty: boolean;
}

/** Saves what is there, and puts a commit's files in its place, bound to where they are. */
export async function replaceFiles(
  context: OpsContext,
  open: OpenAgent,
  { commit, components, isForced, why = 'in-place' }: Wanted & Pick<InPlaceOptions, 'isForced' | 'why'>,
  { dirs, from, pending, early, runner, timer }: Replacing,
): Promise<Replaced> {
  const { agent } = open;
  const brokenOff = pending?.phase === 'under-way' ? pending : undefined;
  // What a broken-off restore left is no state of the agent's: the commit before it is the one to go back to. And where nothing is,
  // nothing is to be saved: a commit of it would be the newest, and the next one to be restored.
  const isEmpty = brokenOff === undefined && !hasFiles(dirs);
  const profile = getProfile(agent.profile);
  // A pod may have a token of its own, which its past, as another agent, did not have; its clients know no other.
  const token = runner?.pod === undefined ? undefined : await profile.readToken(agent.stateDir);
  for (const dir of dirs.values()) mkdirSync(dir, { recursive: true, mode: 0o700 });
  context.reporter.progress({ phase: 'save' });
  if (early === undefined) await dropStaged(dirs);
  const { safety, captured, copies }: Saved =
    brokenOff !== undefined || isEmpty
      ? {
          safety: brokenOff?.safety ?? commit,
          ...(await liveSide(context, open, { keepContent: false })),
          copies: undefined,
        }
      : await saveFirst(context, open, { commit, components }, dirs, early);
  const plan = await comparePlan(open, { commit, components }, dirs, captured);
  timer.end('save');
  await writeRestoreNote(context.home, agent, { phase: 'under-way', commit, safety, components });
  let staged: Staged;
  try {
    staged = await stageFiles(context, open, plan, 'late', { early, copies });
    refuseRunning(agent, dirs);
    checkSaved(plan);
  } catch (error) {
    // Nothing of the agent was touched, unless an earlier restore broke off. Should this fail too, the note says more than happened.
    const undo = async (): Promise<void> => {
      await dropStaged(dirs);
      if (pending === undefined) await dropRestoreNote(context.home, agent);
      else await writeRestoreNote(context.home, agent, pending);
    };
    await undo().catch(() => undefined);
    throw error;
  }
  timer.end('stage');
  context.reporter.progress({ phase: 'switch' });
  switchFiles({ ...plan, stages: new Map([...staged].map(([path, { stage }]) => [path, stage])) });
  const relocation = { from, to: dirs };
  const expectations = await profile.readExpectations(relocation);
  const rebound = await profile.rebind({
    ...relocation,
    ports: runner?.pod === undefined ? {} : publicPorts(runner.pod),
    bindings: runner?.pod === undefined ? [] : bindingsOf(runner.pod),
    token,
    isForced,
  });
  await Promise.all([...dirs.values()].map((dir) => flushTree(dir)));
  await raiseIncarnation(context, open, { commit, why });
  await writeRestoreNote(context.home, agent, { phase: 'done', commit, safety, components });
  timer.end('switch');
  return { result: { ...resultOf(plan, isEmpty ? undefined : safety), rebound }, expectations, isEmpty };
}

/** @throws {MoltError} RUNNING when something of the agent runs */
export function refuseRunning(agent: Agent, dirs: ReadonlyMap<string, string>): void {
  const running = findRunning(agent.stateDir, [...dirs.values()]);
  if (running === undefined) return;
  throw new MoltError('RUNNING', `the agent runs: process ${running.pid}, ${running.evidence}`, {
    hint: `stop it and try again, restore into a new folder (--to DIR), or let molt stop and start it: a "lifecycle" under "pod" in agents/${agent.label}.json of molt’s folder, as its README shows`,
    details: { pid: running.pid },
  });
}

/** Says whether anything is in some folders. */
export function hasFiles(dirs: ReadonlyMap<string, string>): boolean {
  return [...dirs.values()].some((dir) => {
    try {
      return readdirSync(dir).length > 0;
    } catch (error) {
      // What can't be looked into is there.
      return !isSystemError(error, 'ENOENT');
    }
  });
}
