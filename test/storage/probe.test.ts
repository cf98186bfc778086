// The probe on servers of every kind, and what follows from what it finds.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import { decideRemote, type ProbeDecision, type ProbeFindings } from '../../src/storage/probe-decision.ts';
import { probeRemote } from '../../src/storage/probe.ts';
import type { CreateOnceRule } from '../../src/storage/remote.ts';
import { findExpiry } from '../../src/storage/s3-bucket.ts';
import { listed } from './contract.ts';
import { type BucketSetup, startS3Server } from './s3-server.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

const SOUND: ProbeFindings = {
  createOnce: 'enforced',
  oldestVersionWins: false,
  readAfterWrite: true,
  rangeReads: true,
  listing: true,
  canDelete: true,
  clockSkewMs: 0,
  versioning: 'off',
  objectLock: 'off',
  defaultLock: undefined,
  expiry: 'none',
};

test('a folder is taken, and the probe leaves nothing in it', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'molt-probe-'));
  t.teardown(async () => rm(dir, { recursive: true }));
  const url = pathToFileURL(path.join(dir, 'remote')).href;
  const report = await probeRemote(url, { create: true });
  const { clockSkewMs = Number.NaN, ...findings } = report.findings;
  t.true(Math.abs(clockSkewMs) < 60_000);
  t.deepEqual({ ...findings, clockSkewMs: 0 }, SOUND);
  t.deepEqual(report.decision, { verdict: 'ok', rules: { createOnce: 'conditional', versioned: false }, notes: [] });
  const storage = await openRemoteStorage(url);
  t.deepEqual(await listed(storage, ''), []);
  t.true(await storage.createOnce('a', [Buffer.from('x')]));
  t.deepEqual(storage.traffic.requests, { put: 1, get: 0, list: 1, head: 0, delete: 0 });
});

test('a folder that is not there is not made without being asked', async (t) => {
  const error = await t.throwsAsync(probeRemote('file:///nowhere/at/all'));
  t.true(isMoltError(error, 'REMOTE_UNREACHABLE'));
});

const kinds: Record<
  string,
  readonly [
    setup: BucketSetup,
    found: ProbeFindings['createOnce'],
    verdict: ProbeDecision['verdict'],
    rule?: CreateOnceRule,
  ]
> = {
  'that enforces conditional writes': [{}, 'enforced', 'ok', 'conditional'],
  'with versions that enforces conditional writes': [{ versioned: true }, 'enforced', 'ok', 'conditional'],
  'that ignores conditional writes': [{ conditional: 'ignored' }, 'ignored', 'needs-single-writer'],
  'that answers 501 to conditional writes': [{ conditional: 'refused' }, 'refused', 'needs-single-writer'],
  'with versions that ignores conditional writes': [
    { versioned: true, conditional: 'ignored' },
    'ignored',
    'ok',
    'oldest-version',
  ],
  'with versions that answers 501 to conditional writes': [
    { versioned: true, conditional: 'refused' },
    'refused',
    'ok',
    'oldest-version',
  ],
  'whose credentials may not delete': [{ denyDelete: true }, 'enforced', 'ok', 'conditional'],
  'whose rules delete objects': [
    {
      lifecycle:
        '<Rule><Status>Enabled</Status><Filter><Prefix>some/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>',
    },
    'enforced',
    'refused',
  ],
};
for (const [title, [setup, createOnce, verdict, rule]] of Object.entries(kinds)) {
  test(`a bucket ${title}: ${verdict}${rule === undefined ? '' : `, ${rule}`}`, async (t) => {
    const server = await startS3Server(t, setup);
    const { findings, decision, leftBehind } = await probeRemote(server.url);
    t.is(findings.createOnce, createOnce);
    t.is(decision.verdict, verdict);
    t.is(decision.verdict === 'ok' ? decision.rules.createOnce : undefined, rule);
    t.is(findings.canDelete, setup.denyDelete !== true);
    t.is(leftBehind.length > 0, setup.denyDelete === true);
    if (decision.verdict !== 'ok') t.not(decision.hint, '');
    t.is(findings.versioning, setup.versioned === true ? 'on' : 'off');
  });
}

test('a server that checks a name before it writes, but not at once, is found out', async (t) => {
  const server = await startS3Server(t, { conditional: 'ignored' });
  const puts = new Map<string, number>();
  // The first two writers of a name find it free; whoever comes later doesn't.
  server.fault = ({ method, key }) => {
    if (method !== 'PUT') return undefined;
    puts.set(key, (puts.get(key) ?? 0) + 1);
    return (puts.get(key) ?? 0) > 2 ? { kind: 'error', status: 412, code: 'PreconditionFailed' } : undefined;
  };
  t.is((await probeRemote(server.url)).findings.createOnce, 'raced');
});

test('with one writer, a server without conditional writes is taken, and a taken name is still refused', async (t) => {
  const server = await startS3Server(t, { conditional: 'refused' });
  const { decision } = await probeRemote(server.url, { singleWriter: true });
  if (decision.verdict !== 'ok') return t.fail();
  t.is(decision.rules.createOnce, 'single-writer');
  t.regex(decision.notes.join(), /only one machine/);
  const storage = await openRemoteStorage(server.url, { rules: decision.rules });
  t.true(await storage.createOnce('a', [Buffer.from('one')]));
  t.false(await storage.createOnce('a', [Buffer.from('two')]));
  t.is((await storage.read('a'))?.toString(), 'one');
  server.fault = (_, index) =>
    index === server.requests.length - 1 && puts++ === 1 ? { kind: 'lost-answer' } : undefined;
  let puts = 0;
  t.true(await storage.createOnce('b', [Buffer.from('lost and found')]));
});

test('locks are tried in the mode that is asked for, and what can’t be deleted is named', async (t) => {
  const server = await startS3Server(t, { versioned: true, objectLock: true });
  const { findings, decision, leftBehind } = await probeRemote(server.url, { lock: { mode: 'compliance', days: 90 } });
  t.deepEqual(findings.locks, { fromBirth: true, holds: true, extends: true });
  t.is(findings.objectLock, 'on');
  t.is(decision.verdict, 'ok');
  t.is(leftBehind.length, 1);
  t.is(server.versionsOf(leftBehind[0] ?? '')[0]?.lock?.mode, 'COMPLIANCE');
});

test('the difference of the clocks is reported', async (t) => {
  const server = await startS3Server(t);
  server.skewMs = 10 * 60_000;
  const { findings, decision } = await probeRemote(server.url);
  t.true(Math.abs((findings.clockSkewMs ?? 0) - server.skewMs) < 60_000);
  t.regex(decision.verdict === 'ok' ? decision.notes.join() : '', /10 minutes apart/);
});

test('a remote that does not answer or refuses is an error, not a report', async (t) => {
  const server = await startS3Server(t);
  server.fault = () => ({ kind: 'error', status: 403, code: 'SignatureDoesNotMatch' });
  t.true(isMoltError(await t.throwsAsync(probeRemote(server.url)), 'REMOTE_REFUSED'));
  server.fault = () => ({ kind: 'error', status: 404, code: 'NoSuchBucket' });
  t.true(isMoltError(await t.throwsAsync(probeRemote(server.url)), 'REMOTE_REFUSED'));
});

const decides = test.macro({
  exec(t, findings: Partial<ProbeFindings>, wishes: Partial<Parameters<typeof decideRemote>[1]>, expected: RegExp) {
    const decision = decideRemote({ ...SOUND, ...findings }, { singleWriter: false, ...wishes });
    const text =
      decision.verdict === 'ok'
        ? `ok ${decision.rules.createOnce}; ${decision.notes.join('; ')}`
        : `${decision.verdict}: ${decision.reasons.join('; ')}`;
    t.regex(text, expected);
  },
  title: (title = '') => `decision: ${title}`,
});
const LOCK = { lock: { mode: 'governance', days: 90 } } as const;
const LOCKED: Partial<ProbeFindings> = {
  versioning: 'on',
  objectLock: 'on',
  locks: { fromBirth: true, holds: true, extends: true },
};
const ORDERED: Partial<ProbeFindings> = { createOnce: 'ignored', versioning: 'on', oldestVersionWins: true };

test('sound', decides, {}, {}, /^ok conditional; $/);
test('stale reads', decides, { readAfterWrite: false }, {}, /^refused: what was just written is not read/);
test('wrong ranges', decides, { rangeReads: false }, { singleWriter: true }, /^refused: parts/);
test('stale lists', decides, { listing: false }, {}, /^refused: .*not listed/);
test('expiry refuses a single writer too', decides, { expiry: 'objects' }, { singleWriter: true }, /^refused: a rule/);
test('oldest version', decides, ORDERED, {}, /^ok oldest-version; .*two more requests/);
test(
  'old versions expire where they are the truth',
  decides,
  { ...ORDERED, expiry: 'old-versions' },
  {},
  /^refused: the oldest/,
);
test(
  'old versions expire where they are not',
  decides,
  { versioning: 'on', expiry: 'old-versions' },
  {},
  /^ok conditional; a rule/,
);
test('suspended versions name no winner', decides, { ...ORDERED, versioning: 'suspended' }, {}, /^needs-single-writer/);
test('raced', decides, { createOnce: 'raced' }, {}, /^needs-single-writer: .*two writers were both told/);
test('one writer', decides, { createOnce: 'ignored' }, { singleWriter: true }, /^ok single-writer/);
test('lock', decides, LOCKED, LOCK, /^ok conditional; $/);
test('lock without Object Lock', decides, {}, LOCK, /^refused: the bucket has no Object Lock/);
test(
  'lock that does not hold',
  decides,
  { ...LOCKED, locks: { fromBirth: true, holds: false, extends: true } },
  LOCK,
  /^refused: a locked object/,
);
test(
  'lock that can’t be extended',
  decides,
  { ...LOCKED, locks: { fromBirth: true, holds: true, extends: false } },
  LOCK,
  /^refused: a lock can’t/,
);
test('no deletion', decides, { canDelete: false }, {}, /^ok conditional; these credentials may not delete/);

test('a rule of a bucket counts if it touches the prefix', (t) => {
  const rule = (Prefix: string, rest: object) => ({ ID: 'x', Status: 'Enabled' as const, Filter: { Prefix }, ...rest });
  const expires = { Expiration: { Days: 1 } };
  t.is(findExpiry([], 'a/b/'), 'none');
  t.is(findExpiry([rule('', expires)], 'a/b/'), 'objects');
  t.is(findExpiry([rule('a/b/log/', expires)], 'a/b/'), 'objects');
  t.is(findExpiry([rule('c/', expires)], 'a/b/'), 'none');
  t.is(findExpiry([{ ...rule('', expires), Status: 'Disabled' }], 'a/b/'), 'none');
  t.is(findExpiry([rule('', { Expiration: { ExpiredObjectDeleteMarker: true } })], 'a/b/'), 'none');
  t.is(findExpiry([rule('a/', { NoncurrentVersionExpiration: { NoncurrentDays: 9 } })], 'a/b/'), 'old-versions');
});
