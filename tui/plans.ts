// What bringing a moment back would do, worked out by the operations' own plans and told in rows.

import type { CommitId } from '../src/model/ids.ts';
import { formatCount, formatDuration, formatSize } from '../src/model/text.ts';
import type { OpsContext } from '../src/ops/context.ts';
import type { OpenAgent } from '../src/ops/open.ts';
import { findMoment, planRestore } from '../src/ops/restore.ts';
import { line, span, type Line } from './line.ts';
import type { PlanView, Target } from './state.ts';

/** What is planned. */
export interface Planned {
  readonly commit: CommitId;
  readonly target: Target;
  /** Of the pod or folder. */
  readonly name: string;
  readonly isUndo: boolean;
}

/** What a two-core machine writes of a restore in a millisecond, rounded down. */
const BYTES_PER_MS = 150_000;

/** Works out what a restore would do. @throws {MoltError} what planning it throws */
export async function makePlan(context: OpsContext, open: OpenAgent, planned: Planned): Promise<PlanView> {
  switch (planned.target) {
    case 'pod':
      return planPod(context, open, planned);
    case 'folder':
      return planFolder(context, open, planned);
    case 'in-place':
      return planInPlace(context, open, planned);
  }
}

async function planPod(context: OpsContext, open: OpenAgent, { commit, name }: Planned): Promise<PlanView> {
  const [{ planPodRestore }, { findHazardsOf }] = await Promise.all([
    import('../src/ops/restore-pod.ts'),
    import('../src/ops/hazards.ts'),
  ]);
  const moment = await findMoment(context, open, { revision: commit, timestamp: undefined });
  const plan = await planPodRestore(context, open, moment, name);
  const hazards = await findHazardsOf(context, open, plan);
  const starts = plan.spec.command?.join(' ') ?? 'nothing: its pod.json has no command';
  return {
    commit,
    lines: [
      row('into', `${plan.dir} (new)`),
      row('writes', `${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}, in about ${about(plan.bytes)}`),
      row('replaces', `nothing: ${plan.agent} is left alone`),
      row('starts', starts),
      ...hazardRows(hazards),
    ],
    typed: undefined,
    refused: undefined,
  };
}

async function planFolder(context: OpsContext, open: OpenAgent, { commit, name }: Planned): Promise<PlanView> {
  const plan = await planRestore(context, open, { revision: commit, timestamp: undefined, dir: name });
  return {
    commit,
    lines: [
      row('into', `${plan.dir} (new)`),
      row('writes', `${formatCount(plan.files, 'file')}, ${formatSize(plan.bytes)}, in about ${about(plan.bytes)}`),
      row('replaces', 'nothing'),
    ],
    typed: undefined,
    refused: undefined,
  };
}

async function planInPlace(context: OpsContext, open: OpenAgent, { commit, isUndo }: Planned): Promise<PlanView> {
  const [{ planAgent }, { findUndo }] = await Promise.all([
    import('../src/ops/restore-agent.ts'),
    import('../src/ops/in-place.ts'),
  ]);
  const wanted = isUndo ? await findUndo(context, open) : commit;
  const { files, bytes, hazards, isRefused, switch: way } = await planAgent(context, open, wanted, {});
  const { label, stateDir } = open.agent;
  const ways = {
    beside: 'another generation starts beside it, and takes over once it is healthy',
    'stop-first': 'it is stopped, its files are replaced, and it is started again',
  };
  return {
    commit: wanted,
    lines: [
      row('where', stateDir),
      row(
        'writes',
        `${formatCount(files.written, 'file')}, ${formatSize(bytes.written)}, in about ${about(bytes.written)}`,
      ),
      row('removes', formatCount(files.removed, 'file')),
      row('stays', formatCount(files.unchanged, 'file')),
      row('before', 'what is there now is saved; z brings it back'),
      ...(way === undefined ? [] : [row('runs', ways[way])]),
      ...hazardRows(hazards),
    ],
    typed: label,
    refused:
      isRefused === true ? 'the agent runs, and molt does not know how to stop it: stop it yourself first' : undefined,
  };
}

function about(bytes: number): string {
  return formatDuration(Math.max(1000, Math.ceil(bytes / BYTES_PER_MS)));
}

function row(name: string, text: string): Line {
  return { left: [span(name.padEnd(10), 'faint'), span(text)] };
}

function hazardRows(hazards: readonly string[]): Line[] {
  if (hazards.length === 0) return [row('hazards', 'none seen')];
  return [
    line('hazards', 'warning'),
    ...hazards.map((hazard): Line => ({ left: [span('  ! ', 'warning'), span(hazard)] })),
  ];
}
