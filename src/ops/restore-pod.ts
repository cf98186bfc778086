// Restores a moment as a pod of its own: files into a new folder, bound to where they are, started, and asked for what the commit holds.
// What it is restored from is left alone. Until the pod is healthy a note lies in its folder, and doing the same again goes on from there.

import { join } from 'node:path';
import { getProfile, type Profile } from '../agent/profile.ts';
import type { Binding, Expectations, Hazard, RebindChange, RootDirs } from '../agent/revival.ts';
import { flushTree } from '../agent/rehydrate.ts';
import type { RestoreEntry } from '../model/entry.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { shortId } from '../model/ids.ts';
import { systemFailure } from '../model/system-error.ts';
import { fillText, parsePodSpec, type PodSpec } from '../pod/spec.ts';
import { acceptSpec } from './accept-spec.ts';
import { lockAgent } from './agent-lock.ts';
import { moveRef } from './branch.ts';
import {
  AGENT_FILE,
  POD_FILE,
  readCommitView,
  readDescription,
  readRestoreEntries,
  readRoots,
} from './commit-files.ts';
import type { OpsContext } from './context.ts';
import { agentExists, checkLabel, type Agent } from './home.ts';
import type { OpenAgent } from './open.ts';
import { addOutcome, addUnchanged, addUnchangedIfCutOff, addUnchecked } from './outcome.ts';
import { PhaseTimer, type Phase } from './phase-timer.ts';
import { placeFiles } from './place-files.ts';
import { generationDir } from './pod-folders.ts';
import { podDir, type PodRecord } from './pod-record.ts';
import { dropPodRestoreNote, readPodRestoreNote, writePodRestoreNote } from './pod-restore-note.ts';
import { findPod } from './pod-look.ts';
import { checkRuntime, inspectPod, makePod, podExists, startPod, type PodSummary } from './pods.ts';
import { checkRefIsFree, refName } from './ref-name.ts';
import { recordRun } from './record-run.ts';
import { removeTree } from './remove-tree.ts';
import { restoreOutcome, type Moment } from './restore.ts';
import { checkRevived, checkInstalled } from './revived.ts';

/** How to go about it. */
export interface PodRestoreOptions {
  /** Whether the pod is started; true unless given. */
  readonly isStartWanted?: boolean | undefined;
  /** Whether a state of a newer program than is known or installed is restored all the same. */
  readonly isForced?: boolean | undefined;
  /** Whether it is only a trial: then it gets no branch, and there is no agent of its name. */
  readonly isDrill?: boolean | undefined;
  /** Asks this machine's user whether a pod that the backup brings along may be run. */
  readonly ask: (question: string) => Promise<boolean>;
}

/** What will be restored, and how it will be run. */
export interface PodPlan extends Moment {
  /** What it is restored from. */
  readonly agent: string;
  /** What the pod, the agent in it and its branch will be called. */
  readonly target: string;
  /** The state folder that it will have; absolute. */
  readonly dir: string;
  readonly files: number;
  readonly bytes: number;
  readonly entries: readonly RestoreEntry[];
  readonly spec: PodSpec;
  readonly profile: Profile;
  /** The version of the program that wrote the state, if the commit tells. */
  readonly programVersion: string | undefined;
  /** Where its roots were, and will be. */
  readonly from: RootDirs;
  readonly to: RootDirs;
  readonly phases: readonly Phase[];
}

/** What came of it. */
export interface PodRestoreResult {
  readonly files: { readonly written: number; readonly removed: number; readonly unchanged: number };
  readonly bytes: { readonly fetched: number; readonly written: number };
  readonly phases: readonly Phase[];
  readonly hazards: readonly Hazard[];
  readonly rebound: readonly RebindChange[];
  readonly record: PodRecord;
  /** The running pod; undefined if it was not to be started. */
  readonly pod: PodSummary | undefined;
  /** What of the commit the running agent does not have, as sentences; empty if it has all of it. */
  readonly problems: readonly string[];
}

/**
 * Finds out what a restore into a new pod will write and run.
 * @throws {MoltError} USAGE when the name can't be one, NOT_FOUND, DAMAGED
 */
export async function planPodRestore(
  context: OpsContext,
  open: OpenAgent,
  moment: Moment,
  target: string,
): Promise<PodPlan> {
  const timer = new PhaseTimer(context);
  checkLabel(target);
  const { repository, agent } = open;
  const view = await readCommitView(repository, moment.commit);
  const [entries, roots, said, pod] = [
    await readRestoreEntries(repository, view),
    await readRoots(repository, view),
    await readDescription(repository, view, AGENT_FILE),
    await readDescription(repository, view, POD_FILE),
  ];
  const profileName = said['profile'] === 'openclaw' ? 'openclaw' : 'generic';
  const generation = generationDir(context.home, target, 1);
  const files = entries.filter((entry) => entry.type !== 'directory');
  timer.end('plan');
  return {
    ...moment,
    agent: agent.label,
    target,
    dir: join(generation, 'state'),
    files: files.length,
    bytes: files.reduce((sum, entry) => sum + entry.sizeBytes, 0),
    entries,
    spec: parsePodSpec(pod, { profile: profileName }),
    profile: getProfile(profileName),
    programVersion: typeof said['programVersion'] === 'string' ? said['programVersion'] : undefined,
    from: new Map(roots.map(({ key, dir }) => [key, dir])),
    to: new Map(roots.map(({ key }) => [key, join(generation, key)])),
    phases: timer.phases,
  };
}

/**
 * Carries a plan out. What fails before the files are whole leaves nothing; what fails later leaves a stopped pod, and says where it is.
 * Doing the same again ends it.
 * @throws {MoltError} EXISTS when the name is taken, LOCKED when the same is restored by another molt; NOT_FOUND or UNHEALTHY without a
 *   runtime; NEWER_FORMAT when a newer program wrote the state; UNHEALTHY when the pod does not become healthy; what the files throw
 */
export async function applyPodRestore(
  context: OpsContext,
  open: OpenAgent,
  plan: PodPlan,
  options: PodRestoreOptions,
): Promise<PodRestoreResult> {
  return recordRun(
    context,
    { verb: 'restore', detail: `pod ${plan.target}` },
    async (quiet, note) => {
      note.opened(open);
      return restorePod(quiet, open, plan, options);
    },
    ({ bytes, problems }) => restoreOutcome(plan.commit, bytes, problems),
  );
}

async function restorePod(
  context: OpsContext,
  open: OpenAgent,
  plan: PodPlan,
  options: PodRestoreOptions,
): Promise<PodRestoreResult> {
  const { home } = context;
  const { target, dir: stateDir } = plan;
  const timer = new PhaseTimer(context);
  using _ = lockAgent(home, { label: target, stateDir }, 'restore');
  context.reporter.progress({ phase: 'provision' });
  const isStartWanted = options.isStartWanted !== false;
  const begun = await prepare(context, open, plan, options).catch((error: unknown) => {
    throw addUnchangedIfCutOff(context, error);
  });
  const checked = isStartWanted && options.isForced !== true ? checkInstalled(context, plan) : Promise.resolve();
  // It is waited for before the start; until then its failure must not count as one that nobody handles.
  checked.catch(() => undefined);
  timer.end('provision');
  const made = begun ?? (await makeAll(context, open, plan, { ...options, checked, timer }));
  const done = {
    files: { written: plan.files, removed: 0, unchanged: 0 },
    bytes: { fetched: open.fetchedBytes?.() ?? 0, written: plan.bytes },
    hazards: made.hazards,
    rebound: made.rebound,
    record: made.record,
  };
  // What came straight from a remote is only at its end when its history is here too (adopt-pod.ts).
  const isAtEnd = open.fetchedBytes === undefined;
  if (!isStartWanted) {
    if (isAtEnd) await dropPodRestoreNote(home, target);
    return { ...done, phases: [...plan.phases, ...timer.phases], pod: undefined, problems: [] };
  }
  for (const { text } of made.hazards) context.reporter.warn(text);
  const pod = await startMade(context, plan, made.record);
  timer.end('start');
  context.reporter.progress({ phase: 'health check' });
  const problems = await checkRevived(context, plan.profile, plan.to, made.expectations).catch((error: unknown) => {
    throw addUnchecked(context, error, target);
  });
  timer.end('health check');
  if (problems.length === 0 && isAtEnd) await dropPodRestoreNote(home, target);
  return { ...done, phases: [...plan.phases, ...timer.phases], pod, problems };
}

/** Checks that it can be made, and run; returns what was made of it before, if it was. */
async function prepare(
  context: OpsContext,
  open: OpenAgent,
  plan: PodPlan,
  options: PodRestoreOptions,
): Promise<Made | undefined> {
  context.signal?.throwIfAborted();
  const begun = await findBegun(context, open, plan);
  if (begun === undefined) await acceptPlanned(context, open, plan, options);
  if (options.isStartWanted !== false) await checkRuntime(plan.spec, { name: plan.target, stateDir: plan.dir });
  return begun;
}

interface Made {
  readonly record: PodRecord;
  readonly expectations: Expectations;
  readonly hazards: readonly Hazard[];
  readonly rebound: readonly RebindChange[];
}

/**
 * Returns what the same restore made before it was cut off, if its files are whole; removes what it made if they are not.
 * @throws {MoltError} EXISTS when the name belongs to something else
 */
async function findBegun(
  context: OpsContext,
  { repository, fetchedBytes }: OpenAgent,
  plan: PodPlan,
): Promise<Made | undefined> {
  const { home } = context;
  const { target } = plan;
  const [note, record, agent] = [
    await readPodRestoreNote(home, target),
    await findPod(context, target),
    await home.findAgent(target),
  ];
  const isOwn = note !== undefined && note.commit === plan.commit && note.generation === 1;
  const isKnown = fetchedBytes === undefined ? agent?.stateDir === plan.dir : agent === undefined;
  if (isOwn && record !== undefined && isKnown && note.expectations !== undefined)
    return { record, expectations: note.expectations, hazards: [], rebound: [] };
  if (agent !== undefined) throw taken(agentExists(target));
  if (record !== undefined && note === undefined) throw taken(podExists(target));
  if (note !== undefined && !isOwn)
    throw new MoltError('EXISTS', `a restore of ${shortId(note.commit)} as "${target}" was cut off`, {
      hint: `do that again, or choose another name; molt pod remove ${target} gives it up`,
    });
  // A branch without an agent is what a restore that was killed late leaves.
  if (repository.refs.get(refName('branch', target)) !== plan.commit) checkRefIsFree(repository, 'branch', target);
  await removeMade(context, target);
  return undefined;
}

function taken(error: MoltError): MoltError {
  return new MoltError(error.code, error.message, {
    hint: 'choose another name for --target; --in-place puts an agent itself back',
  });
}

/** Lets this machine's user decide about a pod that the backup brings along. */
async function acceptPlanned(
  context: OpsContext,
  { agent, repository }: OpenAgent,
  { spec }: PodPlan,
  { ask, isStartWanted }: PodRestoreOptions,
): Promise<void> {
  if (isStartWanted === false) return;
  const agents = (await context.home.listAgents()).filter((one) => one.repository === agent.repository);
  const known = agents.flatMap(({ label: name, profile, pod }) =>
    pod === undefined ? [] : [parsePodSpec({ name, ...pod }, { profile })],
  );
  await acceptSpec(context, spec, { repository: repository.id, known, ask });
}

/** Makes files, branch, pod and agent; nothing of them stays if one can't be made. */
async function makeAll(
  context: OpsContext,
  open: OpenAgent,
  plan: PodPlan,
  { isForced, isDrill, checked, timer }: PodRestoreOptions & { checked: Promise<void>; timer: PhaseTimer },
): Promise<Made> {
  const { home } = context;
  const { target, commit, spec, profile, from, to, dir: stateDir } = plan;
  try {
    await writePodRestoreNote(home, target, { commit, generation: 1 });
    const running = isDrill === true ? quietSpec(spec) : spec;
    const made = { name: target, agent: target, spec: running, stateDir, generation: 1, commit };
    const record = await makePod(context, made);
    await placeFiles(context, open.repository, plan.entries, generationDir(home, target, 1));
    timer.end(open.fetchedBytes === undefined ? 'rehydrate' : 'fetch and rehydrate');
    context.reporter.progress({ phase: 're-bind' });
    const [expectations, hazards] = [
      await profile.readExpectations({ from, to }),
      await profile.findHazards({ from, to }, context.clock.now()),
    ];
    // What a newer program wrote is refused for that, and not for what of it could not be bound.
    await checked;
    const rebound = await profile.rebind({
      from,
      to,
      ports: publicPorts(record),
      token: newToken(context),
      bindings: bindingsOf(record),
      isForced,
    });
    timer.end('re-bind');
    context.reporter.progress({ phase: 'flush' });
    await flushTree(generationDir(home, target, 1));
    await writePodRestoreNote(home, target, { commit, generation: 1, expectations });
    if (isDrill !== true) await register(context, open, plan);
    timer.end('flush');
    return { record, expectations, hazards, rebound };
  } catch (error) {
    const failure = systemFailure(error, `cannot make pod "${target}"`, podDir(home, target));
    // What has its agent is whole.
    if ((await home.findAgent(target)) !== undefined) throw failure;
    await removeMade(context, target);
    throw addUnchanged(context, failure);
  }
}

async function removeMade({ home }: OpsContext, target: string): Promise<void> {
  await removeTree(podDir(home, target));
}

/** Gives the pod's agent a branch and a label of its own, the label last. A remote's agent gets them when its history is here. */
async function register(
  context: OpsContext,
  { agent, repository, fetchedBytes }: OpenAgent,
  plan: PodPlan,
): Promise<void> {
  if (fetchedBytes !== undefined) return;
  const { target, commit, dir: stateDir, spec, profile } = plan;
  const ref = refName('branch', target);
  if (!repository.refs.has(ref)) await moveRef(repository, { name: ref, from: undefined, to: commit });
  await context.home.addAgent(agentOf(context, { agent, target, stateDir, spec, profile: profile.name }));
}

/** Returns the agent that lives in a restored pod. */
export function agentOf(
  { clock }: OpsContext,
  made: { agent: Agent; target: string; stateDir: string; spec: PodSpec; profile: Agent['profile'] },
): Agent {
  const { name: _name, profile: _profile, ...pod } = made.spec.given;
  const { agent, target, stateDir, profile } = made;
  const { repository, include, exclude } = agent;
  return {
    label: target,
    repository,
    branch: target,
    stateDir,
    profile,
    include,
    exclude,
    pod: Object.keys(pod).length === 0 ? undefined : pod,
    createdMs: clock.now(),
  };
}

/** What keeps a copy of an agent to itself: OpenClaw's own switches, and one that any other agent may heed. */
const QUIET = { OPENCLAW_SKIP_CHANNELS: '1', OPENCLAW_SKIP_CRON: '1', MOLT_DRILL: '1' };

function quietSpec({ given, env, profile }: PodSpec): PodSpec {
  return parsePodSpec({ ...given, env: { ...env, ...QUIET } }, { profile });
}

/** Two that run must not open to one secret. */
function newToken({ random }: OpsContext): string {
  return random.bytes(24).toString('hex');
}

/** Returns the ports by which clients find a pod. */
export function publicPorts({ ports }: PodRecord): Record<string, number> {
  return Object.fromEntries(Object.entries(ports).map(([name, pair]) => [name, pair.public]));
}

/** Returns what a pod's spec wants in its files, filled in. A value that is a port alone is a number. */
export function bindingsOf({ spec, name, stateDir, ports }: PodRecord): Binding[] {
  return spec.bindings.map(({ file, path, value }) => {
    const text = fillText(value, { state: stateDir, name, ports });
    return { file, path, value: /^\{port:[^{}]+\}$/.test(value) ? Number(text) : text };
  });
}

/** Starts the pod, and says where it is if that fails. */
async function startMade(context: OpsContext, { target, dir }: PodPlan, record: PodRecord): Promise<PodSummary> {
  try {
    return await startPod(context, record);
  } catch (error) {
    // A restore that was cut off after the start.
    if (isMoltError(error, 'RUNNING')) return inspectPod(context, record);
    const again = `molt pod start ${target} tries again, molt pod remove ${target} gives it up`;
    const hint = isMoltError(error) && error.hint !== undefined ? `${error.hint}; ${again}` : again;
    throw addOutcome(context, error, `the restored state is whole in "${dir}"`, hint);
  }
}
