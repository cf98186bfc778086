// What S3 storage does when the server or the network fails: nothing is lost, nothing is claimed that is not so, and errors say what helps.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError, type MoltError } from '../../src/model/error.ts';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import type { RemoteOptions, RemoteStorage } from '../../src/storage/remote.ts';
import { listed } from './contract.ts';
import { type BucketSetup, type S3Fault, type S3Request, type S3Server, startS3Server } from './s3-server.ts';

process.env['AWS_ACCESS_KEY_ID'] = 'testaccess';
process.env['AWS_SECRET_ACCESS_KEY'] = 'testsecret';

const BYTES = Buffer.from('an object');
const SLOW_DOWN: S3Fault = { kind: 'error', status: 503, code: 'SlowDown', headers: { 'retry-after': '7' } };
const INTERNAL: S3Fault = { kind: 'error', status: 500, code: 'InternalError' };
const CONFLICT: S3Fault = { kind: 'error', status: 409, code: 'ConditionalRequestConflict' };
const PASSING: Record<string, S3Fault> = {
  'a 500': INTERNAL,
  'a 503 SlowDown': SLOW_DOWN,
  'a 429': { kind: 'error', status: 429, code: 'TooManyRequests' },
  'a broken connection': { kind: 'reset' },
  silence: { kind: 'silence' },
  'a lost answer': { kind: 'lost-answer' },
};

interface Opened {
  readonly server: S3Server;
  readonly storage: RemoteStorage;
  readonly pauses: number[];
}

/** Opens a storage whose pauses take no time and are written down. */
async function open(t: ExecutionContext, setup: BucketSetup = {}, options: RemoteOptions = {}): Promise<Opened> {
  const server = await startS3Server(t, setup);
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => void pauses.push(ms);
  const timing = { pause, random: () => 0.5, idleMs: 1_500, ...options.timing };
  const storage = await openRemoteStorage(server.url, { ...options, timing });
  t.teardown(() => storage.close());
  return { server, storage, pauses };
}

/** Lets a fault strike the first requests that match, so many of them. */
function strike(
  server: S3Server,
  fault: S3Fault,
  times = 1,
  matches: (request: S3Request) => boolean = () => true,
): void {
  let left = times;
  server.fault = (request) => {
    if (left === 0 || !matches(request)) return undefined;
    left -= 1;
    return fault;
  };
}

const isPut = ({ method }: S3Request): boolean => method === 'PUT';
const isGet = ({ method }: S3Request): boolean => method === 'GET';

async function failure(t: ExecutionContext, action: Promise<unknown>): Promise<MoltError> {
  const error = await t.throwsAsync(action);
  if (!isMoltError(error)) throw error ?? new Error('no error');
  t.notRegex(JSON.stringify([error.message, error.hint, error.details, String(error.cause)]), /testsecret|Signature=/);
  return error;
}

for (const [title, fault] of Object.entries(PASSING)) {
  test(`${title} on writing is survived, and the object is ours`, async (t) => {
    const { server, storage } = await open(t);
    await storage.createOnce('other', [BYTES]);
    strike(server, fault, 2, isPut);
    t.true(await storage.createOnce('log/1', [BYTES]));
    server.fault = () => undefined;
    t.deepEqual(await storage.read('log/1'), BYTES);
    t.false(await storage.createOnce('log/1', [Buffer.from('others')]));
  });
  test(`${title} on reading, listing, looking up and deleting is survived`, async (t) => {
    const { server, storage } = await open(t);
    await storage.createOnce('log/1', [BYTES]);
    strike(server, fault);
    t.deepEqual(await storage.read('log/1', { start: 3, end: 6 }), Buffer.from('obj'));
    strike(server, fault);
    t.deepEqual(await listed(storage, 'log/'), ['log/1']);
    strike(server, fault);
    t.is((await storage.stat('log/1'))?.sizeBytes, BYTES.length);
    strike(server, fault);
    await storage.delete('log/1');
    server.fault = () => undefined;
    t.is(await storage.read('log/1'), undefined);
  });
}

test('a lost success is told from somebody else’s object', async (t) => {
  const { server, storage } = await open(t);
  const other = await openRemoteStorage(server.url);
  t.teardown(() => other.close());
  await other.createOnce('log/1', [Buffer.from('theirs')]);
  strike(server, { kind: 'reset' }, 1, isPut);
  t.false(await storage.createOnce('log/1', [BYTES]));
  t.deepEqual(await storage.read('log/1'), Buffer.from('theirs'));
});

test('a lost success is recognised also when the answer to the second attempt is "taken"', async (t) => {
  const { server, storage } = await open(t);
  // The first attempt arrives only after the client has looked for it.
  let first = true;
  server.fault = (request) => {
    if (isPut(request) && first) {
      first = false;
      return { kind: 'reset' };
    }
    if (isGet(request)) {
      server.fault = () => undefined;
      queueMicrotask(() => server.plant('log/1', BYTES));
    }
    return undefined;
  };
  t.true(await storage.createOnce('log/1', [BYTES]));
  t.is(server.requests.filter(isPut).length, 2);
});

test('a conflict is no lost race: the write is tried again', async (t) => {
  const { server, storage } = await open(t);
  strike(server, CONFLICT, 2, isPut);
  t.true(await storage.createOnce('log/1', [BYTES]));
});

test('a write that was refused at once is not said to be perhaps written', async (t) => {
  const { server, storage } = await open(t);
  server.fault = () => ({ kind: 'error', status: 403, code: 'SignatureDoesNotMatch' });
  t.notRegex((await failure(t, storage.createOnce('log/1', [BYTES]))).message, /whether it was written/);
});

test('an answer that never comes ends in an error that does not claim to know', async (t) => {
  const { server, storage } = await open(t);
  await storage.createOnce('log/1', [BYTES]);
  server.fault = () => ({ kind: 'lost-answer' });
  const error = await failure(t, storage.createOnce('log/2', [BYTES]));
  t.is(error.code, 'REMOTE_UNREACHABLE');
  t.regex(error.message, /whether it was written is not known/);
  server.fault = () => undefined;
  t.deepEqual(await storage.read('log/2'), BYTES);
});

test('a lost success in a versioned bucket that ignores conditions is recognised, and makes no second version', async (t) => {
  const rules = { createOnce: 'oldest-version', versioned: true } as const;
  const { server, storage } = await open(t, { versioned: true, conditional: 'ignored' }, { rules });
  strike(server, { kind: 'lost-answer' }, 1, isPut);
  t.true(await storage.createOnce('log/1', [BYTES]));
  t.is(server.versionsOf('log/1').length, 1);
  // Every later request of it may fail as well.
  for (let at = 0; at < 3; at += 1) {
    for (const fault of [{ kind: 'lost-answer' }, { kind: 'reset' }, INTERNAL] as const) {
      const name = `cut/${at}-${fault.kind}`;
      const start = server.requests.length;
      server.fault = (_, index) => (index === start + at ? fault : undefined);
      t.true(await storage.createOnce(name, [BYTES]), name);
      t.deepEqual(await storage.read(name), BYTES);
      t.is(server.versionsOf(name).at(-1)?.bytes.toString(), BYTES.toString());
    }
  }
});

test('a truncated body is read again', async (t) => {
  const { server, storage } = await open(t);
  await storage.createOnce('packs/aa/1', [Buffer.alloc(300_000, 7)]);
  strike(server, { kind: 'truncated' }, 2);
  t.deepEqual(await storage.read('packs/aa/1'), Buffer.alloc(300_000, 7));
  t.is(storage.traffic.requests.get, 3);
});

test('wrong bytes are returned as they came: their reader checks them', async (t) => {
  const { server, storage } = await open(t);
  await storage.createOnce('packs/aa/1', [BYTES]);
  strike(server, { kind: 'wrong-bytes' });
  t.notDeepEqual(await storage.read('packs/aa/1'), BYTES);
});

test('a server that ignores ranges gives the range all the same', async (t) => {
  const { storage } = await open(t, { ignoresRanges: true });
  await storage.createOnce('a', [BYTES]);
  t.deepEqual(await storage.read('a', { start: 3, end: 6 }), Buffer.from('obj'));
  t.deepEqual(await storage.read('a', { start: 30, end: 60 }), Buffer.alloc(0));
});

test('what a server asks to wait is waited, and pauses grow and stay below a cap', async (t) => {
  const { server, storage, pauses } = await open(t);
  strike(server, SLOW_DOWN, 1);
  await storage.read('a');
  t.deepEqual(pauses, [7_000]);
  pauses.length = 0;
  server.fault = () => INTERNAL;
  t.is((await failure(t, storage.read('a'))).code, 'REMOTE_UNREACHABLE');
  t.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000]);
});

const refusals: readonly [title: string, fault: S3Fault, message: RegExp, hint: RegExp][] = [
  ['a wrong secret key', { kind: 'error', status: 403, code: 'SignatureDoesNotMatch' }, /secret key/, /profile/],
  ['an unknown access key', { kind: 'error', status: 403, code: 'InvalidAccessKeyId' }, /access key/, /profile/],
  ['expired credentials', { kind: 'error', status: 400, code: 'ExpiredToken' }, /expired/, /profile/],
  ['a missing permission', { kind: 'error', status: 403, code: 'AccessDenied' }, /do not allow/, /docs\/remotes\.md/],
  ['a missing bucket', { kind: 'error', status: 404, code: 'NoSuchBucket' }, /no such bucket/, /endpoint/],
  [
    'another region',
    { kind: 'error', status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'eu-west-1' } },
    /another region/,
    /\?region=eu-west-1/,
  ],
  ['no conditional writes', { kind: 'error', status: 501, code: 'NotImplemented' }, /does not offer/, /docs/],
];
for (const [title, fault, message, hint] of refusals) {
  test(`${title} is refused at once, with a hint`, async (t) => {
    const { server, storage, pauses } = await open(t);
    server.fault = () => fault;
    const error = await failure(t, storage.createOnce('log/1', [BYTES]));
    t.is(error.code, 'REMOTE_REFUSED');
    t.regex(error.message, message);
    t.regex(error.hint ?? '', hint);
    t.deepEqual(pauses, []);
  });
}

test('a wrong profile, none, and real wrong keys are told by the server’s own check', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'molt-s3-'));
  t.teardown(async () => rm(dir, { recursive: true }));
  const file = path.join(dir, 'credentials');
  await writeFile(
    file,
    '[wrong]\naws_access_key_id=testaccess\naws_secret_access_key=guess\n[right]\naws_access_key_id=testaccess\naws_secret_access_key=testsecret\n',
  );
  process.env['AWS_SHARED_CREDENTIALS_FILE'] = file;
  process.env['AWS_CONFIG_FILE'] = path.join(dir, 'config');
  const server = await startS3Server(t);
  const right = await openRemoteStorage(`${server.url}&profile=right`);
  t.true(await right.createOnce('a', [BYTES]));
  const wrong = await openRemoteStorage(`${server.url}&profile=wrong`);
  t.regex((await failure(t, wrong.read('a'))).message, /secret key/);
  const missing = await openRemoteStorage(`${server.url}&profile=missing`);
  const error = await failure(t, missing.read('a'));
  t.is(error.code, 'REMOTE_REFUSED');
  t.regex(error.message, /no credentials/);
});

test('a clock that differs from the server’s is allowed for, and the server’s time is known', async (t) => {
  const { server, storage } = await open(t);
  server.skewMs = -5 * 3_600_000;
  t.is(storage.nowMs(), undefined);
  t.true(await storage.createOnce('log/1', [BYTES]));
  t.true(Math.abs((storage.nowMs() ?? 0) - (Date.now() + server.skewMs)) < 600_000);
});

test('the server’s time goes on while the machine sleeps', async (t) => {
  let wallMs = Date.now();
  const { storage } = await open(t, {}, { clock: { now: () => wallMs } });
  await storage.read('a');
  const before = storage.nowMs() ?? 0;
  wallMs += 72 * 3_600_000;
  t.true((storage.nowMs() ?? 0) - before > 71 * 3_600_000);
  wallMs -= 200 * 3_600_000;
  t.true((storage.nowMs() ?? 0) >= before);
});

test('something that is no S3 server is not believed', async (t) => {
  const { server, storage } = await open(t, {}, { timing: { attempts: 2 } });
  server.fault = () => ({ kind: 'not-s3' });
  for (const action of [listed(storage, ''), storage.createOnce('a', [BYTES]), storage.read('a'), storage.stat('a')]) {
    const error = await failure(t, action);
    t.is(error.code, 'REMOTE_UNREACHABLE');
    t.regex(error.message, /not one of an S3 server|no size or time/);
  }
});

test('a server that is not there, and a name that is none, fail without retries', async (t) => {
  const { server, pauses } = await open(t);
  const { port } = server;
  await server.stop();
  const gone = await openRemoteStorage(`s3://bucket/x?endpoint=http://127.0.0.1:${port}`);
  t.regex((await failure(t, gone.read('a'))).message, /nothing listens/);
  const unnamed = await openRemoteStorage('s3://bucket/x?endpoint=https://host.invalid');
  const error = await failure(t, unnamed.read('a'));
  t.is(error.code, 'REMOTE_UNREACHABLE');
  t.regex(error.message, /DNS/);
  t.deepEqual(pauses, []);
});

test('a plain HTTP server where TLS was expected is no secure connection', async (t) => {
  const { server } = await open(t);
  const storage = await openRemoteStorage(`s3://bucket/x?endpoint=https://127.0.0.1:${server.port}`);
  const error = await failure(t, storage.read('a'));
  t.is(error.code, 'REMOTE_UNREACHABLE');
  t.regex(error.message, /secure connection/);
});

test('a signal stops what is in flight and what comes later', async (t) => {
  const stop = new AbortController();
  const { server, storage } = await open(t, {}, { signal: stop.signal, timing: { idleMs: 60_000 } });
  server.fault = () => {
    setImmediate(() => stop.abort());
    return { kind: 'silence' };
  };
  t.is((await failure(t, storage.createOnce('log/1', [BYTES]))).code, 'INTERRUPTED');
  t.is((await failure(t, storage.read('log/1'))).code, 'INTERRUPTED');
});

test('every attempt is counted by its kind, and bodies by their bytes', async (t) => {
  const { server, storage } = await open(t);
  strike(server, INTERNAL, 1, isPut);
  await storage.createOnce('log/1', [BYTES]);
  await storage.read('log/1');
  await storage.stat('log/1');
  await listed(storage, '');
  await storage.delete('log/1');
  t.deepEqual(storage.traffic.requests, { put: 2, get: 2, list: 1, head: 1, delete: 1 });
  t.is(storage.traffic.bytesSent, 2 * BYTES.length);
  t.true(storage.traffic.bytesReceived >= BYTES.length);
});

test('a limited rate changes no byte, in either direction', async (t) => {
  const { storage } = await open(t, {}, { limitBytesPerSecond: 20_000_000 });
  const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => index % 251));
  t.true(await storage.createOnce('packs/aa/1', [bytes]));
  t.true((await storage.read('packs/aa/1'))?.equals(bytes));
  t.is(storage.traffic.bytesSent, bytes.length);
  t.is(storage.traffic.bytesReceived, bytes.length);
});

test('writing an object that is not there is one request', async (t) => {
  const { server, storage } = await open(t);
  t.true(await storage.createOnce('log/1', [BYTES, BYTES]));
  t.deepEqual(
    server.requests.map(({ method, key }) => `${method} ${key}`),
    ['PUT some/prefix/log/1'],
  );
});

test('a bucket that locks by default gets the checksum that it asks for', async (t) => {
  const { server, storage } = await open(t, { versioned: true, objectLock: true, defaultLock: true });
  t.true(await storage.createOnce('log/1', [BYTES]));
  t.true(await storage.createOnce('log/2', [BYTES]));
  t.is(server.requests.length, 3);
});

test('a delete marker on top is read through, and a foreign version can be told apart', async (t) => {
  const rules = { createOnce: 'conditional', versioned: true } as const;
  const { server, storage } = await open(t, { versioned: true }, { rules });
  await storage.createOnce('log/1', [BYTES]);
  server.plant('log/1', Buffer.from('foreign'));
  server.plant('log/1', undefined);
  t.deepEqual(await storage.read('log/1'), BYTES);
  t.deepEqual(await listed(storage, ''), ['log/1']);
  t.is((await storage.stat('log/1'))?.sizeBytes, BYTES.length);
  const { versions = [], deleteMarkers, isHidden } = (await storage.versions?.list('log/1')) ?? {};
  t.deepEqual([versions.map(({ sizeBytes }) => sizeBytes), deleteMarkers, isHidden], [[BYTES.length, 7], 1, true]);
  t.is((await storage.versions?.read('log/1', versions[1]?.versionId ?? ''))?.toString(), 'foreign');
});

test('many versions of one object, and of its neighbours, don’t hide the oldest', async (t) => {
  const rules = { createOnce: 'oldest-version', versioned: true } as const;
  const { server, storage } = await open(t, { versioned: true, conditional: 'ignored' }, { rules });
  await storage.createOnce('log/1', [BYTES]);
  await storage.createOnce('log/10', [Buffer.from('ten')]);
  for (let round = 0; round < 1_200; round += 1) server.plant('log/1', Buffer.from(`junk ${round}`));
  t.deepEqual(await storage.read('log/1'), BYTES);
  t.deepEqual(await listed(storage, ''), ['log/1', 'log/10']);
  t.is((await storage.versions?.list('log/1'))?.versions.length, 1_201);
  await storage.delete('log/1');
  t.is(server.versionsOf('log/1').length, 0);
});

test('keys that are no names of ours are passed over', async (t) => {
  const { server, storage } = await open(t);
  await storage.createOnce('a', [BYTES]);
  for (const key of ['UPPER', '.hidden', 'tmp/1', 'a//b', '/some/prefixes', '/other/a']) server.plant(key, BYTES);
  t.deepEqual(await listed(storage, ''), ['a']);
});
