// An S3 server within the test's process: real HTTP on loopback, signatures checked, objects in memory, versions and locks; and it fails
// in the ways that servers fail, one request at a time, as the test tells it. What it does is what AWS documents; what Ceph does is
// tested on Ceph itself (ceph.test.ts).

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { findSignatureFault } from './sigv4.ts';

/**
 * How a request fails. `error`: an answer of this status and code, nothing done. `reset`: the connection breaks before anything is done.
 * `lost-answer`: done, and then the connection breaks. `silence`: no answer, ever. `truncated`: half of the body and a broken connection.
 * `wrong-bytes`: one bit of the body is another. `not-s3`: a page of something else.
 */
export type S3Fault =
  | {
      readonly kind: 'error';
      readonly status: number;
      readonly code: string;
      readonly headers?: Record<string, string>;
    }
  | { readonly kind: 'reset' | 'lost-answer' | 'silence' | 'truncated' | 'wrong-bytes' | 'not-s3' };

/** What a request asked for, for tests to choose and count by. */
export interface S3Request {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/** A bucket's setup, and how its server departs from S3. */
export interface BucketSetup {
  readonly versioned?: boolean;
  readonly objectLock?: boolean;
  /** `ignored`: If-None-Match has no effect, as on old servers. `refused`: 501, as Swift's S3 interface answers. */
  readonly conditional?: 'enforced' | 'ignored' | 'refused';
  /** Refuses locked objects without Content-MD5 or a checksum, as AWS does. */
  readonly defaultLock?: boolean;
  /** Refuses deletions, as for an append-only key. */
  readonly denyDelete?: boolean;
  readonly lifecycle?: string;
  readonly ignoresRanges?: boolean;
}

interface Version {
  readonly id: string;
  readonly bytes: Buffer;
  readonly modifiedMs: number;
  readonly isMarker: boolean;
  lock?: { readonly mode: string; readonly untilMs: number } | undefined;
}

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string | number>;
  readonly body?: Buffer | string;
}

const KEYS = { accessKeyId: 'testaccess', secretAccessKey: 'testsecret' };
const BUCKET = 'bucket';

/** Starts a server for one test. */
export async function startS3Server(t: ExecutionContext, setup: BucketSetup = {}): Promise<S3Server> {
  const server = new S3Server(setup);
  await server.start();
  t.teardown(() => server.stop());
  return server;
}

export class S3Server {
  readonly requests: S3Request[] = [];
  /** What the server's clock is ahead of the real one. */
  skewMs = 0;
  /** Asked for each request; what it returns happens. */
  fault: (request: S3Request, index: number) => S3Fault | undefined = () => undefined;
  readonly #setup: BucketSetup;
  readonly #objects = new Map<string, Version[]>();
  readonly #http = createServer((request, response) => void this.#serve(request, response));
  #ids = 0;

  constructor(setup: BucketSetup) {
    this.#setup = setup;
  }

  /** The remote's URL with a prefix; further parameters may be appended. */
  get url(): string {
    return `s3://${BUCKET}/some/prefix?endpoint=http://127.0.0.1:${this.port}&region=test-1`;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** The versions of a name under the prefix, newest first. */
  versionsOf(name: string): readonly Version[] {
    return this.#objects.get(`some/prefix/${name}`) ?? [];
  }

  /** Every object of the bucket as its owner sees it, by key. */
  everything(): (readonly [key: string, bytes: Buffer])[] {
    return [...this.#objects].flatMap(([key, versions]) => versions.map(({ bytes }) => [key, bytes] as const));
  }

  /** Puts something into the bucket behind every rule, as another program would; undefined puts a delete marker. */
  plant(name: string, bytes: Buffer | undefined): void {
    this.#store(
      name.startsWith('/') ? name.slice(1) : `some/prefix/${name}`,
      bytes ?? Buffer.alloc(0),
      bytes === undefined,
    );
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#http.listen(0, '127.0.0.1', resolve);
    });
  }

  async stop(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => {
      this.#http.close(resolve);
    });
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of message) chunks.push(chunk as Buffer);
    } catch {
      return; // The client gave up.
    }
    const body = Buffer.concat(chunks);
    const url = new URL(message.url ?? '/', 'http://server');
    const [, bucket, ...rest] = decodeURIComponent(url.pathname).split('/');
    const request: S3Request = {
      method: message.method ?? '',
      key: rest.join('/'),
      query: url.searchParams,
      headers: message.headers,
    };
    this.requests.push(request);
    const fault = this.fault(request, this.requests.length - 1);
    if (fault?.kind === 'silence') return;
    if (fault?.kind === 'reset') {
      message.socket.destroy();
      return;
    }
    let answer: Answer;
    if (fault?.kind === 'error')
      answer = { ...refusal(fault.status, fault.code), ...(fault.headers && { headers: fault.headers }) };
    else if (fault?.kind === 'not-s3') answer = { status: 200, body: '<html><body>Welcome</body></html>' };
    else {
      const code = findSignatureFault(message, body, KEYS, this.#now());
      answer =
        code !== undefined
          ? refusal(403, code)
          : bucket === BUCKET
            ? this.#answer(request, body)
            : refusal(404, 'NoSuchBucket');
    }
    if (fault?.kind === 'lost-answer') {
      message.socket.destroy();
      return;
    }
    this.#send(message, response, answer, fault?.kind);
  }

  #send(message: IncomingMessage, response: ServerResponse, answer: Answer, fault: string | undefined): void {
    const body = Buffer.from(answer.body ?? '');
    if (fault === 'wrong-bytes' && body.length > 0) body[0] = (body[0] ?? 0) ^ 1;
    response.writeHead(answer.status, {
      date: new Date(this.#now()).toUTCString(),
      'content-length': body.length,
      ...answer.headers,
    });
    if (message.method === 'HEAD') response.end();
    else if (fault === 'truncated') response.write(body.subarray(0, body.length / 2), () => message.socket.destroy());
    else response.end(body);
  }

  #answer(request: S3Request, body: Buffer): Answer {
    const { method, key, query, headers } = request;
    if (key === '') return this.#answerBucket(query);
    const id = query.get('versionId') ?? undefined;
    if (query.has('retention')) return this.#answerRetention(method, key, id, body);
    if (method === 'PUT') return this.#put(key, headers, body);
    if (method === 'DELETE') return this.#delete(key, id, headers);
    const versions = this.#objects.get(key) ?? [];
    const version = id === undefined ? versions[0] : versions.find((one) => one.id === id);
    if (version === undefined || version.isMarker) {
      const marker: Record<string, string> = version === undefined ? {} : { 'x-amz-delete-marker': 'true' };
      return { ...refusal(404, 'NoSuchKey'), headers: marker };
    }
    return this.#get(version, headers.range);
  }

  #get({ bytes, modifiedMs, id }: Version, range: string | undefined): Answer {
    const common = {
      'last-modified': new Date(modifiedMs).toUTCString(),
      ...(this.#setup.versioned === true ? { 'x-amz-version-id': id } : {}),
    };
    const [, from = '', to = ''] = /^bytes=([0-9]+)-([0-9]*)$/.exec(range ?? '') ?? [];
    if (from === '' || this.#setup.ignoresRanges === true) return { status: 200, headers: common, body: bytes };
    const start = Number(from);
    const end = to === '' ? bytes.length : Math.min(Number(to) + 1, bytes.length);
    if (start >= bytes.length) return refusal(416, 'InvalidRange');
    const contentRange = `bytes ${start}-${end - 1}/${bytes.length}`;
    return { status: 206, headers: { ...common, 'content-range': contentRange }, body: bytes.subarray(start, end) };
  }

  #put(key: string, headers: IncomingMessage['headers'], body: Buffer): Answer {
    const { conditional = 'enforced', objectLock, defaultLock } = this.#setup;
    const mode = headers['x-amz-object-lock-mode'];
    const md5 = headers['content-md5'];
    const sha256 = headers['x-amz-checksum-sha256'];
    if (md5 !== undefined && md5 !== hash('md5', body)) return refusal(400, 'BadDigest');
    if (sha256 !== undefined && sha256 !== hash('sha256', body)) return refusal(400, 'BadDigest');
    if ((mode !== undefined || defaultLock === true) && md5 === undefined && sha256 === undefined) {
      return refusal(
        400,
        'InvalidRequest',
        'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
      );
    }
    if (mode !== undefined && objectLock !== true)
      return refusal(400, 'InvalidRequest', 'Bucket is missing Object Lock Configuration');
    if (headers['if-none-match'] === '*') {
      if (conditional === 'refused') return refusal(501, 'NotImplemented');
      const top = this.#objects.get(key)?.[0];
      if (conditional === 'enforced' && top !== undefined && !top.isMarker) return refusal(412, 'PreconditionFailed');
    }
    const version = this.#store(key, body, false);
    if (mode !== undefined) {
      version.lock = {
        mode: String(mode),
        untilMs: Date.parse(String(headers['x-amz-object-lock-retain-until-date'])),
      };
    }
    return {
      status: 200,
      headers: {
        etag: `"${hash('md5', body)}"`,
        ...(this.#setup.versioned === true ? { 'x-amz-version-id': version.id } : {}),
      },
    };
  }

  #store(key: string, bytes: Buffer, isMarker: boolean): Version {
    this.#ids += 1;
    const version: Version = { id: `v${this.#ids}`, bytes: Buffer.from(bytes), modifiedMs: this.#now(), isMarker };
    const before = this.#setup.versioned === true ? (this.#objects.get(key) ?? []) : [];
    this.#objects.set(key, [version, ...before]);
    return version;
  }

  #delete(key: string, id: string | undefined, headers: IncomingMessage['headers']): Answer {
    if (this.#setup.denyDelete === true) return refusal(403, 'AccessDenied');
    if (this.#setup.versioned !== true) {
      this.#objects.delete(key);
      return { status: 204 };
    }
    if (id === undefined) {
      this.#store(key, Buffer.alloc(0), true);
      return { status: 204, headers: { 'x-amz-delete-marker': 'true' } };
    }
    const versions = this.#objects.get(key) ?? [];
    const lock = versions.find((one) => one.id === id)?.lock;
    const bypass = headers['x-amz-bypass-governance-retention'] === 'true' && lock?.mode === 'GOVERNANCE';
    if (lock !== undefined && lock.untilMs > this.#now() && !bypass) return refusal(403, 'AccessDenied');
    const left = versions.filter((one) => one.id !== id);
    if (left.length === 0) this.#objects.delete(key);
    else this.#objects.set(key, left);
    return { status: 204 };
  }

  #answerRetention(method: string, key: string, id: string | undefined, body: Buffer): Answer {
    const versions = this.#objects.get(key) ?? [];
    const version = id === undefined ? versions[0] : versions.find((one) => one.id === id);
    if (version === undefined) return refusal(404, 'NoSuchKey');
    if (method === 'GET') {
      if (version.lock === undefined) return refusal(404, 'NoSuchObjectLockConfiguration');
      const until = new Date(version.lock.untilMs).toISOString();
      return xml(`<Retention><Mode>${version.lock.mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`);
    }
    const text = body.toString();
    const untilMs = Date.parse(/<RetainUntilDate>([^<]+)</.exec(text)?.[1] ?? '');
    if (version.lock !== undefined && untilMs < version.lock.untilMs) return refusal(403, 'AccessDenied');
    version.lock = { mode: /<Mode>([A-Z]+)</.exec(text)?.[1] ?? '', untilMs };
    return { status: 200 };
  }

  #answerBucket(query: URLSearchParams): Answer {
    const { versioned = false, objectLock = false, lifecycle } = this.#setup;
    if (query.has('versioning')) {
      return xml(`<VersioningConfiguration>${versioned ? '<Status>Enabled</Status>' : ''}</VersioningConfiguration>`);
    }
    if (query.has('object-lock')) {
      if (!objectLock) return refusal(404, 'ObjectLockConfigurationNotFoundError');
      return xml('<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>');
    }
    if (query.has('lifecycle')) {
      if (lifecycle === undefined) return refusal(404, 'NoSuchLifecycleConfiguration');
      return xml(`<LifecycleConfiguration>${lifecycle}</LifecycleConfiguration>`);
    }
    return query.has('versions') ? this.#listVersions(query) : this.#listObjects(query);
  }

  #listObjects(query: URLSearchParams): Answer {
    const after = query.get('continuation-token') ?? query.get('start-after') ?? '';
    const max = Number(query.get('max-keys') ?? 1_000);
    const keys = this.#keysUnder(query).filter((key) => key > after && this.#objects.get(key)?.[0]?.isMarker === false);
    const page = keys.slice(0, max);
    const contents = page.map((key) => {
      const [top] = this.#objects.get(key) ?? [];
      return `<Contents><Key>${key}</Key><Size>${top?.bytes.length}</Size><LastModified>${new Date(top?.modifiedMs ?? 0).toISOString()}</LastModified></Contents>`;
    });
    const next = page.length < keys.length ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    return xml(
      `<ListBucketResult><IsTruncated>${next !== ''}</IsTruncated>${contents.join('')}${next}</ListBucketResult>`,
    );
  }

  #listVersions(query: URLSearchParams): Answer {
    const keyMarker = query.get('key-marker') ?? '';
    const idMarker = query.get('version-id-marker') ?? undefined;
    const max = Number(query.get('max-keys') ?? 1_000);
    const all = this.#keysUnder(query).flatMap((key) => {
      const versions = this.#objects.get(key) ?? [];
      if (key < keyMarker || (key === keyMarker && idMarker === undefined)) return [];
      const from = key === keyMarker ? versions.findIndex(({ id }) => id === idMarker) + 1 : 0;
      return versions.slice(from).map((version, index) => ({ key, version, isLatest: from + index === 0 }));
    });
    const page = all.slice(0, max);
    const entries = page.map(({ key, version: { id, isMarker, bytes, modifiedMs }, isLatest }) => {
      const tag = isMarker ? 'DeleteMarker' : 'Version';
      const size = isMarker ? '' : `<Size>${bytes.length}</Size>`;
      return `<${tag}><Key>${key}</Key><VersionId>${id}</VersionId><IsLatest>${isLatest}</IsLatest>${size}<LastModified>${new Date(modifiedMs).toISOString()}</LastModified></${tag}>`;
    });
    const last = page.length < all.length ? page.at(-1) : undefined;
    const next =
      last === undefined
        ? ''
        : `<NextKeyMarker>${last.key}</NextKeyMarker><NextVersionIdMarker>${last.version.id}</NextVersionIdMarker>`;
    return xml(
      `<ListVersionsResult><IsTruncated>${next !== ''}</IsTruncated>${entries.join('')}${next}</ListVersionsResult>`,
    );
  }

  #keysUnder(query: URLSearchParams): string[] {
    const prefix = query.get('prefix') ?? '';
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  #now(): number {
    return Date.now() + this.skewMs;
  }
}

function xml(content: string): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: `<?xml version="1.0"?>${content}` };
}

function refusal(status: number, code: string, message = code): Answer {
  return { status, body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>` };
}

function hash(algorithm: string, bytes: Buffer): string {
  return createHash(algorithm).update(bytes).digest('base64');
}
