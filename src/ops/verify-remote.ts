// Checks what a remote holds, and with `repair` sends it anew what it lost and this machine still has.

import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { segmentName } from '../format/segment.ts';
import { MoltError, isMoltError } from '../model/error.ts';
import { Repository } from '../repo/repository.ts';
import { transfer } from '../repo/transfer.ts';
import type { StorageCheck } from '../repo/verify.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import type { RemoteStorage } from '../storage/remote.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import { planPush } from './exchange.ts';
import type { Agent } from './home.ts';
import { openKeys, openKeysElsewhere } from './open-keys.ts';
import { openRepositoryOf, openStorage } from './open.ts';
import { checkLocks, describeLocks } from './remote-locks.ts';
import { loadState, remoteOptionsOf, resolveRemote, viewDir, type Remote } from './remotes.ts';
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
): Promise<StorageCheck> {
  const { home } = context;
  const remote = await resolveRemote(home, agent.repository, name);
  const storage = await openRemoteStorage(remote.url, remoteOptionsOf(context, remote));
  try {
    const { roots } = await openKeysElsewhere(context, storage, agent, await readRoots(context, agent));
    const found = await check(context, storage, roots, options);
    const { tip } = await loadState(home, agent.repository, name);
    if (tip.seq > 0 && (await storage.stat(segmentName(tip.seq))) === undefined) {
      const what = `${segmentName(tip.seq)}, which this machine saw, is gone`;
      found.report.add('log', new MoltError('DAMAGED', `${remote.url} was set back to an earlier state: ${what}`));
    }
    await noteLocks(context, storage, remote, options, found);
    if (!options.repair || found.report.problems.length === 0) return found;
    await repairRemote(context, agent, storage, roots, found);
    // What was kept of the remote may be what is wrong; the next push looks again.
    await rm(viewDir(home, agent.repository, name), { recursive: true, force: true });
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

async function noteLocks(
  { clock }: OpsContext,
  storage: RemoteStorage,
  { name, lock }: Remote,
  { extendLocks = false }: VerifyOptions,
  { report }: StorageCheck,
): Promise<void> {
  const { versions } = storage;
  if (lock === undefined || versions === undefined) {
    if (!extendLocks) return;
    throw new MoltError('USAGE', `${name} locks nothing`, { hint: 'molt remote add NAME URL --lock governance' });
  }
  const nowMs = storage.nowMs() ?? clock.now();
  const locks = await checkLocks(Object.assign(storage, { versions }), { lock, extend: extendLocks, nowMs });
  report.note(name, describeLocks(locks));
}

async function repairRemote(
  context: OpsContext,
  agent: Agent,
  storage: Storage,
  roots: Repository['keys']['roots'],
  found: StorageCheck,
): Promise<void> {
  await using open = await openRepositoryOf(context, agent);
  // What is sealed under roots that its keyring does not hold, nobody could read there.
  const { generation } = await sendKeyrings(context, open.repository.storage, storage, roots);
  for (const { object } of found.report.problems) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    if (object.startsWith('packs/')) await replacePack(context, open.repository.storage, storage, object);
  }
  // Opened from its log alone, without what was lost: all of that is then sent again.
  const there = await Repository.open(storage, { roots, generation }, context, { lost: found.lost });
  await transfer(open.repository, there, {
    isKnown: () => false,
    heals: true,
    moves: async () => (await planPush(open, there)).moves,
    onLost: (problem) => context.reporter.warn(problem),
    signal: context.signal,
  });
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
