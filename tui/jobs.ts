// The work that a key starts: each is one operation, with its end told in lines. Nothing is written but here.

import { isMoltError, MoltError } from '../src/model/error.ts';
import { shortId } from '../src/model/ids.ts';
import { formatCount, formatDuration, formatSize } from '../src/model/text.ts';
import type { OpsContext } from '../src/ops/context.ts';
import { openAgent } from '../src/ops/open.ts';
import type { Request, Undo } from './state.ts';

/** How work ended. */
export interface Outcome {
  /** The first one says what was done. */
  readonly lines: readonly string[];
  readonly undo?: Undo | undefined;
}

/** What work may ask. */
export type Ask = (question: string) => Promise<boolean>;

/** Does what is asked for. @throws {MoltError} what the operation throws */
export async function runJob(context: OpsContext, label: string, request: Request, ask: Ask): Promise<Outcome> {
  switch (request.verb) {
    case 'commit':
      return commit(context, label, request.message);
    case 'push':
      return pushAll(context, label);
    case 'verify':
      return verify(context, label);
    case 'remove-pod':
      return removeRestored(context, request.name);
    case 'restore': {
      const ways = { pod: restorePod, folder: restoreFolder, 'in-place': restoreInPlace };
      return ways[request.target](context, label, request, ask);
    }
  }
}

async function commit(context: OpsContext, label: string, message: string | undefined): Promise<Outcome> {
  const { backUp } = await import('../src/ops/backup.ts');
  // What a person names is a manual backup, as `commit -m` makes no tag.
  const options = { kind: 'incremental', trigger: 'tui', ...(message !== undefined && { message }) } as const;
  const { id, unchanged, files, bytes, skipped } = await backUp(context, label, options);
  const lost = skipped.map(({ path, reason }) => `! not saved: ${path}: ${reason}`);
  if (unchanged) return { lines: [`nothing changed since ${shortId(id)}: that is the newest backup still`, ...lost] };
  const { added, modified, removed } = files;
  return {
    lines: [`saved ${shortId(id)}: +${added} ~${modified} -${removed}, ${formatSize(bytes.stored)} stored`, ...lost],
  };
}

async function pushAll(context: OpsContext, label: string): Promise<Outcome> {
  const push = await import('../src/ops/push.ts');
  const { results, copies } = await push.pushAll(context, label);
  const lines = results.map((result) =>
    'error' in result
      ? `! ${result.remote}: ${result.error.message}`
      : `✓ ${result.remote}: ${result.bytes === 0 ? 'had everything' : `${formatSize(result.bytes)} sent`}`,
  );
  const failed = results.flatMap((result) => ('error' in result ? [result.error] : []));
  const [first] = failed;
  if (first !== undefined && copies === 0)
    throw new MoltError(first.code, lines.join('\n'), first.hint === undefined ? {} : { hint: first.hint });
  const hints = failed.flatMap(({ hint }) => (hint === undefined ? [] : [`  hint: ${hint}`]));
  return {
    lines: [
      `${formatCount(copies, 'remote')} of ${results.length} ${copies === 1 ? 'has' : 'have'} everything`,
      ...lines,
      ...hints,
    ],
  };
}

async function verify(context: OpsContext, label: string): Promise<Outcome> {
  const { verifyAgent, verifyFailure } = await import('../src/ops/verify.ts');
  const result = await verifyAgent(context, label, { readShare: 0, repair: false });
  const failure = verifyFailure(result, label);
  if (failure !== undefined) throw failure;
  const { segments, packs, objects, bytes } = result.checked;
  return {
    lines: [
      `all is well: ${formatCount(result.commits.total, 'commit')} can be brought back`,
      `${segments} segments, ${packs} packs, ${objects} objects, ${formatSize(bytes)} read, in ${formatDuration(result.durationMs)}`,
    ],
  };
}

type Restore = Extract<Request, { verb: 'restore' }>;

async function restorePod(
  context: OpsContext,
  label: string,
  { commit: id, name }: Restore,
  ask: Ask,
): Promise<Outcome> {
  const { applyPodRestore, planPodRestore } = await import('../src/ops/restore-pod.ts');
  const { findMoment } = await import('../src/ops/restore.ts');
  await using open = await openAgent(context, label);
  const moment = await findMoment(context, open, { revision: id, timestamp: undefined });
  const plan = await planPodRestore(context, open, moment, name);
  const done = await applyPodRestore(context, open, plan, { ask });
  const { pod, problems, hazards } = done;
  const health =
    pod === undefined
      ? `pod ${name} was not started`
      : problems.length === 0 && pod.healthy === true
        ? '✓ the pod is healthy, and has the sessions, jobs and memory of that moment'
        : '! the pod runs, but lacks something of that moment:';
  return {
    lines: [
      `${shortId(id)} runs as pod ${name}: ${formatCount(done.files.written, 'file')}, ${formatSize(done.bytes.written)}`,
      health,
      ...problems.map((problem) => `  ${problem}`),
      ...(pod?.endpoint === undefined ? [] : [`endpoint: ${pod.endpoint}`]),
      ...hazards.map(({ text }) => `note: ${text}`),
      'z takes it back: the pod is removed again',
    ],
    undo: { kind: 'pod', name },
  };
}

async function restoreFolder(context: OpsContext, label: string, { commit: id, name }: Restore): Promise<Outcome> {
  const { applyRestore, planRestore } = await import('../src/ops/restore.ts');
  await using open = await openAgent(context, label);
  const plan = await planRestore(context, open, { revision: id, timestamp: undefined, dir: name });
  const { files, bytes } = await applyRestore(context, open, plan);
  return {
    lines: [`${shortId(id)} is in ${plan.dir}: ${formatCount(files.written, 'file')}, ${formatSize(bytes.written)}`],
  };
}

async function restoreInPlace(context: OpsContext, label: string, { commit: id }: Restore, ask: Ask): Promise<Outcome> {
  const { restoreAgent } = await import('../src/ops/restore-agent.ts');
  await using open = await openAgent(context, label);
  const done = await restoreAgent(context, open, id, { ask });
  const { files, bytes, safety, lifecycle, pod, problems = [], hazards } = done;
  return {
    lines: [
      `${label} is as in ${shortId(id)}: ${formatCount(files.written, 'file')} written (${formatSize(bytes.written)}), ${files.removed} removed`,
      ...(safety === undefined ? [] : [`what was there before is ${shortId(safety)}; z brings it back`]),
      ...(lifecycle?.problem === undefined ? [] : [`! it could not be started: ${lifecycle.problem}`]),
      ...(lifecycle?.stopped === true
        ? [`it was stopped first, and ${lifecycle.started ? 'runs again' : 'is stopped'}`]
        : []),
      ...(pod === undefined
        ? []
        : [
            `${pod.healthy === true ? '✓ healthy' : '! not healthy'}${pod.endpoint === undefined ? '' : `, endpoint: ${pod.endpoint}`}`,
          ]),
      ...problems.map((problem) => `! missing: ${problem}`),
      ...hazards.map((hazard) => `note: ${hazard}`),
    ],
    undo: { kind: 'in-place' },
  };
}

/** Takes a restore into a pod back: the pod goes, and the name of its agent; its branch and every backup stay. */
async function removeRestored(context: OpsContext, name: string): Promise<Outcome> {
  const [{ getPod }, { stopPod }, { removePod }, { applyAgentRemoval, planAgentRemoval }] = await Promise.all([
    import('../src/ops/pod-look.ts'),
    import('../src/ops/pods.ts'),
    import('../src/ops/pod-removal.ts'),
    import('../src/ops/agent.ts'),
  ]);
  const pod = await getPod(context, name);
  await stopPod(context, pod);
  const { dir, agent } = await removePod(context, pod);
  const lines = [`pod ${name} is stopped and removed, with ${dir}`];
  // Only the agent that came with it.
  if (agent !== name) return { lines };
  try {
    const plan = await planAgentRemoval(context, agent, { repository: false });
    await applyAgentRemoval(context, plan);
    lines.push(`the name ${agent} is free again; branch ${plan.branch} and every backup stay`);
  } catch (error) {
    if (!isMoltError(error, 'NOT_FOUND')) throw error;
  }
  return { lines };
}
