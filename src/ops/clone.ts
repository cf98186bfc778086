// Makes an agent of this machine from a remote: its whole history comes here, its files do not until they are restored.

import type { CommitId } from '../model/ids.ts';
import { adopt, checkIsNew, findAgentOf } from './adopt.ts';
import type { OpsContext } from './context.ts';
import { exchangeOutcome, type ExchangeResult } from './exchange.ts';
import { readBase } from './keyring-generations.ts';
import { lookAt } from './open-place.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { checkRemoteName, forgetRemote, keepRemote, normalizeRemoteUrl, openRemote } from './remotes.ts';

/** What to clone. */
export interface CloneOptions {
  readonly url: string;
  /** What to call the agent here; by default what it is called there. */
  readonly label?: string | undefined;
  /** Where the agent is to live; by default a folder of its name in the current one. */
  readonly stateDir?: string | undefined;
  /** Which line of history it follows; by default main, or the only one. */
  readonly branch?: string | undefined;
  /** What to call the remote. */
  readonly name: string;
}

/** What cloning came to. */
export interface CloneResult extends ExchangeResult {
  readonly stateDir: string;
  readonly branch: string;
  readonly commit: CommitId;
  readonly commits: number;
}

/**
 * Clones an agent.
 * @throws {MoltError} NO_REPOSITORY when the remote is empty, EXISTS when its repository or the name is here already, WRONG_PASSPHRASE, and
 *   what the remote fails with; then nothing is left here
 */
export async function clone(context: OpsContext, options: CloneOptions): Promise<CloneResult> {
  return recordRun(
    context,
    { verb: 'clone', label: options.label ?? '', remote: options.name },
    (quiet, note) => cloneNoted(quiet, options, note),
    (result) => ({ ...exchangeOutcome(result, 'received'), commit: result.commit }),
  );
}

async function cloneNoted(context: OpsContext, options: CloneOptions, note: RunNote): Promise<CloneResult> {
  const startedMs = context.clock.now();
  const { home } = context;
  const { name } = options;
  checkRemoteName(name);
  const url = normalizeRemoteUrl(options.url);
  const { repositoryId, rules } = await lookAt(context, url);
  note.meant({ label: options.label ?? repositoryId.slice(0, 12), repository: repositoryId });
  await checkIsNew(context, repositoryId, url);
  const remote = { name, url, rules, isProbed: false, lock: undefined, addedMs: context.clock.now() };
  try {
    await using opened = await openRemote(context, repositoryId, remote);
    const { view } = opened;
    note.counts(view.remote.traffic);
    await view.refresh(repositoryId);
    const { agent, done, commit, commits } = await adopt(context, view, {
      ...options,
      repositoryId,
      phase: 'clone',
      async arrived(there, here) {
        await keepRemote(home, repositoryId, remote, { replace: true });
        view.sawTip(there.log.tip);
        const { roots } = here.keys;
        note.opened({ agent: { label: options.label ?? name, repository: repositoryId }, repository: here });
        await opened.saveKeys(await readBase(here.storage, view, repositoryId, { roots, known: undefined }));
        await opened.save({ sent: here.log.tip, fetched: there.log.tip, refs: there.refs });
      },
    });
    note.meant(agent);
    return {
      agent: agent.label,
      remote: name,
      url,
      segments: done.segments,
      packs: done.packs,
      bytes: done.bytes,
      requests: { ...view.remote.traffic.requests },
      refs: done.moves.map(({ name: ref, from, to }) => ({ name: ref, from, to })),
      left: [],
      durationMs: context.clock.now() - startedMs,
      stateDir: agent.stateDir,
      branch: agent.branch,
      commit,
      commits,
    };
  } catch (error) {
    if ((await findAgentOf(context, repositoryId)) === undefined) await forgetRemote(home, repositoryId, name);
    throw error;
  }
}
