// What is known of an agent's last restore in place: which commit was brought back, and which holds what was there before. While it
// is under way this is what a crash leaves behind.

import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fields, HEX_20 } from '../format/fields.ts';
import { COMPONENTS, type Component } from '../model/component.ts';
import { isSystemError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { systemFailure } from '../model/system-error.ts';
import { syncFolder } from '../storage/durable.ts';
import { readIfThere, type Agent, type Home } from './home.ts';

/** The last restore in place. */
export interface RestoreNote {
  readonly phase: 'under-way' | 'done';
  readonly commit: CommitId;
  /** The commit of what was there before. */
  readonly safety: CommitId;
  /** What was restored; everything unless given. */
  readonly components?: readonly Component[] | undefined;
}

/** Reads the note of an agent's last restore in place, or undefined if there was none. */
export async function readRestoreNote(home: Home, agent: Pick<Agent, 'label'>): Promise<RestoreNote | undefined> {
  const bytes = await readIfThere(fileOf(home, agent));
  if (bytes === undefined) return undefined;
  const fields = new Fields(JSON.parse(bytes.toString('utf8')), 'the note of the last restore in place');
  const names = fields.has('components') ? fields.texts('components') : [];
  return {
    phase: fields.text('phase', /^(under-way|done)$/) as RestoreNote['phase'],
    commit: fields.text('commit', HEX_20) as CommitId,
    safety: fields.text('safety', HEX_20) as CommitId,
    ...(fields.has('components') && { components: COMPONENTS.filter((one) => names.includes(one)) }),
  };
}

/** Writes the note durably. */
export async function writeRestoreNote(home: Home, agent: Agent, note: RestoreNote): Promise<void> {
  const text = JSON.stringify({ molt: 'restore', version: 1, ...note });
  await home.write(fileOf(home, agent), Buffer.from(`${text}\n`, 'utf8'), { replace: true });
}

/** Moves the note of an agent that gets another label, durably. */
export async function moveRestoreNote(home: Home, from: Agent, to: Agent): Promise<void> {
  const path = fileOf(home, to);
  try {
    await rename(fileOf(home, from), path);
    syncFolder(dirname(path));
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw systemFailure(error, `cannot write "${path}"`, home.dir);
  }
}

/** Forgets what was restored under an agent's label: another agent that gets it has nothing to undo. */
export async function dropRestoreNote(home: Home, agent: Agent): Promise<void> {
  await rm(fileOf(home, agent), { force: true });
}

function fileOf(home: Home, agent: Pick<Agent, 'label'>): string {
  return join(home.dir, 'restores', `${agent.label}.json`);
}
