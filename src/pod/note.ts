// What a supervisor notes in its pod's folder while it runs, so that another process can find it, and, should it be killed, what it
// left. Derived: a clean end removes it.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isSystemError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import type { ProcessId } from './process-id.ts';
import type { PodPlace, PodStatus } from './provider.ts';

/** A supervisor's note. */
export interface SupervisorNote {
  /** Only the supervisor that wrote this answers with it. */
  readonly mark: string;
  readonly supervisor: ProcessId;
  /** Path of its control socket. */
  readonly socket: string;
  /** The agents that run: one, or two during a switch. Each is the leader of a process group. */
  readonly agents: readonly ProcessId[];
  readonly status: PodStatus;
}

/** Returns the note of a pod's supervisor, or undefined if there is none that can be read. */
export function readNote(place: PodPlace): SupervisorNote | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(fileOf(place), 'utf8'));
    return isNote(value) ? value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError || isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw systemFailure(error, `cannot read the supervisor’s note of pod "${place.name}"`, place.dir);
  }
}

/** Writes a note: it is there whole, or as it was before. */
export function writeNote(place: PodPlace, note: SupervisorNote): void {
  const temp = `${fileOf(place)}.new`;
  const descriptor = openSync(temp, 'w', 0o600);
  try {
    writeSync(descriptor, `${JSON.stringify(note)}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(temp, fileOf(place));
}

/** Removes a note. */
export function dropNote(place: PodPlace): void {
  rmSync(fileOf(place), { force: true });
}

function fileOf({ dir }: PodPlace): string {
  return join(dir, 'supervisor.json');
}

function isNote(value: unknown): value is SupervisorNote {
  const { mark, supervisor, socket, agents, status } = (value ?? {}) as Partial<SupervisorNote>;
  const isText = typeof mark === 'string' && typeof socket === 'string';
  return isText && isProcess(supervisor) && Array.isArray(agents) && agents.every(isProcess) && status !== undefined;
}

function isProcess(value: unknown): value is ProcessId {
  const { pid, began } = (value ?? {}) as Partial<ProcessId>;
  return typeof pid === 'number' && pid > 1 && typeof began === 'string';
}
