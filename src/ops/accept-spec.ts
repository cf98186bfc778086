// Decides whether a pod's spec may be run on this machine. A pod.json in a repository may have been written by anybody who could
// commit: what it runs, and what it gets to see, is run only once this machine's user agreed to it.

import { createHash } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { printable } from '../model/printable.ts';
import { parsePodSpec, type PodSpec } from '../pod/spec.ts';
import type { OpsContext } from './context.ts';
import { isPodAccepted, rememberPod } from './trust.ts';

/** What a decision about a spec is made with. */
export interface AcceptOptions {
  readonly repository: RepositoryId;
  /** What this machine's user gave with `init --pod`, or accepted before (a pod's record). */
  readonly known?: readonly PodSpec[];
  /** Asks the user; throws USAGE where nobody can be asked, as a command's `confirm` does. */
  readonly ask: (question: string) => Promise<boolean>;
}

/**
 * Returns once the spec may be run here: it runs nothing but what its profile runs, this machine's user gave or accepted it before, or
 * does so now. What was accepted is remembered for the repository.
 * @throws {MoltError} INTERRUPTED when the user says no, USAGE when nobody can be asked
 */
export async function acceptSpec({ home }: OpsContext, spec: PodSpec, options: AcceptOptions): Promise<void> {
  const { repository, known = [], ask } = options;
  const wanted = textOf(spec);
  const harmless = [parsePodSpec({}, { profile: spec.profile }), ...known];
  if (spec.command === undefined || harmless.some((one) => textOf(one) === wanted)) return;
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 32);
  if (await isPodAccepted(home, repository, hash)) return;
  const question = `The backup brings its own pod.json, which nobody accepted on this machine yet. It would run:\n${describeSpec(spec)}\nRun this here?`;
  const isAccepted = await ask(question).catch((error: unknown) => {
    throw error instanceof MoltError && error.code === 'USAGE' ? unaccepted(spec) : error;
  });
  if (!isAccepted) {
    throw new MoltError('INTERRUPTED', 'the pod was not accepted; nothing was changed', {
      hint: 'molt restore --to DIR brings back the files alone',
    });
  }
  await rememberPod(home, repository, hash);
}

/** Returns what a spec would run and get to see, as lines for people. */
export function describeSpec(spec: PodSpec): string {
  const { command, cwd, env, envAllow, health, lifecycle, provider, image } = spec;
  const lines: [string, string][] = [
    ['command', words(command ?? [])],
    ['in', cwd],
    [
      'with',
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    ],
    ['and, from here,', envAllow.join(' ')],
    ['by', image === undefined ? provider : `${provider}, image ${image}`],
    ['health check', words(health.command ?? [])],
    ['to stop it', words(lifecycle?.stop ?? [])],
    ['to start it', words(lifecycle?.start ?? [])],
  ];
  return lines
    .filter(([, text]) => text !== '')
    .map(([name, text]) => `  ${name}: ${printable(text).replaceAll('\n', '\\n')}`)
    .join('\n');
}

function words(list: readonly string[]): string {
  return list.map((word) => (/^[\w@%+=:,./{}-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');
}

/** What of a spec can do harm, as text that is the same only for the same. */
function textOf({ command, cwd, env, envAllow, health, lifecycle, provider, image }: PodSpec): string {
  const sorted = Object.entries(env).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([
    command,
    cwd,
    sorted,
    [...envAllow].toSorted(),
    health.command ?? null,
    lifecycle ? [lifecycle.stop, lifecycle.start] : null,
    provider,
    image ?? null,
  ]);
}

function unaccepted(spec: PodSpec): MoltError {
  return new MoltError(
    'USAGE',
    `the pod.json of the backup was not accepted on this machine, and nobody can be asked; it would run:\n${describeSpec(spec)}`,
    { hint: 'read it, and give --yes to accept it; molt restore --to DIR brings back the files alone' },
  );
}
