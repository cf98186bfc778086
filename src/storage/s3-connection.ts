// Sends requests to an S3 server: with a deadline, counted, paced, retried, stoppable. The SDK signs, finds credentials and parses;
// everything that decides is here.

import { PassThrough, pipeline, Readable } from 'node:stream';
import {
  type $Command,
  S3Client,
  type S3ClientConfig,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3';
import type { Clock } from '../model/ports.ts';
import type { IoContext } from './io-error.ts';
import { RateLimit } from './rate-limit.ts';
import type { S3Location } from './remote-url.ts';
import { type RemoteOptions, type RequestKind, TrafficMeter } from './remote.ts';
import { DEFAULT_TIMING, RequestLimiter, type RetryTiming, withRetries } from './retry.ts';
import { explainS3Error, LostAnswer, type S3Failure, s3Failure, Stopped } from './s3-error.ts';

/** A command of the SDK. Made anew for each attempt. */
type S3Command<I extends ServiceInputTypes, O extends ServiceOutputTypes> = $Command<
  I,
  O,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>;

// Enough for a fast line, few enough for providers that throttle (restic's users met that at 50).
const DEFAULT_REQUESTS_AT_ONCE = 8;
const CONNECT_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;
const SLICE_BYTES = 65_536;
// More than any object has: a limited rate may make a request last this much longer.
const MOST_BYTES = 64 << 20;

/** One client of one server. */
export class S3Connection {
  readonly traffic = new TrafficMeter();
  readonly limiter: RequestLimiter;
  readonly #client: S3Client;
  readonly #timing: RetryTiming;
  readonly #totalMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #rates: { readonly up: RateLimit; readonly down: RateLimit } | undefined;
  #seen: { readonly dateMs: number; readonly wallMs: number; readonly steadyMs: number } | undefined;

  constructor(location: S3Location, options: RemoteOptions) {
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#signal = options.signal;
    this.#clock = options.clock ?? { now: () => Date.now() };
    this.limiter = new RequestLimiter(options.maxRequestsAtOnce ?? DEFAULT_REQUESTS_AT_ONCE);
    const rate = options.limitBytesPerSecond;
    const slowestMs = rate === undefined ? 0 : (MOST_BYTES * this.limiter.limit * 1_000) / rate;
    this.#totalMs = Math.min(this.#timing.totalMs + slowestMs, MAX_TIMER_MS);
    this.#rates = rate === undefined ? undefined : { up: new RateLimit(rate), down: new RateLimit(rate) };
    this.#client = new S3Client(clientConfig(location));
  }

  /**
   * Returns the time by the server's clock: the last answer's date and what has passed since. A suspended machine's steady clock stands
   * still and its wall clock may be set back, so the larger of the two counts: a view of the remote is never taken for younger than it is.
   */
  nowMs(): number | undefined {
    if (this.#seen === undefined) return undefined;
    const { dateMs, wallMs, steadyMs } = this.#seen;
    return Math.trunc(dateMs + Math.max(0, this.#clock.now() - wallMs, performance.now() - steadyMs));
  }

  /** Returns the time by the server's clock, or by this machine's before the first answer. */
  nowOrLocalMs(): number {
    return this.nowMs() ?? this.#clock.now();
  }

  /**
   * Sends a request, again if need be, and returns what `consume` makes of its answer; undefined when the object or setting is absent.
   * @throws {MoltError} REMOTE_UNREACHABLE, REMOTE_REFUSED or INTERRUPTED
   */
  async ask<I extends ServiceInputTypes, O extends ServiceOutputTypes, T>(
    context: IoContext,
    kind: RequestKind,
    makeCommand: () => S3Command<I, O>,
    consume: (output: O) => T | Promise<T>,
  ): Promise<T | undefined> {
    return this.retrying(context, async () => {
      try {
        return await this.exchange(kind, makeCommand(), consume);
      } catch (error) {
        if (this.explain(error).kind === 'absent') return undefined;
        throw error;
      }
    });
  }

  /** Runs an action that sends requests until it succeeds or fails for good. */
  async retrying<T>(context: IoContext, action: () => Promise<T>): Promise<T> {
    let mayHaveHappened = false;
    const judge = (error: unknown): S3Failure => {
      const failure = this.explain(error);
      mayHaveHappened ||= failure.mayHaveHappened;
      return failure;
    };
    try {
      return await withRetries(this.#timing, this.#signal, judge, action);
    } catch (error) {
      const stopped = this.#signal?.aborted === true ? new Stopped('stopped') : error;
      const { outcome, ...plain } = context;
      const failure = judge(stopped);
      throw s3Failure(failure, stopped, mayHaveHappened && outcome !== undefined ? context : plain);
    }
  }

  /** Says what an error of `exchange` means. */
  explain(error: unknown): ReturnType<typeof explainS3Error> {
    return explainS3Error(error, this.#seen !== undefined);
  }

  /** Sends one request once. The deadline covers what `consume` reads. Rejects with the SDK's error, LostAnswer or Stopped. */
  async exchange<I extends ServiceInputTypes, O extends ServiceOutputTypes, T>(
    kind: RequestKind,
    command: S3Command<I, O>,
    consume: (output: O) => T | Promise<T>,
  ): Promise<T> {
    return this.limiter.run(async () => {
      if (this.#signal?.aborted === true) throw new Stopped('stopped');
      const giveUp = new AbortController();
      const stop = (): void => giveUp.abort(new Stopped('stopped'));
      const late = (): void => giveUp.abort(new LostAnswer('there was no answer in time'));
      const idle = setTimeout(late, this.#timing.idleMs);
      const total = setTimeout(late, this.#totalMs);
      this.#signal?.addEventListener('abort', stop, { once: true });
      this.#watch(kind, command, giveUp.signal, () => idle.refresh());
      try {
        const output = await this.#client.send<I, O>(command, { abortSignal: giveUp.signal });
        const result = await consume(output);
        this.limiter.succeeded();
        return result;
      } catch (error) {
        const meant: unknown = giveUp.signal.aborted ? giveUp.signal.reason : error;
        // What takes too long may share a slow line with too many others.
        if (meant instanceof LostAnswer || this.explain(meant).kind === 'throttled') this.limiter.throttled();
        throw meant;
      } finally {
        clearTimeout(idle);
        clearTimeout(total);
        this.#signal?.removeEventListener('abort', stop);
      }
    });
  }

  close(): void {
    this.#client.destroy();
  }

  /** Puts a step around the command's HTTP request that counts, paces and times its bytes, after signing and before parsing. */
  #watch<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    kind: RequestKind,
    command: S3Command<I, O>,
    signal: AbortSignal,
    progressed: () => void,
  ): void {
    command.middlewareStack.add(
      (next) => async (args) => {
        const request = args.request as { body?: unknown };
        this.traffic.requests[kind] += 1;
        if (request.body instanceof Uint8Array && request.body.length > 0) {
          request.body = Readable.from(this.#outgoing(request.body, progressed));
        }
        const result = await next(args);
        progressed();
        const response = result.response as { headers: Record<string, string>; body?: unknown };
        this.#noteDate(response.headers['date']);
        if (response.body instanceof Readable) response.body = this.#incoming(response.body, signal, progressed);
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'moltWatch' },
    );
  }

  async *#outgoing(body: Uint8Array, progressed: () => void): AsyncGenerator<Uint8Array> {
    for (let offset = 0; offset < body.length; offset += SLICE_BYTES) {
      const slice = body.subarray(offset, offset + SLICE_BYTES);
      // oxlint-disable-next-line no-await-in-loop -- the rate is kept slice by slice
      await this.#rates?.up.take(slice.length, progressed);
      progressed();
      this.traffic.bytesSent += slice.length;
      yield slice;
    }
  }

  #incoming(body: Readable, signal: AbortSignal, progressed: () => void): Readable {
    const counting = async function* (this: S3Connection, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        this.traffic.bytesReceived += chunk.length;
        await this.#rates?.down.take(chunk.length, progressed);
        progressed();
        yield chunk;
      }
    };
    const counted = new PassThrough();
    // Errors reach whoever reads `counted`.
    pipeline(body, counting.bind(this), counted, () => {});
    signal.addEventListener('abort', () => counted.destroy(signal.reason as Error), { once: true });
    return counted;
  }

  #noteDate(date: string | undefined): void {
    const dateMs = Date.parse(date ?? '');
    // A server without a clock is one by ours.
    this.#seen = {
      dateMs: Number.isFinite(dateMs) ? dateMs : this.#clock.now(),
      wallMs: this.#clock.now(),
      steadyMs: performance.now(),
    };
  }
}

function clientConfig({ endpoint, region, pathStyle, profile }: S3Location): S3ClientConfig {
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    // Other servers than AWS care little for a region, but a signature needs one.
    ...(region !== undefined ? { region } : endpoint === undefined ? {} : { region: 'us-east-1' }),
    ...(profile === undefined ? {} : { profile }),
    forcePathStyle: pathStyle,
    // Otherwise the SDK writes remarks about the environment to the terminal.
    logger: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
    maxAttempts: 1,
    // Newer defaults add checksums that R2, Ceph and others refuse; the signature covers bodies anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS, httpAgent: { keepAlive: true }, httpsAgent: { keepAlive: true } },
  };
}
