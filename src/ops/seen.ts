// What this machine last saw of a repository: the log's tip and the keyring's generation. It is how a repository that was set back
// to an earlier state, by an old copy of a disk or by somebody, is told from one that never got further. Derived and never flushed:
// after a power cut it may be missing or older, never newer than what is durable.

import { hash } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fields } from '../format/fields.ts';
import type { Keyring } from '../format/keyring.ts';
import { NO_PREVIOUS, segmentName } from '../format/segment.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { keyringName, findNewestKeyring } from '../repo/keyrings.ts';
import type { Repository } from '../repo/repository.ts';
import { newMark } from '../storage/owner.ts';
import type { Storage } from '../storage/storage.ts';
import { readIfThere, type Agent, type Home } from './home.ts';

/** The newest that was seen of a repository. */
export interface Seen {
  /** The log's last segment; number 0 before the first. */
  readonly seq: number;
  /** SHA-256 of that segment, hex. */
  readonly hash: string;
  /** Of the keyring. */
  readonly generation: number;
}

/** Loads what was seen, or undefined if nothing was, or it can't be read. */
export async function loadSeen(home: Home, repository: RepositoryId): Promise<Seen | undefined> {
  try {
    const bytes = await readIfThere(seenFile(home, repository));
    if (bytes === undefined) return undefined;
    const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'what was seen');
    return {
      seq: fields.integer('seq'),
      hash: fields.text('hash', /^[0-9a-f]{64}$/),
      generation: fields.integer('generation'),
    };
  } catch (error) {
    if (isMoltError(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Saves what was seen, unless more was seen meanwhile. Where it can't be written, the next rollback goes unnoticed; nothing else. */
export async function saveSeen(home: Home, repository: RepositoryId, seen: Seen): Promise<void> {
  const known = await loadSeen(home, repository).catch(() => undefined);
  if (known !== undefined && known.seq >= seen.seq && known.generation >= seen.generation) return;
  const path = seenFile(home, repository);
  const temp = join(home.tempDir, `${newMark()}.tmp`);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await mkdir(home.tempDir, { recursive: true, mode: 0o700 });
    const { seq, hash: sha256 } = known !== undefined && known.seq > seen.seq ? known : seen;
    const generation = Math.max(seen.generation, known?.generation ?? 0);
    await writeFile(temp, `${JSON.stringify({ seq, hash: sha256, generation })}\n`, { mode: 0o600, flag: 'wx' });
    await rename(temp, path);
  } catch {
    await rm(temp, { force: true }).catch(() => undefined);
  }
}

/** Saves that a generation of the keyring was seen. */
export async function saveSeenKeyring(home: Home, repository: RepositoryId, generation: number): Promise<void> {
  await saveSeen(home, repository, { seq: 0, hash: NO_PREVIOUS, generation });
}

/** Forgets what was seen: what is there now is taken for the newest. */
export async function dropSeen(home: Home, repository: RepositoryId): Promise<void> {
  await rm(seenFile(home, repository), { force: true });
}

/** Returns what an opened repository shows now. */
export function seenOf(repository: Repository, generation: number): Seen {
  return { ...repository.log.tip, generation };
}

/**
 * Finds out whether a repository lacks what this machine saw of it. A segment that is there but damaged is no rollback: the log's
 * replay, or verify, reports it.
 * @param now.opened the opened repository, if it is open: then nothing is read on the usual path
 * @param now.beginSeq the last segment that is gone by a sweep; the opened repository knows it
 */
export async function findRollback(
  storage: Storage,
  seen: Seen | undefined,
  now: { readonly agent: Agent; readonly keyring: Keyring; readonly opened?: Repository; readonly beginSeq?: number },
): Promise<MoltError | undefined> {
  if (seen === undefined) return undefined;
  const { agent, keyring, opened, beginSeq = opened?.log.begin.seq ?? 0 } = now;
  const what: string[] = [];
  // What was pruned since is no rollback: the sweep says so, and is sealed.
  if (seen.seq > beginSeq && !(await holds(storage, seen, opened))) {
    const outcome = opened !== undefined && opened.log.next().seq > seen.seq ? 'is another one now' : 'is gone';
    what.push(`${segmentName(seen.seq)}, which this machine saw, ${outcome}`);
  }
  if (seen.generation > keyring.generation && ((await findNewestKeyring(storage)) ?? 0) < seen.generation)
    what.push(`${keyringName(seen.generation)}, which this machine saw, is gone`);
  if (what.length === 0) return undefined;
  return new MoltError('DAMAGED', `${storage.label} was set back to an earlier state: ${what.join(', and ')}`, {
    hint: `bring the newer repository back; if it is lost, molt verify ${agent.label} --repair goes on from what is there`,
    details: { rollback: true },
  });
}

async function holds(storage: Storage, seen: Seen, opened: Repository | undefined): Promise<boolean> {
  if (opened !== undefined) {
    const { tip } = opened.log;
    if (tip.seq === seen.seq) return tip.hash === seen.hash;
    if (opened.log.next().seq <= seen.seq) return false;
    if (opened.log.holes.includes(seen.seq)) return true;
  }
  const bytes = await storage.read(segmentName(seen.seq)).catch((error: unknown) => {
    // Something else than an object stands there: damage, not a rollback.
    if (isMoltError(error, 'HOSTILE')) return 'damaged' as const;
    throw error;
  });
  if (bytes === undefined) return false;
  // A closed repository can't tell damage from another segment: verify reports the damage by itself.
  return bytes === 'damaged' || opened === undefined || hash('sha256', bytes, 'hex') === seen.hash;
}

function seenFile(home: Home, repository: RepositoryId): string {
  return join(home.dir, 'seen', `${repository}.json`);
}
