// Finds out, on the very bucket or folder that is to hold the only copy, what it really does: documentation, versions and settings of
// servers can't be trusted with that. It writes small objects under probe/, reads them back, races two writers for names, and deletes.

import { randomBytes } from 'node:crypto';
import { isMoltError, MoltError } from '../model/error.ts';
import { openRemoteStorage } from './open-remote.ts';
import { decideRemote, type ProbeDecision, type ProbeFindings } from './probe-decision.ts';
import type { ObjectLock, RemoteOptions, RemoteRules, RemoteStorage } from './remote.ts';
import type { BucketSettings } from './s3-bucket.ts';

/** What a probe needs beside the URL. */
export interface ProbeOptions extends Pick<RemoteOptions, 'create' | 'signal' | 'clock' | 'timing'> {
  /** The lock that the remote is to have. */
  readonly lock?: ObjectLock;
  /** The user says that nobody else will ever write there. */
  readonly singleWriter?: boolean;
}

/** What was found and what follows from it: plain data, to be printed and kept. */
export interface ProbeReport {
  /** The remote's URL in its shortest spelling. */
  readonly url: string;
  readonly findings: ProbeFindings;
  readonly decision: ProbeDecision;
  /** Objects that the probe wrote and could not delete, since they are locked or deleting is not allowed. */
  readonly leftBehind: readonly string[];
}

// A server that enforces nothing lets both writers win nearly every round; one that checks before it writes, some of them.
const ROUNDS = 8;
const CONTENT_BYTES = 256;
const PROBE_LOCK_MS = 60_000;
const FOLDER_SETTINGS: BucketSettings = {
  versioning: 'off',
  objectLock: 'off',
  defaultLock: undefined,
  expiry: 'none',
};

/** A remote that can tell how it is set up. */
export interface TellingStorage {
  readSettings(): Promise<BucketSettings>;
}

/**
 * Probes a remote.
 * @throws {MoltError} USAGE at a wrong URL; REMOTE_UNREACHABLE, REMOTE_REFUSED, IO or NOT_FOUND when it can't be used at all
 */
export async function probeRemote(url: string, options: ProbeOptions = {}): Promise<ProbeReport> {
  const { lock: _lock, singleWriter = false, ...opening } = options;
  const writers: RemoteStorage[] = [];
  const open = async (rules?: RemoteRules, lockMs?: number): Promise<RemoteStorage> => {
    const lock =
      options.lock === undefined || lockMs === undefined
        ? {}
        : { lock: { mode: options.lock.mode, days: lockMs / 86_400_000 } };
    const writer = await openRemoteStorage(url, { ...opening, ...lock, ...(rules === undefined ? {} : { rules }) });
    writers.push(writer);
    return writer;
  };
  try {
    return await probe(open, options, singleWriter);
  } finally {
    await Promise.all(writers.map(async (writer) => writer.close()));
  }
}

async function probe(
  open: (rules?: RemoteRules, lockMs?: number) => Promise<RemoteStorage>,
  options: ProbeOptions,
  singleWriter: boolean,
): Promise<ProbeReport> {
  const clock = options.clock ?? { now: () => Date.now() };
  const first = await open();
  const settings =
    'readSettings' in first ? await (first as RemoteStorage & TellingStorage).readSettings() : FOLDER_SETTINGS;
  const versioned = settings.versioning === 'on' || settings.versioning === 'suspended';
  const folder = `probe/${randomBytes(8).toString('hex')}`;
  const written: string[] = [];
  const name = (what: string): string => {
    written.push(`${folder}-${what}`);
    return `${folder}-${what}`;
  };

  const conditional: RemoteRules = { createOnce: 'conditional', versioned };
  const plain = [await open(conditional), await open(conditional)] as const;
  const createOnce = await raceWriters(plain, (round) => name(`race-${round}`));
  let oldestVersionWins = false;
  if (createOnce !== 'enforced' && settings.versioning === 'on') {
    const rules: RemoteRules = { createOnce: 'oldest-version', versioned };
    const ordered = [await open(rules), await open(rules)] as const;
    oldestVersionWins = (await raceWriters(ordered, (round) => name(`order-${round}`))) === 'enforced';
  }
  const rules: RemoteRules = {
    createOnce: createOnce === 'enforced' ? 'conditional' : oldestVersionWins ? 'oldest-version' : 'single-writer',
    versioned,
  };
  const [writer, reader] = [await open(rules), await open(rules)];
  const { readAfterWrite, rangeReads, listing } = await checkReading(writer, reader, name('read'));
  const locks =
    options.lock === undefined ? undefined : await checkLocks(await open(rules, PROBE_LOCK_MS), name('lock'));
  const nowMs = writer.nowMs();
  const leftBehind = await cleanUp(await open(rules), written);
  const findings: ProbeFindings = {
    createOnce,
    oldestVersionWins,
    readAfterWrite,
    rangeReads,
    listing,
    canDelete: leftBehind.every((left) => left.endsWith('-lock')),
    ...(nowMs === undefined ? {} : { clockSkewMs: nowMs - clock.now() }),
    ...settings,
    ...(locks === undefined ? {} : { locks }),
  };
  const wanted = { singleWriter, ...(options.lock === undefined ? {} : { lock: options.lock }) };
  return { url: first.label, findings, decision: decideRemote(findings, wanted), leftBehind };
}

/** Lets two writers race for names, and one write the name again. */
async function raceWriters(
  [one, other]: readonly [RemoteStorage, RemoteStorage],
  name: (round: number) => string,
): Promise<ProbeFindings['createOnce']> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const place = name(round);
    const offers = [one, other, one, other].map((writer) => ({ writer, bytes: randomBytes(CONTENT_BYTES) }));
    const tries = offers.map(async ({ writer, bytes }) => writer.createOnce(place, [bytes]));
    // oxlint-disable-next-line no-await-in-loop -- each round by itself, so that its racers start together
    const outcomes = await Promise.allSettled(tries);
    for (const outcome of outcomes) {
      if (outcome.status !== 'rejected') continue;
      if (isMoltError(outcome.reason) && outcome.reason.details['serverCode'] === 'NotImplemented') return 'refused';
      throw outcome.reason;
    }
    const winners = offers.filter((_, index) => isTrue(outcomes[index]));
    // oxlint-disable-next-line no-await-in-loop -- each round by itself
    const kept = await one.read(place);
    // oxlint-disable-next-line no-await-in-loop -- each round by itself
    const again = await other.createOnce(place, [randomBytes(CONTENT_BYTES)]);
    const [winner] = winners;
    if (again || winners.length !== 1 || winner === undefined || kept?.equals(winner.bytes) !== true) {
      return again ? 'ignored' : 'raced';
    }
  }
  return 'enforced';
}

async function checkReading(
  writer: RemoteStorage,
  reader: RemoteStorage,
  place: string,
): Promise<Pick<ProbeFindings, 'readAfterWrite' | 'rangeReads' | 'listing'>> {
  const bytes = randomBytes(CONTENT_BYTES);
  await writer.createOnce(place, [bytes]);
  const whole = await reader.read(place);
  const part = await reader.read(place, { start: 10, end: 20 });
  const beyond = await reader.read(place, { start: CONTENT_BYTES - 5, end: CONTENT_BYTES + 5 });
  let listing = false;
  for await (const stat of reader.list(place)) listing ||= stat.name === place && stat.sizeBytes === CONTENT_BYTES;
  return {
    readAfterWrite: whole?.equals(bytes) === true,
    rangeReads: part?.equals(bytes.subarray(10, 20)) === true && beyond?.equals(bytes.subarray(-5)) === true,
    listing,
  };
}

/** Writes an object that is locked for a minute, and sees whether it is: reported, kept against a deletion, and extended. */
async function checkLocks(storage: RemoteStorage, place: string): Promise<NonNullable<ProbeFindings['locks']>> {
  const none = { fromBirth: false, holds: false, extends: false };
  try {
    if (storage.versions === undefined) return none;
    await storage.createOnce(place, [randomBytes(CONTENT_BYTES)]);
    const [version] = (await storage.versions.list(place)).versions;
    if (version === undefined) return none;
    const born = await storage.versions.findRetention(place, version.versionId);
    const refused = await isRefused(storage.delete(place));
    if (born === undefined) return { ...none, holds: refused };
    const later = { ...born, untilMs: born.untilMs + PROBE_LOCK_MS };
    const extendRefused = await isRefused(storage.versions.extendRetention(place, version.versionId, later));
    const now = await storage.versions.findRetention(place, version.versionId);
    return { fromBirth: true, holds: refused, extends: !extendRefused && (now?.untilMs ?? 0) > born.untilMs };
  } catch (error) {
    if (isMoltError(error, 'REMOTE_REFUSED')) return none;
    throw error;
  }
}

/** Deletes what the probe wrote; returns what it could not. */
async function cleanUp(storage: RemoteStorage, names: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const name of names) {
    // oxlint-disable-next-line no-await-in-loop -- few and small
    if (await isRefused(storage.delete(name))) left.push(name);
  }
  return left;
}

async function isRefused(action: Promise<unknown>): Promise<boolean> {
  try {
    await action;
    return false;
  } catch (error) {
    if (error instanceof MoltError && error.code === 'REMOTE_REFUSED') return true;
    throw error;
  }
}

function isTrue(outcome: PromiseSettledResult<boolean> | undefined): boolean {
  return outcome?.status === 'fulfilled' && outcome.value;
}
