// What `molt restore` shows: plans and results of its three ways, as documents and as lines.

import type { Component } from '../model/component.ts';
import { shortId } from '../model/ids.ts';
import { formatJsonTime, formatTime } from '../model/time-format.ts';
import type { DrillResult } from '../ops/drill.ts';
import type { InPlaceResult } from '../ops/in-place-result.ts';
import type { Phase } from '../ops/phase-timer.ts';
import type { PodSummary } from '../ops/pods.ts';
import type { PodPlan, PodRestoreResult } from '../ops/restore-pod.ts';
import type { Moment } from '../ops/restore.ts';
import { formatCount, formatDuration, formatSize } from './text.ts';

/** What a two-core machine writes of a restore in a millisecond, rounded down: the estimate of a plan. */
const BYTES_PER_MS = 150_000;

/** Returns how far the commit is from the time that was asked for. */
export function distance(moment: Moment, requestedMs: number): string {
  return `the newest commit by ${formatTime(requestedMs)} is ${shortId(moment.commit)} of ${formatTime(moment.timeMs)}, ${formatDuration(requestedMs - moment.timeMs)} before`;
}

/** Returns the fields that say which moment it is. */
export function momentFields({ commit, timeMs, requestedMs }: Moment): object {
  const requested = requestedMs === undefined ? {} : { requestedTime: formatJsonTime(requestedMs) };
  return { commit, time: formatJsonTime(timeMs), ...requested };
}

/** Returns what is brought back alone, for the end of a line. */
export function partOf(components: readonly Component[] | undefined): string {
  return components === undefined ? '' : ` (${components.join(', ')} alone)`;
}

/** Returns the plan of a pod as a document. */
export function podPlanDocument(plan: PodPlan, hazards: readonly string[]): object {
  return {
    ...podFields(plan),
    mode: 'pod',
    dryRun: true,
    files: { written: plan.files, removed: 0, unchanged: 0 },
    bytes: { fetched: 0, written: plan.bytes },
    estimateMs: estimateMs(plan.bytes),
    phases: plan.phases,
    hazards,
  };
}

/** Returns the plan of a pod as lines. */
export function podPlanLines(plan: PodPlan, hazards: readonly string[], isStartWanted: boolean): string[] {
  const { target, spec, dir } = plan;
  return [
    `would restore ${describeMoment(plan)} as the new pod "${target}"; ${plan.agent} is left alone`,
    `  into      ${dir}`,
    `  writes    ${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}, in about ${formatDuration(estimateMs(plan.bytes))}`,
    isStartWanted
      ? `  starts    ${spec.command?.join(' ') ?? 'nothing: its pod.json has no command'}`
      : '  starts    nothing',
    ...hazardLines(hazards),
  ];
}

/** Returns what a restore into a pod came to, as a document. */
export function podDocument(plan: PodPlan, done: PodRestoreResult): object {
  return {
    ...podFields(plan),
    mode: 'pod',
    dryRun: false,
    files: done.files,
    bytes: done.bytes,
    phases: done.phases,
    hazards: done.hazards.map(({ text }) => text),
    rebound: done.rebound,
    ...podOf(done.pod, done.problems),
  };
}

/** Returns what a restore into a pod came to, as lines. */
export function podLines(program: string, plan: PodPlan, done: PodRestoreResult): string[] {
  const { target } = plan;
  return [
    `restored ${describeMoment(plan)} as pod "${target}": ${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}`,
    ...phaseLines(done.phases),
    ...done.hazards.map(({ text }) => `note: ${text}`),
    ...(done.pod === undefined
      ? [`not started: ${program} pod start ${target} does`]
      : endpointLines(done.pod, done.problems)),
  ];
}

/** Returns what a drill came to, as a document. */
export function drillDocument({ plan, restored, recoveryTimeMs, recoveryPointMs }: DrillResult): object {
  return { ...podDocument(plan, restored), target: null, dir: null, mode: 'drill', recoveryTimeMs, recoveryPointMs };
}

/** Returns what a drill came to, as lines. */
export function drillLines({ plan, restored, recoveryTimeMs, recoveryPointMs }: DrillResult): string[] {
  return [
    `drilled ${describeMoment(plan)}: ${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}`,
    ...phaseLines(restored.phases),
    `recovery time   ${formatDuration(recoveryTimeMs)}, from the order to a healthy pod`,
    `recovery point  ${formatDuration(recoveryPointMs)}: what was written since would be lost`,
    ...restored.problems.map((problem) => `missing: ${problem}`),
    'the pod was stopped and removed again',
  ];
}

/** Returns what a restore in place came to, or would, as a document. */
export function inPlaceDocument(done: InPlaceResult): object {
  return {
    ...(done.safety !== undefined && { safety: done.safety }),
    ...(done.kept !== undefined && { kept: done.kept }),
    files: done.files,
    bytes: done.bytes,
    phases: done.phases,
    hazards: done.hazards,
    ...(done.switch && { switch: done.switch }),
    ...(done.rebound && { rebound: done.rebound }),
    ...(done.lifecycle && { lifecycle: done.lifecycle }),
    ...(done.unstarted !== undefined && { unstarted: done.unstarted }),
    ...podOf(done.pod, done.problems ?? []),
  };
}

/** Returns what a restore in place came to, or would, as lines. */
export function inPlaceLines(
  program: string,
  moment: Moment,
  done: InPlaceResult,
  { components, isDryRun }: { readonly components: readonly Component[] | undefined; readonly isDryRun: boolean },
): string[] {
  const { lifecycle, safety } = done;
  const verb = isDryRun ? 'would restore' : 'restored';
  return [
    `${verb} ${describeMoment(moment)} in place${partOf(components)}: ${countsOf(done)}`,
    ...(isDryRun ? switchLines(done) : phaseLines(done.phases)),
    ...done.hazards.map((hazard) => `note: ${hazard}`),
    ...(safety === undefined
      ? []
      : [
          `what was there before is ${shortId(safety)}: ${program} restore --undo brings it back`,
          'the next commit records what is there now',
        ]),
    ...(lifecycle?.stopped === true
      ? [`the agent was stopped first ${lifecycle.started ? 'and runs again' : 'and is stopped'}`]
      : []),
    ...(done.unstarted === undefined ? [] : [`not started: ${done.unstarted}`]),
    ...(done.pod === undefined || lifecycle?.started === false ? [] : endpointLines(done.pod, done.problems ?? [])),
  ];
}

function switchLines({ switch: mode, isRefused, bytes }: InPlaceResult): string[] {
  const about = `  time      about ${formatDuration(estimateMs(bytes.written))}`;
  if (mode === undefined) return [about];
  if (isRefused === true) return [about, '  refused   the agent runs, and molt does not know how to stop it'];
  return [
    about,
    mode === 'beside'
      ? '  beside    another generation is started beside it, and takes over once it is healthy'
      : '  stop-first  what differs is staged while it runs; then it is stopped, replaced and started',
  ];
}

function endpointLines({ endpoint, name }: PodSummary, problems: readonly string[]): string[] {
  if (problems.length > 0) return problems.map((problem) => `missing: ${problem}`);
  return [endpoint === undefined ? `pod ${name} is healthy` : `endpoint active: ${endpoint}`];
}

function phaseLines(phases: readonly Phase[]): string[] {
  const width = Math.max(...phases.map(({ name }) => name.length));
  return phases.map(({ name, durationMs }) => `  ${name.padEnd(width)}  ${formatDuration(durationMs)}`);
}

function hazardLines(hazards: readonly string[]): string[] {
  return hazards.length === 0 ? ['  hazards   none seen'] : hazards.map((hazard) => `  hazard    ${hazard}`);
}

function podOf(pod: PodSummary | undefined, problems: readonly string[]): object {
  if (pod === undefined) return {};
  const { name, endpoint, healthy, generation, dir } = pod;
  return {
    pod: { name, endpoint, healthy: healthy === true && problems.length === 0, generation, dir },
    ...(problems.length > 0 && { problems }),
  };
}

function podFields(plan: PodPlan): object {
  return { agent: plan.agent, target: plan.target, dir: plan.dir, ...momentFields(plan) };
}

function describeMoment({ commit, timeMs }: Moment): string {
  return `${shortId(commit)} of ${formatTime(timeMs)}`;
}

function countsOf({ files, bytes }: InPlaceResult): string {
  const { written, removed, unchanged } = files;
  return `${formatCount(written, 'file')} written (${formatSize(bytes.written)}), ${removed} removed, ${unchanged} unchanged`;
}

function estimateMs(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_MS);
}
