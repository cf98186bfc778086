// What the tests of src/format share: one sealing key, containers made with it, and the rule that a decoder gives a value or a
// MoltError, whatever it is fed.

import { createSecretKey, type KeyObject } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import * as fc from 'fast-check';
import { createSealer } from '../../src/crypto/seal.ts';
import { ContainerReader, ContainerWriter, type ContainerSpec, type EpochKeys } from '../../src/format/container.ts';
import type { Footer, ObjectEntry } from '../../src/format/footer.ts';
import { encodeHeader, type ExpectedHeader } from '../../src/format/header.ts';
import { BLOCK, ENCODING, FORMAT_VERSION, HEADER_BYTES, KIND, OBJECT } from '../../src/format/layout.ts';
import { encodeTrailer, StripeCrc } from '../../src/format/trailer.ts';
import { MoltError, type ErrorCode } from '../../src/model/error.ts';
import type { RepositoryId, StorageId } from '../../src/model/ids.ts';
import { seededRandom } from '../crypto/random.ts';

export const REPOSITORY = '000102030405060708090a0b0c0d0e0f' as RepositoryId;
export const STORAGE = '101112131415161718191a1b1c1d1e1f' as StorageId;
export const TIME_MS = 1_772_676_000_000;
export const KEY: KeyObject = createSecretKey(Buffer.alloc(32, 7));

/** The only key that the tests' readers have. */
export const keys: EpochKeys = (epoch) => (epoch === 1 ? KEY : undefined);

/** Returns the spec of a segment, with what a test wants otherwise. */
export function specOf(change: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    kind: KIND.segment,
    repositoryId: REPOSITORY,
    storageId: STORAGE,
    seq: 5,
    sealing: { epoch: 1, key: KEY },
    entropy: { random: seededRandom('container'), writer: Buffer.alloc(16, 1), pid: 1, timeMs: TIME_MS },
    ...change,
  };
}

/** What a reader of that segment expects. */
export const EXPECTED: ExpectedHeader = {
  name: 'log/000000000005',
  kind: KIND.segment,
  repositoryId: REPOSITORY,
  storageId: STORAGE,
  seq: 5,
};

/** Returns an object of a given length at the beginning of a block. */
export function objectOf(block: number, lengthBytes: number, change: Partial<ObjectEntry> = {}): ObjectEntry {
  const at = { block, offsetBytes: 0, lengthBytes, objectBytes: lengthBytes };
  return { key: Buffer.alloc(32, block + 1), type: OBJECT.chunk, ...at, base: undefined, ...change };
}

/** Seals blocks, one object in each, into a whole container. */
export function sealBlocks(
  plains: readonly Buffer[],
  spec: ContainerSpec = specOf(),
  size: 'padme' | number = 'padme',
): Buffer {
  const writer = new ContainerWriter(spec);
  const objects = plains.map((bytes) => {
    const block = writer.add({ type: BLOCK.data, encoding: ENCODING.raw, bytes, plainBytes: bytes.length });
    return objectOf(block, bytes.length);
  });
  return Buffer.concat(writer.finish({ test: true }, objects, size).parts);
}

/** Opens a whole container and checks every byte of it. */
export async function openWhole(
  bytes: Buffer,
  expected: ExpectedHeader = EXPECTED,
  epochKeys: EpochKeys = keys,
): Promise<Footer> {
  return ContainerReader.open(bytes, expected, epochKeys).verifyWhole(bytes);
}

/** Asserts that some work fails with one of some codes. */
export async function rejectsWith(t: ExecutionContext, work: () => unknown, ...codes: ErrorCode[]): Promise<void> {
  const error = await t.throwsAsync(async () => work());
  t.true(error instanceof MoltError && codes.includes(error.code), `${codes.join(' or ')} expected: ${String(error)}`);
}

/** Runs a decoder; returns what it gives, or undefined after a MoltError. Anything else thrown fails the test. */
export function decodes<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MoltError) return undefined;
    throw error;
  }
}

/** Arbitrary bytes: random ones, and valid ones that were changed, cut, repeated or extended. */
export function hostileBytes(...valid: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const random = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  const edit = fc.record({
    at: fc.nat(),
    bytes: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.constantFrom(...EXTREMES)),
  });
  const changed = fc
    .record({
      from: fc.constantFrom(...valid),
      edits: fc.array(edit, { maxLength: 4 }),
      cut: fc.option(fc.nat()),
      tail: fc.uint8Array({ maxLength: 8 }),
    })
    .map(({ from, edits, cut, tail }) => {
      const bytes = Buffer.concat([from, tail]);
      for (const { at, bytes: patch } of edits) Buffer.from(patch).copy(bytes, at % Math.max(bytes.length, 1));
      return cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1));
    });
  return fc.oneof(random, changed);
}

/** Arbitrary JSON values: random ones, and a valid one with members changed, dropped or added at any depth. */
export function hostileJson(valid: unknown): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.jsonValue(),
    fc
      .array(fc.tuple(fc.nat(), fc.oneof(fc.jsonValue(), fc.constantFrom(...ODD_VALUES))), {
        minLength: 1,
        maxLength: 4,
      })
      .map((edits) => edits.reduce<unknown>((value, [at, leaf]) => replaceAt(value, at, leaf), valid)),
  );
}

const EXTREMES = [
  Uint8Array.of(0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0, 0, 0, 0),
  Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  Uint8Array.of(0, 0, 0, 0x80),
];
const ODD_VALUES: readonly unknown[] = [
  null,
  -1,
  0,
  1.5,
  2 ** 32,
  2 ** 53,
  '',
  'refs/heads/../x',
  '0'.repeat(64),
  [],
  {},
  [null],
  [[]],
];

/** Replaces the n-th node of a JSON value, counted through all depths, by another. */
function replaceAt(value: unknown, n: number, leaf: unknown): unknown {
  const size = countNodes(value);
  let left = n % size;
  const visit = (node: unknown): unknown => {
    if (left === 0) {
      left -= 1;
      return leaf;
    }
    left -= 1;
    if (Array.isArray(node)) return node.map(visit);
    if (typeof node === 'object' && node !== null)
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
    return node;
  };
  return visit(value);
}

function countNodes(value: unknown): number {
  const children = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return children.reduce((sum: number, child) => sum + countNodes(child), 1);
}

/**
 * Seals a container by hand, as only somebody with the keys could: with any footer, padding, block table or header version.
 * @param parts.footer the footer's plaintext
 */
export function sealByHand(parts: {
  blocks?: readonly Buffer[];
  footer: Buffer;
  padding?: Buffer;
  version?: number;
  footerBlock?: number;
}): Buffer {
  const { kind, repositoryId, storageId, seq, entropy } = specOf();
  const {
    blocks = [],
    footer,
    padding = Buffer.alloc(16),
    version = FORMAT_VERSION,
    footerBlock = blocks.length,
  } = parts;
  const context = { kind, repositoryId: Buffer.from(repositoryId, 'hex'), version };
  const sealer = createSealer(KEY, context, { ...entropy, firstBlock: footer });
  const { salt, commitment } = sealer;
  const header = encodeHeader({ kind, epoch: 1, repositoryId, storageId, seq, salt, commitment });
  header.writeUInt8(version, 8);
  const sealed = blocks.map((bytes, number) => sealer.seal(number, BLOCK.data, header, bytes));
  const sealedFooter = sealer.seal(footerBlock, BLOCK.footer, header, footer);
  const body = Buffer.concat([
    header,
    ...sealed,
    sealedFooter,
    sealer.seal(footerBlock + 1, BLOCK.padding, header, padding),
  ]);
  const crc = new StripeCrc();
  crc.push(body);
  const footerOffset = HEADER_BYTES + sealed.reduce((sum, block) => sum + block.length, 0);
  const footerBytes = sealedFooter.length;
  return Buffer.concat([
    body,
    encodeTrailer({ bodyBytes: body.length, footerOffset, footerBytes, footerBlock, stripes: crc.finish() }),
  ]);
}
