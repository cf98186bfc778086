// A pod for tests: the example agent of the documentation, or a few lines of JavaScript, in a folder of its own. What a test starts is
// ended with it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { killProcess, stopLeftover } from '../../src/pod/child.ts';
import { readNote } from '../../src/pod/note.ts';
import { isPortFree, POD_HOST } from '../../src/pod/ports.ts';
import type { PodPlace } from '../../src/pod/provider.ts';
import { fillIn, parsePodSpec, type FilledPod } from '../../src/pod/spec.ts';

/** The agent of examples/notes-agent. */
export const NOTES_AGENT = join(import.meta.dirname, '../../examples/notes-agent/agent.mjs');

/** A folder of a test. */
export function makeFolder(t: ExecutionContext): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-pod-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Returns a pod.json of the notes agent. */
export function notesSpec(port: number, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    command: [process.execPath, NOTES_AGENT, '--port', '{port:http}'],
    ports: [{ name: 'http', port }],
    health: { http: { path: '/healthz' }, intervalMs: 20, timeoutMs: 60_000 },
    ...more,
  };
}

/** Returns a command that runs some JavaScript. */
export function script(code: string): string[] {
  return [process.execPath, '-e', code];
}

/** A pod that can be started, without a record. */
export interface TestPod {
  readonly place: PodPlace;
  /** Returns it with another generation and its private port. */
  generation(number: number): Promise<FilledPod>;
  readonly pod: FilledPod;
  /** Where clients find it. */
  readonly url: string;
}

/** Makes a pod; whatever of it runs when the test ends is killed. */
export async function makePod(
  t: ExecutionContext,
  spec: (port: number) => Record<string, unknown> = notesSpec,
): Promise<TestPod> {
  const dir = makeFolder(t);
  const place = { name: 'notes', dir: join(dir, 'pod') };
  const open = await freePort();
  const parsed = parsePodSpec(spec(open), { profile: 'generic' });
  const generation = async (number: number): Promise<FilledPod> => {
    const state = join(dir, `gen-${number}`);
    mkdirSync(state, { recursive: true });
    const own = parsed.front ? await freePort() : open;
    const ports = Object.fromEntries(parsed.ports.map(({ name }) => [name, { public: open, private: own }]));
    return fillIn(parsed, { state, name: 'notes', ports, generation: number });
  };
  killAtEnd(t, place);
  return { place, generation, pod: await generation(1), url: `http://127.0.0.1:${open}` };
}

/** Kills what still runs of a pod when the test ends. */
export function killAtEnd(t: ExecutionContext, place: PodPlace): void {
  t.teardown(async () => {
    const note = readNote(place);
    // A test supervises some pods itself.
    if (note !== undefined && note.supervisor.pid !== process.pid) await killProcess(note.supervisor);
    for (const agent of note?.agents ?? []) await stopLeftover(agent, { signal: 'SIGKILL', graceMs: 0 });
  });
}

// Tests run at the same time, each file in a process of its own, and a port that is free when it is looked for may be another test's a
// moment later. So each process has ports of its own: whoever listens on the first one of a block has the block for as long as it lives.
// They lie below the ports that systems give to connections.
const BLOCK = 200;
const FIRST_PORT = 10_000;
const BLOCKS = 110;
/** Pods get further ports after the one that their pod.json asks for: two each, and one for each generation that is to take over. */
const SPACING = 16;

let current: Promise<{ readonly end: number; next: number }> | undefined;

/** Returns a free port that no other test looks for, with those after it. */
export async function freePort(): Promise<number> {
  for (;;) {
    current ??= claimBlock();
    const block = await current;
    const port = block.next;
    block.next += SPACING;
    if (port + SPACING > block.end) current = undefined;
    else if (await isPortFree(port)) return port;
  }
}

async function claimBlock(): Promise<{ readonly end: number; next: number }> {
  for (let index = process.pid % BLOCKS, tries = 0; tries < BLOCKS; index = (index + 1) % BLOCKS, tries += 1) {
    const first = FIRST_PORT + index * BLOCK;
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    server.once('error', () => resolve(false));
    server.listen({ port: first, host: POD_HOST, exclusive: true }, () => resolve(true));
    if (!(await promise)) continue;
    server.unref();
    return { end: first + BLOCK, next: first + 1 };
  }
  throw new Error('other tests have all ports');
}

/** Calls until it returns something else than undefined or false; the timeout of the test ends what never does. */
export async function until<T>(look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await delay(10);
  }
}

/** Runs a program that listens on a port and nothing else, until the test ends. */
export async function takePort(t: ExecutionContext, port: number): Promise<void> {
  const code = `require('net').createServer().listen(${port}, '127.0.0.1', () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
}
