// Writes a Git pack and its index, object by object, none of them held whole (gitformat-pack(5), version 2 of both).

import { createHash } from 'node:crypto';
import { open, rename, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { constants, crc32, createDeflate, deflateSync } from 'node:zlib';
import type { GitId } from '../model/ids.ts';

/** Git's numbers of object types. */
const TYPES = { commit: 1, tree: 2, blob: 3, tag: 4 } as const;
/** Content up to this length is compressed in one go. */
const SMALL_BYTES = 1 << 20;
const BUFFER_BYTES = 1 << 20;
const ID_BYTES = 20;
/** Level 1: an export is for passing on, and git packs anew on its own terms. */
const DEFLATE = { level: constants.Z_BEST_SPEED };

/** An object on its way into a pack. */
export interface PackObject {
  readonly type: keyof typeof TYPES;
  readonly id: GitId;
  readonly sizeBytes: number;
}

/** Where an object is in the pack. */
interface Placed {
  readonly id: Buffer;
  readonly crc: number;
  readonly offset: number;
}

/** Writes one pack. */
export class GitPackWriter {
  readonly #dir: string;
  readonly #file: FileHandle;
  readonly #placed: Placed[] = [];
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #crc = 0;

  private constructor(dir: string, file: FileHandle) {
    this.#dir = dir;
    this.#file = file;
  }

  /** Begins a pack in a folder. */
  static async create(dir: string): Promise<GitPackWriter> {
    const writer = new GitPackWriter(dir, await open(join(dir, 'pack.tmp'), 'wx+', 0o600));
    await writer.#write(packHeader(0));
    return writer;
  }

  /** Adds an object that is not in the pack yet; its content has exactly the length that was said. */
  async add(object: PackObject, content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    const offset = this.#offset;
    this.#crc = 0;
    await this.#write(entryHeader(TYPES[object.type], object.sizeBytes));
    if (object.sizeBytes <= SMALL_BYTES) {
      const parts: Buffer[] = [];
      for await (const part of content) parts.push(part);
      await this.#write(
        deflateSync(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts), DEFLATE),
      );
    } else {
      await this.#deflate(content);
    }
    this.#placed.push({ id: Buffer.from(object.id, 'hex'), crc: this.#crc, offset });
  }

  /** Ends the pack, and writes its index. */
  async finish(): Promise<{ sizeBytes: number; objects: number }> {
    await this.#flush();
    const header = packHeader(this.#placed.length);
    await this.#file.write(header, 0, header.length, 0);
    const checksum = await this.#checksum();
    await this.#file.write(checksum, 0, checksum.length, this.#offset);
    await this.#file.sync();
    const sorted = this.#placed.toSorted((a, b) => a.id.compare(b.id));
    const name = `pack-${createHash('sha1')
      .update(Buffer.concat(sorted.map(({ id }) => id)))
      .digest('hex')}`;
    const index = encodeIndex(sorted, checksum);
    const indexFile = await open(join(this.#dir, `${name}.idx`), 'wx', 0o400);
    try {
      await indexFile.writeFile(index);
      await indexFile.sync();
    } finally {
      await indexFile.close();
    }
    await this.#file.chmod(0o400);
    await rename(join(this.#dir, 'pack.tmp'), join(this.#dir, `${name}.pack`));
    const { size } = await stat(join(this.#dir, `${name}.pack`));
    return { sizeBytes: size + index.length, objects: sorted.length };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #deflate(content: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
    const deflate = createDeflate({ ...DEFLATE, chunkSize: 256 * 1024 });
    await pipeline(content, deflate, async (source: AsyncIterable<Buffer>) => {
      for await (const part of source) await this.#write(part);
    });
  }

  async #write(bytes: Buffer): Promise<void> {
    this.#crc = crc32(bytes, this.#crc);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#offset += bytes.length;
    if (this.#pendingBytes >= BUFFER_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    const at = this.#offset - this.#pendingBytes;
    const parts = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (parts.length === 0) return;
    const bytes = Buffer.concat(parts);
    for (let done = 0; done < bytes.length;) {
      // oxlint-disable-next-line no-await-in-loop -- a write may be short
      done += (await this.#file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
    }
  }

  /** The count in the header is known only at the end, so the checksum is taken of the file as it is then. */
  async #checksum(): Promise<Buffer> {
    const sha1 = createHash('sha1');
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    for (let at = 0; at < this.#offset;) {
      // oxlint-disable-next-line no-await-in-loop -- in order
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, this.#offset - at), at);
      if (bytesRead === 0) throw new Error('a pack that was just written is shorter than it should be');
      sha1.update(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return sha1.digest();
  }
}

function packHeader(objects: number): Buffer {
  const header = Buffer.from('PACK\0\0\0\u0002\0\0\0\0', 'latin1');
  header.writeUInt32BE(objects, 8);
  return header;
}

/** Type and length of an entry: three bits of type and four of length, then seven bits of length a byte. */
function entryHeader(type: number, sizeBytes: number): Buffer {
  const bytes: number[] = [];
  let first = (type << 4) | (sizeBytes & 15);
  for (let rest = Math.floor(sizeBytes / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(first | 0x80);
    first = rest % 128;
  }
  return Buffer.from([...bytes, first]);
}

/** Version 2: fan-out, ids, CRC32s, offsets, large offsets, checksums. */
function encodeIndex(sorted: readonly Placed[], packChecksum: Buffer): Buffer {
  const large = sorted.filter(({ offset }) => offset >= 0x8000_0000);
  const fanOut = Buffer.alloc(256 * 4);
  const counts = new Uint32Array(256);
  for (const { id } of sorted) counts[id[0] ?? 0] = (counts[id[0] ?? 0] ?? 0) + 1;
  counts.reduce((sum, count, first) => fanOut.writeUInt32BE(sum + count, first * 4) && sum + count, 0);
  const crcs = Buffer.alloc(sorted.length * 4);
  const offsets = Buffer.alloc(sorted.length * 4);
  const largeOffsets = Buffer.alloc(large.length * 8);
  let nextLarge = 0;
  sorted.forEach(({ crc, offset }, at) => {
    crcs.writeUInt32BE(crc, at * 4);
    if (offset < 0x8000_0000) {
      offsets.writeUInt32BE(offset, at * 4);
      return;
    }
    offsets.writeUInt32BE(0x8000_0000 + nextLarge, at * 4);
    largeOffsets.writeBigUInt64BE(BigInt(offset), nextLarge * 8);
    nextLarge += 1;
  });
  const body = Buffer.concat([
    Buffer.from([0xff, 0x74, 0x4f, 0x63, 0, 0, 0, 2]),
    fanOut,
    Buffer.concat(
      sorted.map(({ id }) => id),
      sorted.length * ID_BYTES,
    ),
    crcs,
    offsets,
    largeOffsets,
    packChecksum,
  ]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}
