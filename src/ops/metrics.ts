// Metrics of the daemon for Prometheus, and /healthz, on a small HTTP server. They follow what the daemon tells.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isIP } from 'node:net';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { OpsContext } from './context.ts';
import type { DaemonEvent } from './daemon.ts';
import type { Runs } from './schedule-runs.ts';

/** Where metrics are served. */
export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** Metrics that are served. Disposing of them ends it. */
export interface ServedMetrics extends AsyncDisposable {
  readonly url: string;
  /** Takes an event of the daemon. */
  readonly tell: (label: string | undefined, event: DaemonEvent) => void;
}

const LOOPBACK = '127.0.0.1';
const DURATION_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800];

/** Returns an address from `HOST:PORT`, `[V6]:PORT`, or a port alone, which is on loopback. @throws {MoltError} USAGE */
export function parseAddress(text: string): MetricsAddress {
  const [, bracketed, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text.trim()) ?? [];
  const port = Number(digits ?? -1);
  const host = bracketed ?? plain ?? LOOPBACK;
  const isHost = bracketed === undefined ? /^[A-Za-z0-9.-]+$/.test(host) : isIP(host) === 6;
  if (digits !== undefined && port <= 65_535 && isHost) return { host, port };
  throw new MoltError('USAGE', `--metrics takes HOST:PORT or PORT, not '${text}'`, {
    hint: '--metrics 127.0.0.1:9464',
  });
}

/** Serves metrics until disposed of. @throws {MoltError} IO when the address can't be had */
export async function serveMetrics(context: OpsContext, { host, port }: MetricsAddress): Promise<ServedMetrics> {
  const metrics = new DaemonMetrics(context);
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(request.method === 'HEAD' ? '' : body);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(405, 'text/plain', 'only GET\n');
    else if (request.url === '/healthz') {
      const { stuck } = metrics;
      if (stuck === undefined) answer(200, 'text/plain', 'ok\n');
      else answer(503, 'text/plain', `the commit of ${stuck} takes very long\n`);
    } else if (request.url !== '/metrics') answer(404, 'text/plain', '/metrics and /healthz are here\n');
    else
      metrics.registry.metrics().then(
        (text) => answer(200, metrics.registry.contentType, text),
        () => answer(500, 'text/plain', 'the metrics could not be made\n'),
      );
  });
  server.on('error', () => undefined);
  server.requestTimeout = 10_000;
  server.maxConnections = 32;
  await listen(server, host, port);
  const at = server.address() as AddressInfo;
  return {
    url: `http://${at.family === 'IPv6' ? `[${at.address}]` : at.address}:${at.port}/metrics`,
    tell: (label, event) => metrics.take(label, event),
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      await promise;
    },
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (error) {
    throw systemFailure(error, `cannot serve metrics on ${host}:${port}`, `${host}:${port}`);
  }
}

/** Times are seconds since the epoch, as Prometheus has them; `agent` is the label of an agent. */
class DaemonMetrics {
  readonly registry = new Registry();
  /** The agent whose commit takes far too long. */
  stuck: string | undefined;
  readonly #context: OpsContext;
  readonly #labels = new Set<string>();
  readonly #own = { registers: [this.registry] };
  readonly #scheduled = new Gauge({
    name: 'molt_agents_scheduled',
    help: 'Agents that the daemon serves.',
    ...this.#own,
  });
  readonly #lastGood = this.#gauge(
    'molt_last_backup_timestamp_seconds',
    'When the agent was last known to be saved here.',
  );
  readonly #lastFull = this.#gauge('molt_last_full_timestamp_seconds', 'When the newest full backup was made.');
  readonly #remote = new Gauge({
    name: 'molt_remote_copy_timestamp_seconds',
    help: 'When a remote was last known to have everything that was saved here.',
    labelNames: ['agent', 'remote'],
    ...this.#own,
  });
  readonly #failing = new Gauge({
    name: 'molt_failing',
    help: '1 for what fails at present.',
    labelNames: ['agent', 'what'],
    ...this.#own,
  });
  readonly #failures = new Counter({
    name: 'molt_failures_total',
    help: 'Failures that were new; one that goes on is counted once.',
    labelNames: ['agent', 'what'],
    ...this.#own,
  });
  readonly #missed = new Counter({
    name: 'molt_missed_runs_total',
    help: 'Commits whose time came while nothing kept them.',
    labelNames: ['agent'],
    ...this.#own,
  });
  readonly #bytes = new Counter({
    name: 'molt_backup_bytes_total',
    help: 'Bytes read from agents, stored here, and sent to remotes.',
    labelNames: ['agent', 'what'],
    ...this.#own,
  });
  readonly #duration = new Histogram({
    name: 'molt_backup_duration_seconds',
    help: 'How long commits took, of all agents together.',
    labelNames: ['kind'],
    buckets: DURATION_BUCKETS,
    ...this.#own,
  });

  constructor(context: OpsContext) {
    this.#context = context;
  }

  take(label: string | undefined, event: DaemonEvent): void {
    if (label === undefined) return;
    const agent = label;
    const nowS = this.#context.clock.now() / 1000;
    switch (event.event) {
      case 'scheduled':
        this.#begin(agent, event.runs);
        break;
      case 'unscheduled':
        this.#forget(agent);
        break;
      case 'stuck':
        this.stuck = agent;
        break;
      case 'ticked': {
        if (this.stuck === agent) this.stuck = undefined;
        const { result, durationMs } = event;
        if (result === undefined) break;
        this.#lastGood.set({ agent }, nowS);
        const kind = result.unchanged ? 'unchanged' : result.kind;
        if (kind === 'full') this.#lastFull.set({ agent }, nowS);
        this.#duration.observe({ kind }, durationMs / 1000);
        this.#bytes.inc({ agent, what: 'read' }, result.bytes.read);
        this.#bytes.inc({ agent, what: 'stored' }, result.bytes.stored);
        break;
      }
      case 'sent':
        this.#remote.set({ agent, remote: event.remote }, nowS);
        break;
      case 'pushed':
        this.#bytes.inc({ agent, what: 'sent' }, event.result.bytes);
        break;
      case 'failed':
        this.#failures.inc({ agent, what: event.what });
        this.#failing.set({ agent, what: event.what }, 1);
        break;
      case 'recovered':
        this.#failing.remove({ agent, what: event.what });
        break;
      case 'missed':
        this.#missed.inc({ agent }, event.missed.ticks + event.missed.fulls);
        break;
      default:
    }
  }

  /** Sets what is known of an agent from before. */
  #begin(agent: string, { goodMs, fullMs, sentMs, failing }: Runs): void {
    this.#labels.add(agent);
    this.#scheduled.set(this.#labels.size);
    if (goodMs !== undefined) this.#lastGood.set({ agent }, goodMs / 1000);
    if (fullMs !== undefined) this.#lastFull.set({ agent }, fullMs / 1000);
    for (const [remote, ms] of Object.entries(sentMs)) this.#remote.set({ agent, remote }, ms / 1000);
    for (const { what } of failing) this.#failing.set({ agent, what }, 1);
  }

  /** Takes away every series of an agent: one that is not scheduled any more must not look like one that is overdue. */
  #forget(agent: string): void {
    this.#labels.delete(agent);
    this.#scheduled.set(this.#labels.size);
    for (const metric of [this.#lastGood, this.#lastFull, this.#remote, this.#failing]) dropSeries(metric, agent);
    for (const metric of [this.#failures, this.#missed, this.#bytes]) dropSeries(metric, agent);
  }

  #gauge(name: string, help: string): Gauge<'agent'> {
    return new Gauge({ name, help, labelNames: ['agent'], ...this.#own });
  }
}

function dropSeries<T extends string>(metric: Gauge<T> | Counter<T>, agent: string): void {
  void metric.get().then(({ values }) => {
    for (const { labels } of values)
      if ((labels as Record<string, unknown>)['agent'] === agent) metric.remove(labels as Record<T, string>);
  });
}
