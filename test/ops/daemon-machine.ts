// A machine with several agents and the daemon on it, whose clock and sleep are in the test's hand.

import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { silentReporter } from '../../src/model/ports.ts';
import type { OpsContext } from '../../src/ops/context.ts';
import { runDaemon, type DaemonEvent, type DaemonOptions } from '../../src/ops/daemon.ts';
import { Home } from '../../src/ops/home.ts';
import { initAgent } from '../../src/ops/init.ts';
import { saveSchedule, type Schedule } from '../../src/ops/schedule.ts';
import { parseDaily } from '../../src/policy/daily.ts';

/** A machine whose clock the test sets. */
export interface DaemonMachine {
  readonly context: OpsContext;
  readonly dir: string;
  /** The time; milliseconds. */
  nowMs: number;
  /** Makes an agent, and its schedule unless that is not wanted. */
  add(label: string, schedule?: Partial<Schedule> | 'none'): Promise<void>;
  schedule(label: string, changes?: Partial<Schedule>): Promise<void>;
  stateDir(label: string): string;
  /** Writes a file that never was before. */
  change(label: string): void;
}

/** An event and whose it is. */
export interface Told {
  readonly label: string | undefined;
  readonly event: DaemonEvent;
}

/** A daemon that runs. */
export interface RunningDaemon {
  readonly told: Told[];
  readonly done: Promise<void>;
  /** Resolves once an event was told so often. */
  heard(label: string | undefined, event: DaemonEvent['event'], count?: number): Promise<DaemonEvent>;
  count(label: string, event: DaemonEvent['event']): number;
  /** Resolves once it sleeps and nothing is under way, to how long it means to; milliseconds. */
  asleep(): Promise<number>;
  /** Sets the clock so much later, or earlier, and lets it look, as a machine that wakes does; resolves when it sleeps again. */
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

/** Makes a machine without agents. */
export function makeDaemonMachine(t: ExecutionContext, time = '2026-03-01T00:00:00Z'): DaemonMachine {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-daemon-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const machine: DaemonMachine = {
    dir,
    nowMs: Date.parse(time),
    context: {
      home: new Home(join(dir, 'home')),
      clock: { now: () => machine.nowMs },
      random: { bytes: (length) => randomBytes(length) },
      reporter: silentReporter,
      cwd: dir,
      userHome: dir,
      unlock: async () => ({ type: 'passphrase', passphrase: 'first' }),
      argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
      remoteOptions: { timing: { pause: async () => {}, random: () => 0.5, idleMs: 3000 } },
    },
    stateDir: (label) => join(dir, 'agents', label),
    change(label) {
      writeFileSync(join(machine.stateDir(label), `note-${randomBytes(4).toString('hex')}`), 'new\n');
    },
    async schedule(label, changes = {}) {
      await saveSchedule(machine.context.home, label, {
        everyMs: 300_000,
        full: parseDaily('02:00', 'Asia/Jakarta'),
        retention: undefined,
        sinceMs: machine.nowMs,
        ...changes,
      });
    },
    async add(label, schedule = {}) {
      mkdirSync(machine.stateDir(label), { recursive: true });
      writeFileSync(join(machine.stateDir(label), 'notes.md'), 'remember\n');
      await initAgent(machine.context, {
        label,
        stateDir: machine.stateDir(label),
        profile: 'generic',
        include: [],
        exclude: [],
        passphrase: async () => 'first',
        keepRecoveryKey: async () => {},
      });
      if (schedule !== 'none') await machine.schedule(label, schedule);
    },
  };
  return machine;
}

/** Runs the daemon until the test ends. */
export function startDaemon(
  t: ExecutionContext,
  machine: DaemonMachine,
  options: Partial<DaemonOptions> & { readonly context?: Partial<OpsContext> } = {},
): RunningDaemon {
  const told: Told[] = [];
  const stop = new AbortController();
  let sleeping: { readonly ms: number; readonly wake: () => void } | undefined;
  let changed = Promise.withResolvers<void>();
  const change = (): void => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await Promise.race([changed.promise, done.then(() => Promise.reject(new Error('the daemon has ended')))]);
    }
  };
  const done = runDaemon(
    { ...machine.context, ...options.context },
    {
      version: '1.2.3',
      ...options,
      tell: (label, event) => {
        told.push({ label, event });
        options.tell?.(label, event);
        change();
      },
    },
    {
      stop: stop.signal,
      urgent: new AbortController().signal,
      async wait(ms, signal) {
        if (signal.aborted) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        sleeping = { ms, wake: resolve };
        signal.addEventListener('abort', () => resolve(), { once: true });
        change();
        await promise;
        sleeping = undefined;
      },
    },
  );
  done.catch(() => undefined);
  const end = async (): Promise<void> => {
    stop.abort(new Error('asked to end'));
    await done;
  };
  t.teardown(() => end().catch(() => undefined));
  const count = (label: string | undefined, event: DaemonEvent['event']): number =>
    told.filter((one) => one.label === label && one.event.event === event).length;
  return {
    told,
    done,
    count,
    heard: (label, event, times = 1) =>
      until(() => told.filter((one) => one.label === label && one.event.event === event)[times - 1]?.event),
    asleep: async () => (await until(() => sleeping)).ms,
    async pass(ms) {
      const from = await until(() => sleeping);
      machine.nowMs += ms;
      from.wake();
      await until(() => (sleeping === undefined || sleeping === from ? undefined : sleeping));
    },
    stop: end,
  };
}
