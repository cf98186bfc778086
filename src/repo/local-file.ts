// Files of this machine that belong to a repository but not to its format: sealed whole, since they hold names, and derived, so that
// whatever is wrong with one, it is as if it were not there.

import type { KeyObject } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { decompressFrame } from '../chunk/zstd.ts';
import { ContainerReader, ContainerWriter } from '../format/container.ts';
import { Fields } from '../format/fields.ts';
import { BLOCK, ENCODING, KIND } from '../format/layout.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import type { Clock, Random } from '../model/ports.ts';

/** Whose file it is, and what seals it. */
export interface LocalFileSpec {
  /** What the file is called in messages. */
  readonly name: string;
  readonly repositoryId: RepositoryId;
  /** The storage that its content is about, if it is about one. */
  readonly storageId: StorageId | undefined;
  /** The repository's key of local files. */
  readonly key: KeyObject;
}

/** What a local file holds. */
export interface LocalFile {
  readonly record: Fields;
  readonly content: Buffer;
}

/** What is compressed and sealed together; no part unpacks to more. */
const PART_BYTES = 8 << 20;

/** Returns the bytes of a local file. */
export function sealLocalFile(
  { repositoryId, storageId, key }: LocalFileSpec,
  file: { readonly record: unknown; readonly content: Buffer },
  { clock, random }: { readonly clock: Clock; readonly random: Random },
): Buffer {
  const entropy = { random, writer: Buffer.from(repositoryId, 'hex'), pid: process.pid, timeMs: clock.now() };
  const sealing = { epoch: 0, key };
  const writer = new ContainerWriter({ repositoryId, storageId, sealing, entropy, kind: KIND.cache, seq: 0 });
  for (let at = 0; at === 0 || at < file.content.length; at += PART_BYTES) {
    const plain = file.content.subarray(at, at + PART_BYTES);
    const bytes = zstdCompressSync(plain);
    writer.add({ type: BLOCK.data, encoding: ENCODING.zstd, bytes, plainBytes: plain.length });
  }
  return Buffer.concat(writer.finish(file.record, [], 'padme').parts);
}

/**
 * Opens a local file.
 * @throws {MoltError} WRONG_KEY, TRUNCATED, DAMAGED and their kin when it is not what was sealed
 */
export async function openLocalFile(bytes: Buffer, spec: LocalFileSpec): Promise<LocalFile | undefined> {
  const { name, repositoryId, storageId, key } = spec;
  const expected = { name, kind: KIND.cache, repositoryId, storageId, seq: 0 };
  const reader = ContainerReader.open(bytes, expected, () => key);
  const { footer } = await reader.readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
  const parts: Buffer[] = [];
  for (const [number, { offsetBytes, sealedBytes, plainBytes }] of footer.blocks.entries()) {
    if (plainBytes > PART_BYTES) return undefined;
    const packed = reader.openBlock(number, BLOCK.data, bytes.subarray(offsetBytes, offsetBytes + sealedBytes));
    parts.push(decompressFrame(packed, plainBytes));
  }
  const [only] = parts;
  const content = only !== undefined && parts.length === 1 ? only : Buffer.concat(parts);
  return { record: new Fields(footer.record, name), content };
}
