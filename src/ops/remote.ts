// Adds, lists and removes remotes. A remote is probed, on that very bucket or folder, before it is trusted with anything.

import { MoltError } from '../model/error.ts';
import type { CommitId, RepositoryId } from '../model/ids.ts';
import { formatJsonTime } from '../model/time-format.ts';
import type { ProbeReport } from '../storage/probe.ts';
import type { ObjectLock } from '../storage/remote.ts';
import type { OpsContext } from './context.ts';
import { resolveAgent } from './open.ts';
import {
  checkRemoteName,
  findRemote,
  forgetRemote,
  keepRemote,
  listRemotes,
  loadState,
  normalizeRemoteUrl,
  remoteExists,
  resolveRemote,
  type Remote,
} from './remotes.ts';

export type { ProbeReport };

/** What to add. */
export interface NewRemote {
  readonly name: string;
  readonly url: string;
  readonly lock?: ObjectLock | undefined;
  /** The user says that nobody else will ever write there. */
  readonly singleWriter: boolean;
}

/** A remote as `remote list` shows it. */
export interface RemoteSummary {
  readonly name: string;
  readonly url: string;
  readonly createOnce: string;
  readonly lock: ObjectLock | undefined;
  /** The tip of the agent's branch there, as it was last seen. */
  readonly head: CommitId | undefined;
  /** When the remote was last looked at or written to. */
  readonly seenTime: string | undefined;
}

/**
 * Probes a place and keeps it as a remote of an agent's repository.
 * @returns what the probe found; the remote was added if its verdict is `ok`
 * @throws {MoltError} EXISTS, USAGE, or what the place fails with
 */
export async function addRemote(
  context: OpsContext,
  label: string | undefined,
  { name, url: text, lock, singleWriter }: NewRemote,
): Promise<ProbeReport> {
  const { home, clock, signal, remoteOptions } = context;
  checkRemoteName(name);
  const url = normalizeRemoteUrl(text);
  const agent = await resolveAgent(context, label);
  if ((await findRemote(home, agent.repository, name)) !== undefined) throw remoteExists(name);
  const twin = (await listRemotes(home, agent.repository)).find((remote) => remote.url === url);
  if (twin !== undefined)
    throw new MoltError('EXISTS', `${url} is remote "${twin.name}" already`, { hint: `molt push ${twin.name}` });
  const { probeRemote } = await import('../storage/probe.ts');
  const report = await probeRemote(url, {
    ...remoteOptions,
    create: true,
    clock,
    singleWriter,
    ...(lock !== undefined && { lock }),
    ...(signal !== undefined && { signal }),
  });
  const { decision } = report;
  if (decision.verdict === 'ok') {
    const { rules } = decision;
    await keepRemote(home, agent.repository, {
      name,
      url,
      rules,
      isProbed: true,
      lock,
      addedMs: clock.now(),
    });
  }
  return report;
}

/**
 * Probes a remote that was only read from so far.
 * @returns the remote with its rules
 * @throws {MoltError} REMOTE_REFUSED when nothing may be written to it
 */
export async function probeFirst(context: OpsContext, repository: RepositoryId, remote: Remote): Promise<Remote> {
  if (remote.isProbed) return remote;
  const { home, clock, signal, remoteOptions } = context;
  context.reporter.progress({ phase: `try out ${remote.name}` });
  const [{ probeRemote }, { locksNothing }] = await Promise.all([
    import('../storage/probe.ts'),
    import('../storage/probe-decision.ts'),
  ]);
  const { decision, findings } = await probeRemote(remote.url, {
    ...remoteOptions,
    clock,
    ...(signal !== undefined && { signal }),
  });
  if (decision.verdict !== 'ok') {
    throw new MoltError('REMOTE_REFUSED', `${remote.url} can't be pushed to: ${decision.reasons.join('; ')}`, {
      hint: decision.hint,
    });
  }
  // Whether others lock what they push there is kept on their machines alone.
  if (locksNothing(findings, remote.lock)) {
    const again = `molt remote remove ${remote.name}, then molt remote add ${remote.name} '${remote.url}' --lock governance`;
    context.reporter.warn(
      `the bucket of ${remote.name} has Object Lock, but what is pushed from this machine is not locked: ${again}`,
    );
  }
  const probed = { ...remote, rules: decision.rules, isProbed: true };
  await keepRemote(home, repository, probed, { replace: true });
  return probed;
}

/** Lists the remotes of an agent's repository; asks none of them. */
export async function summarizeRemotes(context: OpsContext, label: string | undefined): Promise<RemoteSummary[]> {
  const { repository, branch } = await resolveAgent(context, label);
  const remotes = await listRemotes(context.home, repository);
  return Promise.all(
    remotes.map(async ({ name, url, rules, lock }) => {
      const { refs, lookedMs } = await loadState(context.home, repository, name);
      return {
        name,
        url,
        createOnce: rules.createOnce,
        lock,
        head: refs.get(`refs/heads/${branch}`),
        seenTime: lookedMs && formatJsonTime(lookedMs.local),
      };
    }),
  );
}

/** Forgets a remote. What it holds stays there. @throws {MoltError} NOT_FOUND */
export async function removeRemote(
  context: OpsContext,
  label: string | undefined,
  name: string,
): Promise<{ readonly name: string; readonly url: string }> {
  const { repository } = await resolveAgent(context, label);
  const { url } = await resolveRemote(context.home, repository, name);
  await forgetRemote(context.home, repository, name);
  return { name, url };
}
