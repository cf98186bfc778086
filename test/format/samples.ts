// Valid values of the format's records, with every member in use.

import type { Checkpoint } from '../../src/format/checkpoint.ts';
import type { SegmentRecord } from '../../src/format/segment.ts';
import type { EntryAttributes } from '../../src/model/entry.ts';
import type { CommitId, GitId, PackId, SegmentSeq } from '../../src/model/ids.ts';
import { TIME_MS } from './support.ts';

const commit = (digit: string): CommitId => digit.repeat(40) as CommitId;

export const RECORD: SegmentRecord = {
  type: 'commit',
  seq: 5 as SegmentSeq,
  previous: 'a'.repeat(64),
  writer: 'b'.repeat(32),
  nonce: 'c'.repeat(32),
  timeMs: TIME_MS,
  keyGeneration: 2,
  holes: [{ seq: 4 as SegmentSeq, sha256: 'd'.repeat(64) }],
  refs: [
    { name: 'refs/heads/main', from: commit('1'), to: commit('2'), commit: undefined },
    { name: 'refs/tags/full/20260305T020000Z', from: undefined, to: commit('3'), commit: commit('2') },
    { name: 'refs/tags/old', from: commit('4'), to: undefined, commit: undefined },
  ],
  commits: [
    {
      id: commit('2'),
      timeMs: -5,
      kind: 'full',
      parents: [commit('1')],
      paths: Buffer.from('0011223344556677', 'hex'),
    },
    { id: commit('3'), timeMs: 5, kind: 'manual', parents: undefined, paths: undefined },
  ],
  packs: [{ id: 'e'.repeat(64) as PackId, sizeBytes: 1 << 25 }],
  requires: ['4'.repeat(40) as CommitId],
  history: ['e'.repeat(64) as PackId],
};

export const SWEEP: SegmentRecord = {
  ...RECORD,
  type: 'sweep',
  commits: [{ id: commit('1'), timeMs: 5, kind: 'full', parents: undefined, paths: undefined, seq: 2 as SegmentSeq }],
  base: {
    seq: 3,
    hash: '9'.repeat(64),
    refs: new Map([['refs/heads/main', commit('2')]]),
    tagged: new Map([['refs/tags/full/20260305T020000Z', commit('2')]]),
    packs: [{ id: 'e'.repeat(64) as PackId, sizeBytes: 1 << 25 }],
    history: ['e'.repeat(64) as PackId],
    swept: ['8'.repeat(64) as PackId],
  },
};

export const CHECKPOINT: Checkpoint = {
  seq: 9 as SegmentSeq,
  hash: 'f'.repeat(64),
  refs: new Map([['refs/heads/main', '5'.repeat(40) as GitId]]),
  tagged: new Map([['refs/tags/old', '7'.repeat(40) as CommitId]]),
  runs: [{ id: '6'.repeat(64), fromSeq: 1, toSeq: 9, objects: 12 }],
  holes: [3],
  begin: {
    seq: 2,
    hash: '9'.repeat(64),
    sweepSeq: 8,
    history: ['e'.repeat(64) as PackId],
    swept: ['8'.repeat(64) as PackId],
  },
};

const attributes = (path: string, change: Partial<EntryAttributes>): EntryAttributes => ({
  path,
  type: 'file',
  mode: 0o600,
  mtimeNs: 1_772_676_000_123_456_789n,
  component: 'state',
  secret: false,
  linkGroup: 0,
  ...change,
});

export const ATTRIBUTES: readonly EntryAttributes[] = [
  attributes('state', { type: 'directory', mode: 0o755 }),
  attributes('state/ spaces ', { component: 'custom' }),
  attributes('state/openclaw.json', { component: 'configuration', secret: true, mode: 0 }),
  attributes('state/%2Egit', { type: 'directory', mode: 0o4777, component: 'skills', mtimeNs: -1n }),
  attributes('state/link', { type: 'symlink', mode: 0o777, component: 'runtime' }),
  attributes('state/hard', { linkGroup: 1 }),
  attributes('state/日本 😀', { linkGroup: 1, mtimeNs: 0n }),
];
