// A real gateway of OpenClaw over a state folder, on loopback, without anything that would reach out of the machine.

import { spawn, type ChildProcess, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { OpenClaw } from './installation.ts';

/** How long a start may take. As for a machine that many others work on; alone a start takes 14 to 40 s. */
export const READY_TIMEOUT_MS = 600_000;
const POLL_MS = 50;

const run = promisify(execFile);

/** What a gateway needs to know of itself beside its command line. */
export const QUIET = {
  OPENCLAW_DISABLE_BONJOUR: '1',
  OPENCLAW_NO_AUTO_UPDATE: '1',
  OPENCLAW_OFFLINE: '1',
  OPENCLAW_NO_RESPAWN: '1',
  OPENCLAW_EXEC_SHELL_SNAPSHOT: '0',
} as const;

/** Where a gateway answers, whoever started it. */
export interface Endpoint {
  readonly port: number;
  readonly token: string;
}

/** What it takes to start one. */
export interface GatewayOptions extends Endpoint {
  readonly openclaw: OpenClaw;
  readonly stateDir: string;
  /** The home folder it is given. */
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A gateway that this test started. */
export class Gateway implements Endpoint {
  readonly port: number;
  readonly token: string;
  readonly stateDir: string;
  /** From its start to the first 200 of /readyz. */
  readonly readyMs: number;
  /** What its process had computed by then: on a busy machine this tells more. */
  readonly readyCpuMs: number;
  readonly #options: GatewayOptions;
  readonly #child: ChildProcess;

  private constructor(options: GatewayOptions, child: ChildProcess, readyMs: number) {
    this.port = options.port;
    this.token = options.token;
    this.stateDir = options.stateDir;
    this.readyMs = readyMs;
    this.readyCpuMs = cpuTimeOf(child.pid);
    this.#options = options;
    this.#child = child;
  }

  /** Starts a gateway and returns it when it is ready; throws with what it wrote when it never is. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const log = `${options.stateDir}.log`;
    const output = openSync(log, 'a', 0o600);
    const startedMs = performance.now();
    const child = spawn('openclaw', ['gateway', 'run', '--port', String(options.port), '--bind', 'loopback'], {
      env: environmentOf(options),
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    const failed = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (status, signal) => reject(new Error(`the gateway ended (${status ?? signal})`)));
    });
    const stopped = new AbortController();
    try {
      await Promise.race([failed, waitReady(options.port, stopped.signal)]);
    } catch (error) {
      child.kill('SIGKILL');
      const text = await readFile(log, 'utf8');
      throw new Error(`the gateway of ${options.stateDir} is not ready:\n${text.slice(-4000)}`, { cause: error });
    } finally {
      stopped.abort();
      failed.catch(() => {});
    }
    return new Gateway(options, child, performance.now() - startedMs);
  }

  /** Whether its process is still there. */
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Runs a command of OpenClaw against this state and returns what it wrote. */
  async command(...argv: string[]): Promise<string> {
    const { stdout } = await run('openclaw', argv, { env: environmentOf(this.#options), maxBuffer: 2 ** 26 });
    return stdout;
  }

  /** Stops it as a user would, and returns when it has ended. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const isEnded = await Promise.race([ended.then(() => true), setTimeout(60_000, false, { ref: false })]);
    if (!isEnded) this.#child.kill('SIGKILL');
    await ended;
  }
}

function environmentOf(options: GatewayOptions): Record<string, string> {
  return {
    ...QUIET,
    HOME: options.home,
    TZ: 'UTC',
    PATH: options.openclaw.path,
    OPENCLAW_STATE_DIR: options.stateDir,
    OPENCLAW_GATEWAY_PORT: String(options.port),
    ...options.env,
  };
}

/** Linux counts the time of a process, all threads together, in hundredths of a second. */
function cpuTimeOf(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return Number.NaN;
  }
}

/** Waits until the gateway says that it is ready. */
export async function waitReady(port: number, signal: AbortSignal): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(READY_TIMEOUT_MS)]);
  while (!(await isReady(port))) {
    await setTimeout(POLL_MS, undefined, { signal: deadline });
  }
}

/** Asks once whether the gateway is ready. */
export async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
  await response?.arrayBuffer();
  return response?.status === 200;
}

/** Returns a port of loopback that nobody listens on now. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Returns the SHA-256 of a file. */
export async function hashFile(...parts: string[]): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path.join(...parts)))
    .digest('hex');
}
