// The note of a history pack (FORMAT.md, "Sweeps"): when and why each of its commits was made, whose content and whose segment are gone,
// so that lists need not read them. Columns in the order of the pack's commits: a few bytes each once the footer is compressed.

import { MoltError } from '../model/error.ts';
import type { CommitId } from '../model/ids.ts';
import { Fields } from './fields.ts';
import type { Footer } from './footer.ts';
import { OBJECT } from './layout.ts';
import { COMMIT_KINDS, type CommitNote } from './segment.ts';

/** A commit of a history pack. */
export type HistoryEntry = Pick<CommitNote, 'id' | 'timeMs' | 'kind'>;

const ID_HEX = 40;

/** Returns the record of a history pack. @param commits in the order of the pack's objects */
export function encodeHistoryNote(commits: readonly HistoryEntry[]): unknown {
  const times = commits.map(({ timeMs }, at) => timeMs - (commits[at - 1]?.timeMs ?? 0));
  const kinds = commits.map(({ kind }) => COMMIT_KINDS.indexOf(kind)).join('');
  return { history: { time: times, kind: kinds } };
}

/** Reads the note of a history pack from its footer. @throws {MoltError} DAMAGED */
export function parseHistoryNote({ record, objects }: Footer, name: string): HistoryEntry[] {
  const fields = new Fields(new Fields(record, name).value('history'), `the history of ${name}`);
  const commits = objects.filter(({ type }) => type === OBJECT.commit);
  const times = fields.integers('time');
  const kinds = fields.text('kind', /^[0-3]*$/, commits.length);
  if (times.length !== commits.length || kinds.length !== commits.length)
    throw new MoltError('DAMAGED', `${name} does not note all of its commits`);
  let timeMs = 0;
  return commits.map(({ key }, at) => {
    timeMs += times[at] ?? 0;
    if (!Number.isSafeInteger(timeMs)) throw new MoltError('DAMAGED', `${name} notes an impossible time`);
    const id = key.toString('hex').slice(0, ID_HEX) as CommitId;
    return { id, timeMs, kind: COMMIT_KINDS[Number(kinds[at])] ?? 'incremental' };
  });
}
