// The stat cache: what it trusts, and that its bytes come back exactly or not at all.

import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type { ScannedEntry } from '../../src/agent/scan.ts';
import {
  type CachedFile,
  type StatCache,
  encodeStatCache,
  isUnchanged,
  parseStatCache,
} from '../../src/agent/stat-cache.ts';
import type { FileStamp } from '../../src/agent/stamp.ts';
import type { BlobId } from '../../src/model/ids.ts';

const SECOND = 1_000_000_000n;
const SCAN = 1000n * SECOND + 500n;
const blob = createHash('sha1').update('x').digest('hex') as BlobId;
const stamp: FileStamp = { sizeBytes: 10, mtimeNs: 900n * SECOND + 7n, ctimeNs: 901n * SECOND + 7n, inode: 5n };
const cached: CachedFile = { ...stamp, wal: stamp, blob, blobSizeBytes: 12, kind: 'sqlite' };
const entry: ScannedEntry = {
  ...stamp,
  wal: stamp,
  path: 'state/db',
  native: '/db',
  type: 'file',
  mode: 0o600,
  device: 1n,
  linkCount: 1,
  linkGroup: 0,
  component: 'state',
  secret: true,
};

test('an entry whose stamps are all the same and old is unchanged', (t) => {
  t.true(isUnchanged(entry, cached, SCAN));
});

const changes: [string, Partial<ScannedEntry>][] = [
  ['size', { sizeBytes: 11 }],
  ['mtime', { mtimeNs: stamp.mtimeNs + 1n }],
  ['ctime', { ctimeNs: stamp.ctimeNs + 1n }],
  ['inode', { inode: 6n }],
  ['log', { wal: { ...stamp, mtimeNs: 1n } }],
  ['new journal', { journal: stamp }],
];
for (const [what, change] of changes) {
  test(`a different ${what} is a change`, (t) => {
    t.false(isUnchanged({ ...entry, ...change }, cached, SCAN));
  });
}

test('a log that went away is a change', (t) => {
  const { wal: _, ...without } = entry;
  t.false(isUnchanged(without, cached, SCAN));
});

const racy: [string, bigint, boolean][] = [
  ['as new as the scan', SCAN, false],
  ['newer than the scan', SCAN + SECOND, false],
  ['one clock tick older', SCAN - 10_000_000n, false],
  ['well older', SCAN - 100_000_000n, true],
  ['of whole seconds, one older', 999n * SECOND, false],
  ['of whole seconds, three older', 997n * SECOND, true],
];
for (const [what, time, trusted] of racy) {
  test(`a stamp ${what} is ${trusted ? '' : 'not '}trusted`, (t) => {
    const times = { mtimeNs: time, ctimeNs: time };
    t.is(isUnchanged({ ...entry, ...times }, { ...cached, ...times }, SCAN), trusted);
    t.is(
      isUnchanged({ ...entry, wal: { ...stamp, ...times } }, { ...cached, wal: { ...stamp, ...times } }, SCAN),
      trusted,
    );
  });
}

const arbitraryStamp = fc.record({
  sizeBytes: fc.maxSafeNat(),
  mtimeNs: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  ctimeNs: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  inode: fc.bigInt(0n, 2n ** 64n - 1n),
});
const arbitraryFile = fc
  .tuple(
    arbitraryStamp,
    fc.option(arbitraryStamp),
    fc.option(arbitraryStamp),
    fc.maxSafeNat(),
    fc.constantFrom('plain', 'jsonl', 'sqlite'),
  )
  .map(([own, wal, journal, blobSizeBytes, kind]): CachedFile => ({
    ...own,
    ...(wal && { wal }),
    ...(journal && { journal }),
    blob,
    blobSizeBytes,
    kind,
  }));
const arbitraryCache = fc
  .tuple(fc.bigInt(0n, 2n ** 62n), fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), arbitraryFile), { maxLength: 6 }))
  .map(([scanStartNs, files]): StatCache => ({ scanStartNs, files: new Map(files) }));

test('a cache comes back as it was', (t) => {
  fc.assert(fc.property(arbitraryCache, (cache) => t.deepEqual(parseStatCache(encodeStatCache(cache)), cache)));
});

test('bytes with any one changed, cut or added are no cache', (t) => {
  const bytes = encodeStatCache({
    scanStartNs: SCAN,
    files: new Map([
      ['state/db', cached],
      ['state/é', { ...cached, kind: 'plain' as const }],
    ]),
  });
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    t.is(parseStatCache(changed), undefined, `byte ${at}`);
    t.is(parseStatCache(bytes.subarray(0, at)), undefined, `cut at ${at}`);
  }
  t.is(parseStatCache(Buffer.concat([bytes, Buffer.from([0])])), undefined);
  t.not(parseStatCache(bytes), undefined);
});
