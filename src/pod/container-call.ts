// What a container engine is called with for a pod: pure, so that each word can be checked.

import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { podEnvironment } from './environment.ts';
import { POD_HOST } from './ports.ts';
import type { PodPlace } from './provider.ts';
import type { FilledPod } from './spec.ts';

/** Where a container gets its own instead of those of this machine. */
const FOREIGN = ['PATH', 'HOME'];
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Returns the name of a pod's container: that of the pod, told apart from another MOLT_HOME's. */
export function containerName({ name, dir }: PodPlace): string {
  return `molt-${name}-${createHash('sha256').update(dir).digest('hex').slice(0, 8)}`;
}

/**
 * Returns the words that start a pod's container.
 * @param envFile the file that its environment is in: values stand in no list of processes
 * @param user this process's ids, where the system has them
 * @throws {MoltError} USAGE when a container can't be made of the pod
 */
export function runWords(
  engine: 'podman' | 'docker',
  place: PodPlace,
  pod: FilledPod,
  { envFile, user }: { readonly envFile: string; readonly user: { readonly uid: number; readonly gid: number } },
): string[] {
  const [program = '', ...words] = pod.command;
  const folder = mountedFolder(place, pod);
  const { memory, cpu } = pod.resources;
  const seconds = String(Math.ceil(pod.stop.graceMs / 1000));
  return [
    ['run', '--detach'],
    ['--name', containerName(place)],
    ['--label', `molt.pod=${place.name}`],
    ['--label', `molt.generation=${pod.generation}`],
    ['--restart', 'unless-stopped'],
    // The same path inside: what the state knows of its own place stays true.
    ['--volume', `${folder}:${folder}`],
    ['--workdir', pod.cwd],
    ['--env-file', envFile],
    ...Object.values(pod.ports).map((pair) => ['--publish', `${POD_HOST}:${pair.public}:${pair.private}`]),
    ['--stop-signal', pod.stop.signal],
    ['--stop-timeout', seconds],
    memory === undefined ? [] : ['--memory', `${bytesOf(memory)}b`],
    cpu === undefined ? [] : ['--cpus', cpusOf(cpu)],
    // Files that the agent writes have to be this user's.
    engine === 'docker' ? ['--user', `${user.uid}:${user.gid}`] : user.uid === 0 ? [] : ['--userns', 'keep-id'],
    ['--entrypoint', program, imageOf(pod), ...words],
  ].flat();
}

/**
 * Returns the content of the file that a container's environment is in.
 * @throws {MoltError} USAGE when a value has several lines, which such a file can't hold
 */
export function envFileOf(
  pod: FilledPod,
  surroundings: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const envAllow = pod.envAllow.filter((name) => !FOREIGN.includes(name));
  const lines = Object.entries(podEnvironment({ env: pod.env, envAllow }, surroundings)).map(([name, value]) => {
    if (!/[\r\n]/.test(value)) return `${name}=${value}\n`;
    throw new MoltError(
      'USAGE',
      `"env.${name}" of pod "${pod.name}" has several lines, which no container can be given`,
    );
  });
  return lines.join('');
}

/** Returns the pod's image. @throws {MoltError} USAGE when it has none */
export function imageOf({ name, image }: FilledPod): string {
  if (image !== undefined) return image;
  throw new MoltError('USAGE', `pod "${name}" has no image, and a container needs one`, {
    hint: 'give one in its pod.json: "image": "docker.io/library/node:24"',
  });
}

/** The whole generation, with the folders beside the state; only the state where that lies elsewhere. */
function mountedFolder({ dir }: PodPlace, { stateDir, generation, name }: FilledPod): string {
  const own = join(dir, `gen-${generation}`);
  const folder = dirname(stateDir) === own ? own : stateDir;
  if (!folder.includes(':')) return folder;
  throw new MoltError(
    'USAGE',
    `the state of pod "${name}" lies in "${folder}", and no container can be given a path with a colon`,
  );
}

function bytesOf(value: unknown): number {
  const [, number = '', unit = ''] = /^([0-9]+(?:\.[0-9]+)?)\s*([kmgt]i?)?b?$/i.exec(String(value)) ?? [];
  const bytes = Number(number) * (UNITS[unit.toLowerCase()] ?? 0);
  if (number !== '' && bytes > 0) return Math.round(bytes);
  throw new MoltError('USAGE', 'this is no pod.json: "resources.memory" is no size, as 8Gi is');
}

function cpusOf(value: unknown): string {
  const [, number = '', milli] = /^([0-9]+(?:\.[0-9]+)?)(m)?$/.exec(String(value)) ?? [];
  if (number !== '') return String(Number(number) / (milli === undefined ? 1 : 1000));
  throw new MoltError('USAGE', 'this is no pod.json: "resources.cpu" is no number of processors, as 2 and 500m are');
}
