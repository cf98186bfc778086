// What `molt run` starts: the command of the line, else what this machine's user gave with the agent, else the pod.json of its newest
// commit, if the user agrees to that, else what its profile runs.

import { MoltError } from '../model/error.ts';
import { withoutSecrets } from '../model/secret-variables.ts';
import { fillIn, parsePodSpec, type FilledPod, type PodSpec } from '../pod/spec.ts';
import { acceptSpec } from './accept-spec.ts';
import { POD_FILE, readCommitView, readDescription } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { openAgent } from './open.ts';
import { findPodOf } from './pod-look.ts';
import { getHead } from './revision.ts';

/** Where what is run comes from. */
export interface FindPodOptions {
  /** Words; none to run what the agent's pod says. */
  readonly command: readonly string[];
  /** Asks whether what a repository brings may be run; throws USAGE where nobody can be asked. */
  readonly ask: (question: string) => Promise<boolean>;
}

/**
 * Returns what to start. The agent listens on its own ports itself: it is run in the foreground, where nothing takes over from it.
 * @throws {MoltError} USAGE when there is no command, or nobody can be asked; INTERRUPTED when the user says no
 */
export async function findRunPod(
  context: OpsContext,
  agent: Agent,
  { command, ask }: FindPodOptions,
): Promise<FilledPod> {
  const record = await findPodOf(context, agent.label);
  const { label: name, profile, stateDir: state, repository } = agent;
  const given = await findSpec(context, agent, command);
  const spec: PodSpec = command.length === 0 ? given : { ...given, command, provider: 'process' };
  if (spec.command === undefined) throw noCommand(name);
  if (spec.provider !== 'process') {
    throw new MoltError('USAGE', `molt run starts processes, and the pod of ${name} is one of ${spec.provider}`, {
      hint: `molt pod start ${name}, or give a command behind --`,
    });
  }
  const known = [agent.pod && parsePodSpec(agent.pod, { profile }), record?.spec].filter((one) => one !== undefined);
  if (command.length === 0) await acceptSpec(context, spec, { repository, known, ask });
  const ports = Object.fromEntries(
    spec.ports.map(({ name: port, port: number }) => {
      const own = record?.ports[port]?.private ?? number;
      return [port, { public: own, private: own }];
    }),
  );
  const isLimited = spec.given['envAllow'] !== undefined;
  return {
    ...fillIn({ ...spec, front: false }, { state, name, ports, generation: record?.generation ?? 1 }),
    // Who writes the command of a container gives it its environment there.
    envAllow: isLimited ? spec.envAllow : Object.keys(withoutSecrets(process.env)),
  };
}

async function findSpec(context: OpsContext, agent: Agent, command: readonly string[]): Promise<PodSpec> {
  const { profile } = agent;
  const record = await findPodOf(context, agent.label);
  if (record !== undefined) return record.spec;
  if (agent.pod !== undefined) return parsePodSpec(agent.pod, { profile });
  // What a repository says beside the command needs the user's word as well.
  if (command.length > 0) return parsePodSpec({}, { profile });
  await using open = await openAgent(context, agent.label);
  const view = await readCommitView(open.repository, getHead(open));
  return parsePodSpec(await readDescription(open.repository, view, POD_FILE), { profile });
}

function noCommand(label: string): MoltError {
  return new MoltError('USAGE', `it is not known how ${label} is started`, {
    hint: `give the command behind --: molt run ${label} -- my-agent --port 8080; or in a pod.json, by molt init --pod`,
  });
}
