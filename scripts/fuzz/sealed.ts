// Containers sealed again with the right key after a change inside: what a writer with a bug, or an attacker with a writer's key, can
// make. All checks behind the seals stand alone against these.

import type { KeyObject } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { createSealer } from '../../src/crypto/seal.ts';
import { ContainerReader } from '../../src/format/container.ts';
import { encodeHeader, type ExpectedHeader } from '../../src/format/header.ts';
import { BLOCK, type BlockType } from '../../src/format/layout.ts';
import { encodeTrailer, parseTrailer, StripeCrc } from '../../src/format/trailer.ts';
import { type Dice, hostileBytes, hostileJson } from './mutate.ts';

/** A container, opened. */
export interface Opened {
  readonly expected: ExpectedHeader;
  readonly epoch: number;
  readonly key: KeyObject;
  /** Opened, not decoded. */
  readonly blocks: readonly { readonly type: BlockType; readonly plain: Buffer }[];
  /** The footer's content, decompressed. */
  readonly footer: Buffer;
  readonly record: unknown;
}

/** Opens a whole container. */
export async function openContainer(bytes: Buffer, expected: ExpectedHeader, key: KeyObject): Promise<Opened> {
  const reader = ContainerReader.open(bytes, expected, () => key);
  const footer = await reader.verifyWhole(bytes);
  const { footerOffset, footerBytes, footerBlock } = parseTrailer(bytes, bytes.length, expected.name);
  const sealed = bytes.subarray(footerOffset, footerOffset + footerBytes);
  const blocks = footer.blocks.map(({ offsetBytes, sealedBytes, type }, number) => ({
    type,
    plain: reader.openBlock(number, type, bytes.subarray(offsetBytes, offsetBytes + sealedBytes)),
  }));
  const content = zstdDecompressSync(reader.openBlock(footerBlock, BLOCK.footer, sealed).subarray(4));
  return { expected, epoch: reader.header.epoch, key, blocks, footer: content, record: footer.record };
}

/** Returns a footer's content as it is sealed. */
export function wrapFooter(content: Buffer, claimedBytes = content.length): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(claimedBytes);
  return Buffer.concat([length, zstdCompressSync(content)]);
}

/** Returns a footer's content with another record. */
export function withRecord(content: Buffer, record: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(record.length);
  return Buffer.concat([length, record, content.subarray(4 + content.readUInt32LE(0))]);
}

/** Changes something inside a container and seals it. */
export function resealChanged(dice: Dice, opened: Opened): Buffer {
  const blocks = opened.blocks.map((block) => ({ ...block }));
  let footer = opened.footer;
  let padding: Buffer = Buffer.alloc(dice.below(40));
  let footerBlock = blocks.length;
  const block = blocks.length === 0 ? undefined : dice.pick(blocks);
  switch (dice.below(8)) {
    case 0:
      // Of the same length, so that the tables still fit and the content itself is looked at.
      if (block !== undefined && block.plain.length > 0) {
        block.plain = Buffer.from(block.plain);
        for (let count = dice.pick([1, 1, 2, 9]); count > 0; count -= 1)
          block.plain[dice.below(block.plain.length)] = dice.word() & 0xff;
      }
      break;
    case 1:
      if (block !== undefined) block.plain = hostileBytes(dice, [block.plain]);
      break;
    case 2:
      padding = dice.bytes(dice.below(40));
      footerBlock = dice.pick([footerBlock, 0, footerBlock + 1, 0xffff_fffe]);
      break;
    case 3:
    case 4:
      footer = withRecord(footer, Buffer.from(JSON.stringify(hostileJson(dice, [opened.record])) ?? ''));
      break;
    default: {
      const recordEnd = 4 + footer.readUInt32LE(0);
      // The tables are where numbers lead somewhere.
      footer =
        dice.below(3) === 0
          ? hostileBytes(dice, [footer])
          : Buffer.concat([footer.subarray(0, recordEnd), hostileBytes(dice, [footer.subarray(recordEnd)])]);
    }
  }
  const claimed = dice.below(50) === 0 ? dice.word() : footer.length;
  return seal(opened, { blocks, footer: wrapFooter(footer, claimed), padding, footerBlock }, dice);
}

/** Seals a container by hand. */
export function seal(
  { expected, epoch, key }: Pick<Opened, 'expected' | 'epoch' | 'key'>,
  parts: {
    readonly blocks: readonly { readonly type: BlockType; readonly plain: Buffer }[];
    readonly footer: Buffer;
    readonly padding?: Buffer;
    readonly footerBlock?: number;
  },
  dice: Dice,
): Buffer {
  const { kind, repositoryId, storageId, seq = 0 } = expected;
  const { blocks, footer, padding = Buffer.alloc(16), footerBlock = blocks.length } = parts;
  const context = { kind, repositoryId: Buffer.from(repositoryId, 'hex') };
  const random = { bytes: (length: number) => dice.bytes(length) };
  const entropy = { random, writer: Buffer.alloc(16), pid: 1, timeMs: 1, firstBlock: footer };
  const sealer = createSealer(key, context, entropy);
  const { salt, commitment } = sealer;
  const header = encodeHeader({ kind, epoch, repositoryId, storageId, seq, salt, commitment });
  // A number that a block has already can't be the footer's as well.
  const number = footerBlock < blocks.length ? blocks.length : footerBlock;
  const sealed = blocks.map(({ type, plain }, at) => sealer.seal(at, type, header, plain));
  const sealedFooter = sealer.seal(number, BLOCK.footer, header, footer);
  const body = Buffer.concat([
    header,
    ...sealed,
    sealedFooter,
    sealer.seal(number + 1, BLOCK.padding, header, padding),
  ]);
  const footerOffset = header.length + sealed.reduce((sum, bytes) => sum + bytes.length, 0);
  const places = { footerOffset, footerBytes: sealedFooter.length, footerBlock };
  return Buffer.concat([body, encodeTrailer({ bodyBytes: body.length, ...places, stripes: stripesOf(body) })]);
}

/** Makes a changed container's checksums fit again, as somebody without keys can. */
export function fitChecksums(bytes: Buffer): Buffer {
  try {
    const { bodyBytes, ...places } = parseTrailer(bytes, bytes.length, 'a container');
    const body = bytes.subarray(0, bodyBytes);
    return Buffer.concat([body, encodeTrailer({ bodyBytes, ...places, stripes: stripesOf(body) })]);
  } catch {
    return bytes;
  }
}

function stripesOf(body: Buffer): number[] {
  const crc = new StripeCrc();
  crc.push(body);
  return crc.finish();
}
