// What prune says of places where something is locked: how much, and until when.

import test from 'ava';
import { createOutput } from '../../src/cli/output.ts';
import { formatPrune } from '../../src/cli/prune-text.ts';
import type { CommitId } from '../../src/model/ids.ts';
import type { PruneResult } from '../../src/ops/prune.ts';
import type { PrunedStorage } from '../../src/ops/prune-report.ts';
import { recordingStream } from './fakes.ts';

const NOTHING: PrunedStorage = {
  freedBytes: 0,
  writtenBytes: 0,
  deletedBytes: 0,
  deletedObjects: 0,
  laterBytes: 0,
  laterObjects: 0,
  refused: [],
};
const UNTIL = '2027-02-25T02:30:00.000Z';

const placesOf = test.macro({
  title: (what) => `prune tells ${what}`,
  exec(t, remote: Partial<PruneResult['remotes'][number]>, dryRun: boolean, expected: string) {
    const streams = { stdout: recordingStream(), stderr: recordingStream() };
    const output = createOutput('molt', streams, { json: false, quiet: false, verbose: false, colour: false });
    const asked = { requests: { put: 0, get: 0, list: 0, head: 0, delete: 0 }, bytes: { sent: 0, received: 0 } };
    const lines = formatPrune(output, {
      agent: 'bot',
      dryRun,
      backups: [{ id: '1'.repeat(40) as CommitId, kind: 'full', time: UNTIL, kept: true, reasons: ['it is held'] }],
      here: NOTHING,
      remotes: [
        { name: 'far', url: 's3://b/c', storage: NOTHING, kept: 1, expired: 0, ...asked, error: undefined, ...remote },
      ],
    });
    t.is(lines.at(-1), `far: ${expected}`);
  },
});

test(
  'how many backups stay for their locks alone',
  placesOf,
  { keptByLock: { backups: 120, until: UNTIL } },
  false,
  '0 objects deleted, 0B; 120 backups stay only because they are locked, the last until 2027-02-25T02:30:00Z',
);
test(
  'that one does, also when it only looks',
  placesOf,
  { keptByLock: { backups: 1, until: UNTIL } },
  true,
  'nothing to free; 1 backup stays only because it is locked until 2027-02-25T02:30:00Z',
);
test(
  'what can’t be deleted yet because it is locked, beside what can’t be for anything else',
  placesOf,
  {
    storage: {
      ...NOTHING,
      deletedObjects: 2,
      deletedBytes: 2000,
      laterObjects: 3,
      laterBytes: 5000,
      refused: [
        { name: 'packs/a', why: 'cannot delete "packs/a": it is locked until then', lockedUntil: UNTIL },
        { name: 'packs/b', why: 'cannot delete "packs/b": it is forbidden' },
      ],
      locked: { objects: 1, bytes: 3000, until: UNTIL },
    },
  },
  false,
  '2 objects deleted, 2KB; 2KB more once nobody can need it any more; ' +
    '1 object to go, 3KB, is locked until 2027-02-25T02:30:00Z; 1 object could not be deleted: cannot delete "packs/b": it is forbidden',
);
