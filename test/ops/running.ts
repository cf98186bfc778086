// Runs an agent as `molt run` does, with a timer in the test's hand: a save is due when the test says so.

import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { OpsContext } from '../../src/ops/context.ts';
import { runAgent, type RunEvent, type RunOptions, type RunResult } from '../../src/ops/run.ts';
import { freePort } from '../pod/agent.ts';

const AGENT = new URL('../../examples/notes-agent/agent.mjs', import.meta.url).pathname;
/** The last push and the first look give up after these; the test never lets that happen by itself. */
const LIMITS_MS = [15_000, 60_000];

/** An agent that is run. */
export interface Running {
  readonly events: RunEvent[];
  readonly port: number;
  readonly done: Promise<RunResult>;
  /** Resolves once the agent has answered. */
  up(): Promise<void>;
  note(text: string): Promise<void>;
  notes(): Promise<readonly string[]>;
  /** Lets the next save begin, at its time, and waits until it is done. */
  tick(): Promise<void>;
  /** Waits until something was told. */
  told(event: RunEvent['event'], count?: number): Promise<RunEvent>;
  stop(): Promise<RunResult>;
}

/** Runs the agent of the example under a label; its context's clock is moved by `tick`. */
export async function startRun(
  t: ExecutionContext,
  context: OpsContext & { at(time: number): void },
  given: Partial<RunOptions> & { readonly label: string; readonly port?: number },
): Promise<Running> {
  const port = given.port ?? (await freePort());
  const events: RunEvent[] = [];
  const stop = new AbortController();
  const urgent = new AbortController();
  const waits: { readonly ms: number; readonly go: () => void }[] = [];
  let changed = Promise.withResolvers<void>();
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await Promise.race([changed.promise, done]);
    }
  };
  const wait = async (ms: number, signal: AbortSignal): Promise<void> => {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const one = { ms, go: resolve };
    if (!LIMITS_MS.includes(ms)) waits.push(one);
    signal.addEventListener('abort', () => resolve(), { once: true });
    change();
    await promise;
    if (waits.includes(one)) waits.splice(waits.indexOf(one), 1);
  };
  const done = runAgent(
    context,
    {
      everyMs: 300_000,
      command: [process.execPath, AGENT, '--port', String(port)],
      ask: async () => false,
      begin: { profile: 'generic', passphrase: async () => 'first', keepRecoveryKey: async () => {} },
      ...given,
      tell: (event) => {
        events.push(event);
        given.tell?.(event);
        change();
      },
    },
    { wait, stop: stop.signal, urgent: urgent.signal, surroundings: { PATH: process.env['PATH'] } },
  );
  done.catch(() => undefined);
  t.teardown(async () => {
    urgent.abort(new Error('the test ended'));
    stop.abort(new Error('the test ended'));
    await done.catch(() => undefined);
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    events,
    port,
    done,
    async up() {
      await until(() => events.find(({ event }) => event === 'healthy'));
      for (;;) {
        const answer = await fetch(`${url}/healthz`).catch(() => undefined);
        if (answer?.ok === true) return;
      }
    },
    async note(text) {
      await fetch(`${url}/notes`, { method: 'POST', body: text });
    },
    async notes() {
      const rows = (await (await fetch(`${url}/notes`)).json()) as { readonly text: string }[];
      return rows.map((row) => row.text);
    },
    async tick() {
      const due = await until(() => waits[0]);
      context.at(context.clock.now() + due.ms);
      due.go();
      await until(() => (waits[0] !== undefined && waits[0] !== due ? true : undefined));
    },
    told: async (event, count = 1) => until(() => events.filter((one) => one.event === event)[count - 1]),
    async stop() {
      stop.abort(new Error('asked to end'));
      return done;
    },
  };
}

/** Makes a folder that goes with the test. */
export function makeDir(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-run-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
