// Checks what a remote holds, and with `repair` sends it anew what it lost and this machine still has.

import { createHash } from 'node:crypto';
import { segmentName } from '../format/segment.ts';
import type { RefMove } from '../format/segment.ts';
import { MoltError, isMoltError } from '../model/error.ts';
import { OldestStorage } from '../repo/oldest.ts';
import { Repository } from '../repo/repository.ts';
import { deriveRepositoryKeys } from '../repo/secrets.ts';
import { transfer } from '../repo/transfer.ts';
import type { StorageCheck } from '../repo/verify.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import type { RemoteStorage } from '../storage/remote.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import { planPush } from './exchange.ts';
import type { Agent } from './home.ts';
import { openKeys, openKeysElsewhere } from './open-keys.ts';
import { openRepositoryOf, openStorage, type OpenAgent } from './open.ts';
import { checkLocks, describeLocks } from './remote-locks.ts';
import { forgetView, loadState, remoteOptionsOf, resolveRemote, type Remote } from './remotes.ts';
import type { RunNote } from './record-run.ts';
import { sendKeyrings } from './sync-keys.ts';
import { check, type VerifyOptions } from './verify.ts';

/**
 * Checks a remote of an agent's repository.
 * @throws {MoltError} what keeps it from being checked at all
 */
export async function verifyRemote(
  context: OpsContext,
  agent: Agent,
  name: string,
  options: VerifyOptions,
  note: RunNote,
): Promise<StorageCheck> {
  const { home } = context;
  const remote = await resolveRemote(home, agent.repository, name);
  note.speaksTo(remote.name);
  const far = await openRemoteStorage(remote.url, remoteOptionsOf(context, remote));
  note.counts(far.traffic);
  const storage = new OldestStorage(far);
  try {
    const { roots } = await openKeysElsewhere(context, storage, agent, await readRoots(context, agent));
    note.opened({ agent, repository: { keys: deriveRepositoryKeys(roots) } });
    const found = await check(context, storage, roots, options);
    const { tip } = await loadState(home, agent.repository, name);
    if (tip.seq > found.beginSeq && (await storage.stat(segmentName(tip.seq))) === undefined) {
      const what = `${segmentName(tip.seq)}, which this machine saw, is gone`;
      found.report.add('log', new MoltError('DAMAGED', `${remote.url} was set back to an earlier state: ${what}`));
    }
    await noteCovered(far, found);
    await noteLocks(context, far, remote, options, found);
    if (!options.repair || found.report.problems.length === 0) return found;
    await repairRemote(context, agent, { storage, remote: name, roots }, found);
    // What was kept of the remote may be what is wrong; the next push looks again.
    await forgetView(home, agent.repository, name);
    const after = await check(context, storage, roots, options);
    for (const { object, problem } of found.report.problems) {
      if (after.report.problems.some((left) => left.object === object && left.problem === problem)) continue;
      after.report.add(object, new MoltError('DAMAGED', problem));
      after.report.setRepaired(object);
    }
    after.report.note(remote.name, 'was sent anew what it lacked, from the repository here');
    return after;
  } finally {
    await storage.close();
  }
}

async function readRoots(context: OpsContext, agent: Agent): Promise<Repository['keys']['roots']> {
  const storage = await openStorage(context, agent.repository);
  try {
    return (await openKeys(context, storage, agent)).roots;
  } finally {
    await storage.close();
  }
}

/** Names what molt reads through. It hurts nothing, but molt's writers put nothing there that stays, save those that came second. */
async function noteCovered({ versions }: RemoteStorage, { report }: StorageCheck): Promise<void> {
  if (versions === undefined) return;
  for await (const name of versions.listCovered('')) {
    const { versions: all, isHidden } = await versions.list(name);
    if (isHidden) report.note(name, 'is hidden by a delete marker, which molt never makes; what lies under it is read');
    else if (all.length > 1)
      report.note(name, `has ${all.length - 1} other version${all.length > 2 ? 's' : ''} on top; the oldest is read`);
  }
}

async function noteLocks(
  { clock }: OpsContext,
  storage: RemoteStorage,
  { name, lock }: Remote,
  { extendLocks = false }: VerifyOptions,
  { report, counts }: StorageCheck,
): Promise<void> {
  const { versions } = storage;
  if (lock === undefined || versions === undefined) {
    if (!extendLocks) return;
    throw new MoltError('USAGE', `${name} locks nothing`, { hint: 'molt remote add NAME URL --lock governance' });
  }
  const nowMs = storage.nowMs() ?? clock.now();
  const locks = await checkLocks(Object.assign(storage, { versions }), { lock, extend: extendLocks, nowMs, counts });
  report.note(name, describeLocks(locks));
}

async function repairRemote(
  context: OpsContext,
  agent: Agent,
  { storage, remote, roots }: { storage: Storage; remote: string; roots: Repository['keys']['roots'] },
  found: StorageCheck,
): Promise<void> {
  await using open = await openRepositoryOf(context, agent);
  // What is sealed under roots that its keyring does not hold, nobody could read there.
  const base = (await loadState(context.home, agent.repository, remote)).keys;
  const sides = { agent, here: open.repository.storage, there: storage, name: remote, roots, base };
  const { generation } = await sendKeyrings(context, sides, async () => {});
  for (const { object } of found.report.problems) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    if (object.startsWith('packs/')) await replacePack(context, open.repository.storage, storage, object);
  }
  // Opened from its log alone, without what was lost: all of that is then sent again.
  const there = await Repository.open(storage, { roots, generation }, context, { lost: found.lost });
  await transfer(open.repository, there, {
    isKnown: () => false,
    heals: true,
    moves: () => planMoves(context, open, there),
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
}

/** An agent whose branch was restored elsewhere since moves nothing there; what was lost is sent all the same. */
async function planMoves(context: OpsContext, open: OpenAgent, there: Repository): Promise<readonly RefMove[]> {
  try {
    return (await planPush(context, open, there)).moves;
  } catch (error) {
    if (!isMoltError(error, 'FENCED')) throw error;
    context.reporter.warn(error.message);
    return [];
  }
}

/** Writes a pack again under its name, which only its own bytes can have. */
async function replacePack(context: OpsContext, here: Storage, there: Storage, name: string): Promise<void> {
  const bytes = await here.read(name);
  if (bytes === undefined || !name.endsWith(createHash('sha256').update(bytes).digest('hex'))) return;
  try {
    if (await there.createOnce(name, [bytes])) return;
    await there.delete(name);
    await there.createOnce(name, [bytes]);
  } catch (error) {
    if (!isMoltError(error, 'REMOTE_REFUSED')) throw error;
    context.reporter.warn(`${name} is damaged there and may not be replaced: ${error.message}`);
  }
}
