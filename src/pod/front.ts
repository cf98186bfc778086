// Owns a public port and forwards what comes there to the agent's own port, so that one generation can take over from another between
// two connections. It is plain TCP and looks at nothing: HTTP, WebSockets and streams go through as they are.

import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { isSystemError } from '../model/error.ts';
import { POD_HOST } from './ports.ts';

/** How long a connection waits for an agent that is just being started or replaced. */
const HOLD_MS = 5000;
/** An agent that is up and refuses is given this long: its end may not have been heard of yet. */
const DOUBT_MS = 250;
const RETRY_MS = 20;
/** More that wait at once are refused. */
const MOST_HELD = 1000;
/** A connection whose last bytes were the agent's, and that is quiet for so long, has had its answer. */
const QUIET_MS = 50;
const KEEP_ALIVE_MS = 30_000;

/** Times that tests shorten. */
export interface FrontOptions {
  readonly holdMs?: number;
}

interface Joined {
  readonly client: Socket;
  readonly agent: Socket;
  readonly port: number;
  lastMs: number;
  /** Whether the agent spoke last, or nobody did. */
  isAnswered: boolean;
}

/** A public port and the connections that came in by it. */
export class Front {
  readonly #server: Server;
  readonly #joined = new Set<Joined>();
  readonly #waiting = new Set<Socket>();
  readonly #holdMs: number;
  #target: number | undefined;
  #changed = Promise.withResolvers<void>();
  #isClosed = false;

  private constructor({ holdMs = HOLD_MS }: FrontOptions) {
    this.#holdMs = holdMs;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      this.#accept(client).catch(() => client.destroy());
    });
  }

  /**
   * Listens on a port. Until `pointTo` connections are held.
   * @throws {MoltError} UNHEALTHY when it is taken
   */
  static async open(port: number, options: FrontOptions = {}): Promise<Front> {
    const front = new Front(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    front.#server.once('error', reject);
    front.#server.listen({ port, host: POD_HOST, backlog: 1024, exclusive: true }, resolve);
    await promise.catch((error: unknown) => {
      if (!isSystemError(error, 'EADDRINUSE')) throw systemFailure(error, `cannot listen on port ${port}`, POD_HOST);
      throw new MoltError('UNHEALTHY', `port ${port} is taken by another program`, {
        hint: `end what listens there (ss -ltnp "sport = :${port}" shows it)`,
        details: { port },
      });
    });
    // What goes wrong with accepting one connection (too many open files) is no end of the others.
    front.#server.on('error', () => undefined);
    return front;
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Forwards new connections to a port of this machine; with undefined they are held for a while, then refused. */
  pointTo(port: number | undefined): void {
    this.#target = port;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /**
   * Lets connections to a port end that was forwarded to before: those that had their answer at once, the others when they have it.
   * Those that are left after the grace stay until their agent ends.
   */
  async drain(port: number, graceMs: number): Promise<void> {
    const untilMs = performance.now() + graceMs;
    for (;;) {
      const left = [...this.#joined].filter((one) => one.port === port);
      if (left.length === 0 || performance.now() >= untilMs) return;
      const nowMs = performance.now();
      for (const { client, agent, isAnswered, lastMs } of left) {
        if (!isAnswered || nowMs - lastMs < QUIET_MS) continue;
        client.end();
        agent.end();
      }
      // oxlint-disable-next-line no-await-in-loop -- looking again after a while
      await delay(RETRY_MS);
    }
  }

  /** Stops listening and ends every connection. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.pointTo(undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const client of this.#waiting) client.resetAndDestroy();
    for (const { client, agent } of this.#joined) {
      // What the agent said last still gets through.
      client.end();
      client.destroySoon();
      agent.destroy();
    }
    return promise;
  }

  async #accept(client: Socket): Promise<void> {
    client.on('error', () => client.destroy());
    if (this.#isClosed || this.#waiting.size >= MOST_HELD) {
      client.resetAndDestroy();
      return;
    }
    this.#waiting.add(client);
    const reached = await this.#reach(client).finally(() => this.#waiting.delete(client));
    if (reached === undefined) client.resetAndDestroy();
    else this.#join(client, reached.agent, reached.port);
  }

  /** Connects to the agent, waiting for one that is not there yet; undefined when that takes too long. */
  async #reach(client: Socket): Promise<{ readonly agent: Socket; readonly port: number } | undefined> {
    const startedMs = performance.now();
    for (;;) {
      const port = this.#target;
      // oxlint-disable-next-line no-await-in-loop -- one try after the other
      const agent = port === undefined ? undefined : await tryConnect(port);
      if (agent !== undefined && port !== undefined) {
        // It may have taken over while this connection was being made.
        if (!client.destroyed && port === this.#target) return { agent, port };
        agent.destroy();
      }
      const leftMs = (this.#target === undefined ? this.#holdMs : DOUBT_MS) - (performance.now() - startedMs);
      if (leftMs <= 0 || client.destroyed || this.#isClosed) return undefined;
      const pauseMs = this.#target === undefined ? leftMs : RETRY_MS;
      const timer = new AbortController();
      // oxlint-disable-next-line no-await-in-loop -- the pause between two tries
      await Promise.race([this.#changed.promise, delay(pauseMs, undefined, { signal: timer.signal })]);
      timer.abort();
    }
  }

  #join(client: Socket, agent: Socket, port: number): void {
    const joined: Joined = { client, agent, port, lastMs: performance.now(), isAnswered: true };
    this.#joined.add(joined);
    client.setKeepAlive(true, KEEP_ALIVE_MS);
    agent.setKeepAlive(true, KEEP_ALIVE_MS);
    client.on('data', () => {
      joined.lastMs = performance.now();
      joined.isAnswered = false;
    });
    agent.on('data', () => {
      joined.lastMs = performance.now();
      joined.isAnswered = true;
    });
    // One half may end long before the other; only a failure ends both, and as one.
    const forget = (): void => {
      if (client.destroyed && agent.destroyed) this.#joined.delete(joined);
    };
    for (const [one, other] of [
      [client, agent],
      [agent, client],
    ] as const) {
      one.on('error', () => other.resetAndDestroy());
      one.once('close', forget);
    }
    agent.pipe(client);
    client.pipe(agent);
  }
}

function tryConnect(port: number): Promise<Socket | undefined> {
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>();
  const socket = connect({ port, host: POD_HOST, allowHalfOpen: true, noDelay: true });
  socket.once('connect', () => {
    socket.removeAllListeners('error');
    resolve(socket);
  });
  socket.once('error', () => {
    socket.destroy();
    resolve(undefined);
  });
  return promise;
}
