// What a restore into a pod leaves in the pod's folder until the pod is healthy, so that the same restore can be done again after
// whatever cut it off.

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Expectations } from '../agent/revival.ts';
import { Fields, HEX_20 } from '../format/fields.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { syncFolder } from '../storage/durable.ts';
import { readIfThere, type Home } from './home.ts';
import { podDir } from './pod-record.ts';

/** A restore into a pod that has not ended yet. */
export interface PodRestoreNote {
  readonly commit: CommitId;
  /** The generation that is being made. */
  readonly generation: number;
  /** The state folder of the generation that it takes the place of, if it does; absolute. */
  readonly replaces?: string | undefined;
  /** The commit of what that folder held; there once it is saved, and its files may go. */
  readonly safety?: CommitId | undefined;
  /** What the pod will be asked for; there once its files are whole and bound to their place. */
  readonly expectations?: Expectations | undefined;
}

/** Reads the note of a pod, or undefined if no restore into it is under way. @throws {MoltError} DAMAGED */
export async function readPodRestoreNote(home: Home, pod: string): Promise<PodRestoreNote | undefined> {
  const path = fileOf(home, pod);
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  try {
    const value = JSON.parse(bytes.toString('utf8'));
    const fields = new Fields(value, 'the note of a restore into a pod');
    return {
      commit: fields.text('commit', HEX_20) as CommitId,
      generation: fields.integer('generation'),
      ...(fields.has('replaces') && { replaces: fields.text('replaces', /^\//) }),
      ...(fields.has('safety') && { safety: fields.text('safety', HEX_20) as CommitId }),
      // Written by this file alone, into a folder of this user's alone.
      ...(fields.has('expectations') && { expectations: value.expectations as Expectations }),
    };
  } catch (cause) {
    throw new MoltError('DAMAGED', `"${path}" can't be read`, {
      hint: `move pods/${pod} of molt’s folder away, and restore anew`,
      cause,
    });
  }
}

/** Writes the note durably. */
export async function writePodRestoreNote(home: Home, pod: string, note: PodRestoreNote): Promise<void> {
  const text = JSON.stringify({ molt: 'pod-restore', version: 1, ...note });
  await home.write(fileOf(home, pod), Buffer.from(`${text}\n`, 'utf8'), { replace: true });
}

/** Notes that the restore has ended. */
export async function dropPodRestoreNote(home: Home, pod: string): Promise<void> {
  await rm(fileOf(home, pod), { force: true });
  syncFolder(podDir(home, pod));
}

function fileOf(home: Home, pod: string): string {
  return join(podDir(home, pod), 'restore.json');
}
