// Figures of the tests for people, and the small comparisons that they share.

import type { ExecutionContext } from 'ava';

interface Timed {
  readonly phases: readonly { readonly name: string; readonly durationMs: number }[];
}

/** The steps of a restore that are the agent's own time and not molt's. */
const AGENT_PHASES = /^(stop|start|health check)$/;

/** Logs how long each step of a restore took, and how much of it was molt's, beside the start of the same program without molt. */
export function logPhases(t: ExecutionContext, what: string, { phases }: Timed, ownStartMs?: number): void {
  const beside = ownStartMs === undefined ? '' : `; OpenClaw alone takes ${seconds(ownStartMs)} to start`;
  const ours = phases.filter(({ name }) => !AGENT_PHASES.test(name));
  t.log(`${what}: ${seconds(sum(phases))}, of it molt ${seconds(sum(ours))}${beside}`);
  t.log(phases.map(({ name, durationMs }) => `${name} ${Math.round(durationMs)} ms`).join(', '));
}

/** Returns the sum of the durations. */
export function sum(phases: Timed['phases']): number {
  return phases.reduce((total, { durationMs }) => total + durationMs, 0);
}

/** Returns a duration for people. */
export function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

/** Returns what of a list is not in another one, or fails a test. */
export function missing(expected: readonly string[], found: readonly string[] | ((one: string) => boolean)): string[] {
  const has = typeof found === 'function' ? found : (one: string) => found.includes(one);
  return expected.filter((one) => !has(one));
}
