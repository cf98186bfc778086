// What follows from a probe: whether a remote may hold an agent's only copy, and by which rules. Pure, so that every case is a line of a
// test's table.

import type { ObjectLock, RemoteRules } from './remote.ts';
import type { BucketSettings } from './s3-bucket.ts';

/** What a probe found out. */
export interface ProbeFindings extends BucketSettings {
  /**
   * `enforced`: of racing writers one won, in every round. `ignored`: a taken name was written again. `raced`: more than one writer won,
   * or another content than the winner's was kept. `refused`: the server does not offer conditional writes.
   */
  readonly createOnce: 'enforced' | 'ignored' | 'raced' | 'refused';
  /** Whether the order of versions names one winner where create-once is not enforced. */
  readonly oldestVersionWins: boolean;
  readonly readAfterWrite: boolean;
  readonly rangeReads: boolean;
  readonly listing: boolean;
  /** Whether these credentials may delete; pruning needs it, nothing else does. */
  readonly canDelete: boolean;
  /** How far the store's clock is ahead of this machine's; undefined if it tells no time. */
  readonly clockSkewMs?: number;
  /** What a locked object does; undefined if no lock was asked for. */
  readonly locks?: { readonly fromBirth: boolean; readonly holds: boolean; readonly extends: boolean };
}

/** What a user asked of a remote. */
interface RemoteWishes {
  readonly lock?: ObjectLock;
  readonly singleWriter: boolean;
}

/** `ok`: by these rules. `needs-single-writer`: only if the user states that there is one writer. `refused`: not at all. */
export type ProbeDecision =
  | { readonly verdict: 'ok'; readonly rules: RemoteRules; readonly notes: readonly string[] }
  | { readonly verdict: 'needs-single-writer' | 'refused'; readonly reasons: readonly string[]; readonly hint: string };

// S3 refuses requests that are a quarter of an hour off.
const SKEW_NOTE_MS = 5 * 60_000;

/** Says whether objects that are written to a bucket with Object Lock stay unlocked all the same. */
export function locksNothing({ objectLock, defaultLock }: ProbeFindings, lock: ObjectLock | undefined): boolean {
  return objectLock === 'on' && defaultLock === undefined && lock === undefined;
}

/** Decides about a remote. Sentences are lower-case and for people. */
export function decideRemote(findings: ProbeFindings, { lock, singleWriter }: RemoteWishes): ProbeDecision {
  const broken = listDefects(findings, lock);
  if (broken.length > 0) {
    return { verdict: 'refused', reasons: broken.map(([reason]) => reason), hint: broken[0]?.[1] ?? '' };
  }
  const versioned = findings.versioning === 'on' || findings.versioning === 'suspended';
  const notes = listNotes(findings, lock);
  if (findings.createOnce === 'enforced')
    return { verdict: 'ok', rules: { createOnce: 'conditional', versioned }, notes };
  if (findings.oldestVersionWins && findings.versioning === 'on') {
    if (findings.expiry === 'old-versions') {
      return {
        verdict: 'refused',
        reasons: [
          'the oldest version of an object is the true one here, and a rule of the bucket deletes old versions',
        ],
        hint: 'remove the lifecycle rule that expires noncurrent versions, or exempt this prefix from it',
      };
    }
    const note =
      'the server ignores conditional writes; the oldest version of each object counts, which costs two more requests a write';
    return { verdict: 'ok', rules: { createOnce: 'oldest-version', versioned: true }, notes: [note, ...notes] };
  }
  const why =
    findings.createOnce === 'refused'
      ? 'the server does not offer conditional writes (If-None-Match), so two writers could overwrite each other'
      : 'the server does not enforce conditional writes (If-None-Match): two writers were both told that they had created an object';
  if (!singleWriter) {
    return {
      verdict: 'needs-single-writer',
      reasons: [why],
      hint: 'use another provider, or a bucket with versioning; or add --single-writer if only this machine will ever write there',
    };
  }
  const note = `${why}; you said that only one machine writes there`;
  return { verdict: 'ok', rules: { createOnce: 'single-writer', versioned }, notes: [note, ...notes] };
}

function listDefects(findings: ProbeFindings, lock: ObjectLock | undefined): [reason: string, hint: string][] {
  const defects: [string, string][] = [];
  const provider = 'use another provider or endpoint; what it did is in the report';
  if (!findings.readAfterWrite) defects.push(['what was just written is not read back', provider]);
  if (!findings.rangeReads) defects.push(['parts of an object come back wrong', provider]);
  if (!findings.listing) defects.push(['what was just written is not listed', provider]);
  if (findings.expiry === 'objects') {
    const hint = 'remove the lifecycle rule that expires objects, or exempt this prefix from it';
    defects.push(['a rule of the bucket deletes objects under this prefix after some time', hint]);
  }
  if (lock === undefined) return defects;
  if (findings.objectLock === 'off') {
    const hint = 'make a bucket with Object Lock enabled, or leave out --lock';
    defects.push(['the bucket has no Object Lock', hint]);
  } else if (findings.locks?.fromBirth !== true) {
    defects.push(['objects can’t be locked when they are written', 'allow s3:PutObjectRetention, or leave out --lock']);
  } else if (!findings.locks.holds) {
    defects.push(['a locked object could be deleted', provider]);
  } else if (!findings.locks.extends) {
    defects.push(['a lock can’t be extended', 'allow s3:PutObjectRetention and s3:GetObjectRetention']);
  }
  return defects;
}

function listNotes(findings: ProbeFindings, lock: ObjectLock | undefined): string[] {
  const notes: string[] = [];
  if (locksNothing(findings, lock)) notes.push('the bucket has Object Lock, but nothing is locked without --lock');
  if (!findings.canDelete && findings.defaultLock === undefined) {
    notes.push('these credentials may not delete: fine for everything but pruning');
  }
  if (Math.abs(findings.clockSkewMs ?? 0) > SKEW_NOTE_MS) {
    const minutes = Math.round(Math.abs(findings.clockSkewMs ?? 0) / 60_000);
    notes.push(`this machine’s clock and the server’s are ${minutes} minutes apart`);
  }
  if (findings.versioning === 'suspended') notes.push('versioning of the bucket is suspended');
  if (findings.expiry === 'unknown') notes.push('whether rules of the bucket delete objects could not be found out');
  if (findings.expiry === 'old-versions')
    notes.push(
      'a rule of the bucket deletes old versions: what was overwritten from outside can’t be brought back for long',
    );
  return notes;
}
