// What stops and starts an agent for a restore in place: its pod, if molt runs it, else the commands of its lifecycle.

import { findRunning } from '../agent/running.ts';
import { isMoltError } from '../model/error.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { findLifecycle, startAgent, stopAgent } from './lifecycle.ts';
import type { PodRecord } from './pod-record.ts';
import { findPodOf } from './pod-look.ts';
import { inspectPod, isPodStopped, startPod, stopPod, type PodSummary } from './pods.ts';
import { dropStopped, noteStopped } from './stopped-note.ts';

/** What came of starting an agent. */
export interface Started {
  /** What went wrong, if anything did. */
  readonly problem?: string | undefined;
  readonly pod?: PodSummary | undefined;
}

/** Stops and starts one agent. */
export interface Runner {
  /** Its pod, if it has one. */
  readonly pod: PodRecord | undefined;
  /** Says whether it has to be stopped before its files are replaced. */
  isUp(dirs: readonly string[]): Promise<boolean>;
  /**
   * Stops it, and waits until nothing of it is seen any more. That it is owed the start is noted before.
   * @param onStopped called as soon as it was told to stop, although it may take some time to end
   * @throws {MoltError} RUNNING, LOCKED, INTERRUPTED
   */
  stop(dirs: readonly string[], onStopped: () => void): Promise<void>;
  /** Starts it, also when molt is asked to end: it ran before. */
  start(): Promise<Started>;
}

/**
 * Returns what runs an agent, or undefined if molt can neither stop nor start it.
 * @throws {MoltError} USAGE when its lifecycle is not what it should be
 */
export async function findRunner(context: OpsContext, agent: Agent): Promise<Runner | undefined> {
  const pod = await findPodOf(context, agent.label);
  if (pod !== undefined && pod.stateDir === agent.stateDir) return podRunner(context, pod);
  const lifecycle = findLifecycle(agent);
  if (lifecycle === undefined) return undefined;
  return {
    pod: undefined,
    isUp: async (dirs) => findRunning(agent.stateDir, dirs) !== undefined,
    async stop(dirs, onStopped) {
      let isStopped = false;
      await noteStopped(context.home, agent.label);
      try {
        await stopAgent(context, agent, dirs, lifecycle, () => {
          isStopped = true;
          onStopped();
        });
      } catch (error) {
        if (!isStopped) await dropStopped(context.home, agent.label);
        throw error;
      }
    },
    async start() {
      const problem = await startAgent(context, agent, lifecycle);
      if (problem === undefined) await dropStopped(context.home, agent.label);
      return { problem };
    },
  };
}

/** Returns what runs a pod. */
export function podRunner(context: OpsContext, pod: PodRecord): Runner {
  return {
    pod,
    isUp: async () => !(await isPodStopped(context, pod)),
    async stop(_dirs, onStopped) {
      await stopPod(context, pod, onStopped);
    },
    async start() {
      const { signal: _signal, ...unhurried } = context;
      try {
        return { pod: await startPod(unhurried, pod) };
      } catch (error) {
        if (!isMoltError(error)) throw error;
        return { problem: error.message, pod: await inspectPod(unhurried, pod) };
      }
    },
  };
}
