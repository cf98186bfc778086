// No key seals two different messages under one nonce: every container that is ever handed to a storage, winners and losers alike,
// has a salt, and so a key, of its own.

import test from 'ava';
import { parseSegmentName } from '../../src/format/segment.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { randomContent } from '../chunk/content.ts';
import { commitFiles, commitInRace, makeRepository, openRepository, TIME_MS } from './support.ts';

test('every container that was ever tried has a salt of its own, lost races included', async (t) => {
  const storage = new MemoryStorage({ now: () => TIME_MS });
  const create = storage.createOnce.bind(storage);
  const salts = new Map<string, string>();
  let tried = 0;
  let lost = 0;
  storage.createOnce = async (name, parts) => {
    const bytes = Buffer.concat(parts);
    const created = await create(name, parts);
    if (name === 'format.json') return created;
    tried += 1;
    if (!created && parseSegmentName(name) !== undefined) lost += 1;
    const salt = bytes.toString('hex', 64, 96);
    t.is(salts.get(salt), undefined, `${name} has the salt of ${salts.get(salt)}`);
    salts.set(salt, name);
    return created;
  };
  await makeRepository(storage);
  // All of them at the same standing clock, as on one machine within a millisecond.
  const writers = await Promise.all(Array.from({ length: 6 }, () => openRepository(storage, { now: () => TIME_MS })));
  await Promise.all(
    writers.map(async (writer, index) => {
      for (let round = 0; round < 15; round += 1) {
        const files = { same: 'the same bytes', own: randomContent(`${index} ${round}`, 100 + round) };
        if (round % 5 === 4) await commitFiles(writer, files, { full: true, ref: `refs/heads/full-${index}` });
        else await commitInRace(writer, files, `${index} ${round}\n`);
      }
    }),
  );
  t.is(salts.size, tried);
  t.true(lost > 0, 'nobody lost a race');
  t.true(
    new Set([...salts.values()].map((name) => name.split('/')[0])).size === 4,
    'segments, packs, runs and checkpoints',
  );
});
