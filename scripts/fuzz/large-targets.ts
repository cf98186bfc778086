// Inputs that claim or hold a lot: bombs, huge tables, long texts, deep nesting. Few, since each takes as long as thousands of others.

import { parseAttributes } from '../../src/format/attributes.ts';
import { parseCheckpoint } from '../../src/format/checkpoint.ts';
import { parseFooter } from '../../src/format/footer.ts';
import { parseFormatFile } from '../../src/format/format-file.ts';
import { parseIndexRun } from '../../src/format/index-run.ts';
import { parseKeyring } from '../../src/format/keyring.ts';
import { parseSegmentRecord } from '../../src/format/segment.ts';
import { decompressFrame } from '../../src/chunk/zstd.ts';
import { decodeDelta } from '../../src/chunk/delta.ts';
import type { TreeId } from '../../src/model/ids.ts';
import { parseTree } from '../../src/repo/trees.ts';
import { REPOSITORY } from '../../test/format/support.ts';
import type { Dice } from './mutate.ts';
import { wrapFooter } from './sealed.ts';
import type { Target } from './target.ts';

const MIB = 1 << 20;
// 256 MiB of zeros as RLE blocks (RFC 8878, section 3.1.1), put together by hand: making it must not take what decoding it may not.
const BOMB = Buffer.concat([
  Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]),
  ...Array.from({ length: 2048 }, (_, at) => Buffer.from([at === 2047 ? 3 : 2, 0x00, 0x10, 0x00])),
]);

/** Returns the one target. */
export function largeTarget(): Target {
  return { name: 'large', weight: 0.01, isLarge: true, valid: () => {}, run: runLarge };
}

function runLarge(dice: Dice): unknown {
  const millions = dice.pick([1, 4]);
  const deep = `${'['.repeat(millions * 100_000)}${']'.repeat(millions * 100_000)}`;
  const long = 'a'.repeat(millions * MIB);
  switch (dice.below(13)) {
    case 0:
      return parseFooter(Buffer.concat([word(dice.pick([0, 1000, 16 * MIB, 64 * MIB, 2 ** 32 - 1])), BOMB]), 'x');
    case 1:
      return decompressFrame(BOMB, dice.pick([0, 1, 1000, 16 * MIB]));
    case 2:
      return decodeDelta(BOMB, Buffer.alloc(100, 1), 16 * MIB);
    case 3:
      return parseFooter(manyObjects(dice.pick([1000, 100_000, 300_000])), 'x');
    case 4:
      return parseFooter(manyBlocks(dice.pick([1000, 100_000, 1_000_000])), 'x');
    case 5:
      return parseCheckpoint(Buffer.from(`{"seq":1,"hash":"${'a'.repeat(64)}","refs":${deep}}`), 'x');
    case 6:
      return parseCheckpoint(
        Buffer.from(JSON.stringify({ seq: 1, hash: 'a'.repeat(64), refs: { [`refs/heads/${long}`]: long } })),
        'x',
      );
    case 7:
      return parseKeyring(Buffer.from(dice.pick([deep, `"${long}"`]).slice(0, MIB)), REPOSITORY);
    case 8:
      return parseAttributes(Buffer.from(`molt attributes 1\nfs 600 0 0 ${long}${dice.pick(['\n', ''])}`));
    case 9:
      return parseAttributes(Buffer.from(`molt attributes 1\n${'fs 600 0 0 a\n'.repeat(millions * 10_000)}`));
    case 10:
      return parseTree(Buffer.concat([Buffer.from(`${long} `), Buffer.alloc(30)]), 'c'.repeat(40) as TreeId);
    case 11:
      return parseFormatFile(Buffer.from(dice.pick([deep, `{"molt":"${long}"}`])), 'x');
    default: {
      const footer = {
        record: { type: long, fromSeq: 1, toSeq: long, refs: [{ name: long }] },
        blocks: [],
        objects: [],
      };
      return dice.below(2) === 0 ? parseSegmentRecord(footer.record, 'x') : parseIndexRun(footer, 'x');
    }
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A footer of one block and many objects, each right by itself. */
function manyObjects(count: number): Buffer {
  const objects = Buffer.alloc(count * 52);
  for (let at = 48; at < objects.length; at += 52) objects[at] = 1;
  return wrapFooter(
    Buffer.concat([word(2), Buffer.from('{}'), word(1), Buffer.alloc(16), word(count), objects, word(0)]),
  );
}

function manyBlocks(count: number): Buffer {
  return wrapFooter(
    Buffer.concat([word(2), Buffer.from('{}'), word(count), Buffer.alloc(count * 16), word(0), word(0)]),
  );
}
