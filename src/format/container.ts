// Writes and reads containers (FORMAT.md, "Containers"): header, sealed blocks, sealed footer, sealed padding, trailer.

import { createHash, type KeyObject } from 'node:crypto';
import { createOpener, createSealer, type Opener, type Sealer, type SealEntropy } from '../crypto/seal.ts';
import { MoltError } from '../model/error.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import { encodeFooter, parseFooter, type BlockEntry, type Footer, type ObjectEntry } from './footer.ts';
import { encodeHeader, parseHeader, type ExpectedHeader, type Header } from './header.ts';
import { detached, release } from './detached.ts';
import {
  BLOCK,
  END_MAGIC,
  FORMAT_VERSION,
  HEADER_BYTES,
  MAGIC,
  PACK_BYTES,
  TAG_BYTES,
  TAIL_BYTES,
  type BlockType,
  type Encoding,
  type Kind,
} from './layout.ts';
import { padme } from './padding.ts';
import { StripeCrc, damagedStripes, encodeTrailer, parseTrailer, trailerBytes, type Trailer } from './trailer.ts';

/** The key that seals an epoch's containers. */
export interface EpochKey {
  readonly epoch: number;
  readonly key: KeyObject;
}

/** What a new container is. */
export interface ContainerSpec {
  readonly kind: Kind;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId | undefined;
  readonly seq: number;
  readonly sealing: EpochKey;
  /** Goes into the salt beside fresh random bytes; the first block is added here. */
  readonly entropy: Omit<SealEntropy, 'firstBlock'>;
}

/** A block that was encoded and waits to be sealed. */
export interface EncodedBlock {
  readonly type: BlockType;
  readonly encoding: Encoding;
  readonly bytes: Buffer;
  /** Length after decoding. */
  readonly plainBytes: number;
}

/** A container's bytes, ready to be stored. */
export interface FinishedContainer {
  readonly parts: readonly Buffer[];
  readonly sizeBytes: number;
  /** SHA-256 of all bytes, hex. */
  readonly sha256: string;
  readonly blocks: readonly BlockEntry[];
}

/** Builds one container, block by block. A writer is used once: a container that must change is sealed anew from its blocks. */
export class ContainerWriter {
  readonly #spec: ContainerSpec;
  readonly #into: Buffer | undefined;
  readonly #parts: Buffer[] = [];
  readonly #blocks: BlockEntry[] = [];
  #sealer: Sealer | undefined;
  #header: Buffer = Buffer.alloc(0);
  #size = HEADER_BYTES;

  /** @param into where to build it in one piece: memory that the container fits into */
  constructor(spec: ContainerSpec, into?: Buffer) {
    this.#spec = spec;
    this.#into = into;
  }

  /** Number of the next block. */
  get blockCount(): number {
    return this.#blocks.length;
  }

  /** Says whether a block and a footer for `objects` objects still fit into a pack. */
  fitsPack(blockBytes: number, objects: number): boolean {
    const footer = 256 + (this.#blocks.length + 1) * 16 + objects * 52;
    const bound = footer + Math.ceil(footer / 128) + 1024;
    const body = this.#size + blockBytes + TAG_BYTES + bound + 2 * TAG_BYTES;
    return body + trailerBytes(body) <= PACK_BYTES;
  }

  /** Seals a block and returns its number. */
  add(block: EncodedBlock): number {
    const number = this.#blocks.length;
    const sealedBytes = block.bytes.length + TAG_BYTES;
    this.#blocks.push({
      offsetBytes: this.#size,
      sealedBytes,
      plainBytes: block.plainBytes,
      type: block.type,
      encoding: block.encoding,
    });
    this.#seal(number, block.type, block.bytes);
    return number;
  }

  /**
   * Seals footer and padding and returns the whole container.
   * @param size `padme`, or the exact length to reach (a full pack)
   */
  finish(record: unknown, objects: readonly ObjectEntry[], size: 'padme' | number): FinishedContainer {
    const footerBlock = this.#blocks.length;
    const footerOffset = this.#size;
    const footerBytes = this.#seal(footerBlock, BLOCK.footer, encodeFooter({ record, blocks: this.#blocks, objects }));
    const leastBody = this.#size + TAG_BYTES;
    const total = size === 'padme' ? padme(leastBody + trailerBytes(leastBody)) : size;
    const bodyBytes = bodyWithin(total, leastBody);
    this.#seal(footerBlock + 1, BLOCK.padding, Buffer.alloc(bodyBytes - leastBody));
    const body = this.#into === undefined ? [this.#header, ...this.#parts] : [this.#into.subarray(0, bodyBytes)];
    const crc = new StripeCrc();
    for (const part of body) crc.push(part);
    const trailer = encodeTrailer({ bodyBytes, footerOffset, footerBytes, footerBlock, stripes: crc.finish() });
    const sizeBytes = bodyBytes + trailer.length;
    if (this.#into !== undefined) trailer.copy(this.#into, bodyBytes);
    const parts = this.#into === undefined ? [...body, trailer] : [this.#into.subarray(0, sizeBytes)];
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    return { parts, sizeBytes, sha256: hash.digest('hex'), blocks: this.#blocks };
  }

  /** Seals a block behind what is there; returns its sealed length. */
  #seal(number: number, type: BlockType, plain: Buffer): number {
    this.#sealer ??= this.#start(plain);
    const into = this.#into;
    const sealed = this.#sealer.sealParts(number, type, this.#header, plain);
    const sealedBytes = plain.length + TAG_BYTES;
    if (into === undefined) this.#parts.push(...sealed);
    else if (this.#size + sealedBytes > into.length) throw new Error('a container outgrew its memory');
    else {
      if (number === 0) this.#header.copy(into);
      let at = this.#size;
      for (const part of sealed) {
        at += part.copy(into, at);
        release(part);
      }
    }
    this.#size += sealedBytes;
    return sealedBytes;
  }

  #start(firstBlock: Buffer): Sealer {
    const { kind, repositoryId, storageId, seq, sealing, entropy } = this.#spec;
    const id = Buffer.from(repositoryId, 'hex');
    const sealer = createSealer(sealing.key, { kind, repositoryId: id }, { ...entropy, firstBlock });
    const { salt, commitment } = sealer;
    this.#header = encodeHeader({ kind, epoch: sealing.epoch, repositoryId, storageId, seq, salt, commitment });
    return sealer;
  }
}

/** Returns the body length that, with its trailer, comes to `total` bytes, or the least body if the stripes don't allow that. */
function bodyWithin(total: number, leastBody: number): number {
  let body = total - TAIL_BYTES - 4;
  while (body > leastBody && body + trailerBytes(body) > total) body -= 4;
  return Math.max(body, leastBody);
}

/** Reads ranges of one container; `end` may lie past the container's end. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>;

/** Finds the key of an epoch; undefined if the keyring does not have it. */
export type EpochKeys = (epoch: number) => KeyObject | undefined;

/** An opened container: its header is checked, blocks are opened on demand. */
export class ContainerReader {
  readonly header: Header;
  readonly name: string;
  readonly #headerBytes: Buffer;
  readonly #opener: Opener;

  private constructor(name: string, header: Header, headerBytes: Buffer, opener: Opener) {
    this.name = name;
    this.header = header;
    this.#headerBytes = headerBytes;
    this.#opener = opener;
  }

  /**
   * Opens a container by its first bytes.
   * @throws {MoltError} what parseHeader throws, WRONG_KEY when the key does not fit (with `details.epoch` when there is none for the
   * epoch), and NEWER_FORMAT
   */
  static open(headerBytes: Buffer, expected: ExpectedHeader, keys: EpochKeys): ContainerReader {
    // The header is kept as long as the reader, and so is what is parsed from it.
    const own = detached(headerBytes.subarray(0, HEADER_BYTES));
    const header = parseHeader(own, expected);
    const key = keys(header.epoch);
    if (key === undefined) {
      const { epoch } = header;
      throw new MoltError(
        'WRONG_KEY',
        `${expected.name} is sealed under key epoch ${epoch}, which this keyring does not have`,
        { details: { epoch } },
      );
    }
    const opener = openerOf(key, header, expected);
    // Only now: anybody can write a version into a header, but not a commitment that goes with it.
    if (header.version > FORMAT_VERSION) {
      throw new MoltError(
        'NEWER_FORMAT',
        `${expected.name} has format version ${header.version}; this molt reads up to ${FORMAT_VERSION}`,
        {
          hint: 'install a newer molt; nothing was changed',
        },
      );
    }
    return new ContainerReader(expected.name, header, own, opener);
  }

  /**
   * Opens one sealed block.
   * @throws {MoltError} DAMAGED when its tag does not hold: changed, swapped, or of another type
   */
  openBlock(number: number, type: BlockType, sealed: Buffer): Buffer {
    try {
      return this.#opener.open(number, type, this.#headerBytes, sealed);
    } catch (cause) {
      if (!(cause instanceof MoltError)) throw cause;
      throw new MoltError('DAMAGED', `block ${number} of ${this.name} is not what was sealed there`, { cause });
    }
  }

  /**
   * Reads trailer and footer.
   * @param endBytes how much is read first of the container's end, beside its trailer
   * @throws {MoltError} TRUNCATED or DAMAGED
   */
  async readFooter(
    read: ReadRange,
    sizeBytes: number,
    endBytes = 64 << 10,
  ): Promise<{ footer: Footer; trailer: Trailer }> {
    const guess = Math.max(0, sizeBytes - endBytes - trailerBytes(sizeBytes));
    const tail = await read(guess, sizeBytes);
    const trailer = parseTrailer(tail, sizeBytes, this.name);
    const { footerOffset, footerBytes } = trailer;
    const at = footerOffset - guess;
    // Not to the end: between footer and trailer lies padding.
    const sealed = at < 0 ? await read(footerOffset, footerOffset + footerBytes) : tail.subarray(at, at + footerBytes);
    const footer = parseFooter(this.openBlock(trailer.footerBlock, BLOCK.footer, sealed), this.name);
    checkBlocks(footer, trailer, this.name);
    return { footer, trailer };
  }

  /**
   * Checks every byte of a whole container: stripes, blocks in a row without gaps, tags, padding.
   * @throws {MoltError} TRUNCATED or DAMAGED, naming where
   */
  async verifyWhole(container: Buffer): Promise<Footer> {
    const trailer = parseTrailer(container, container.length, this.name);
    const damage = findDamage(container, this.name);
    if (damage !== undefined) throw damage;
    const { footer } = await this.readFooter(async (start, end) => container.subarray(start, end), container.length);
    footer.blocks.forEach((block, number) => {
      const sealed = container.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes);
      this.openBlock(number, block.type, sealed);
    });
    const padding = container.subarray(trailer.footerOffset + trailer.footerBytes, trailer.bodyBytes);
    const plain = this.openBlock(trailer.footerBlock + 1, BLOCK.padding, padding);
    if (plain.some((byte) => byte !== 0)) throw new MoltError('DAMAGED', `${this.name} hides something in its padding`);
    return footer;
  }
}

/**
 * Returns what the checksums of a whole container show to be damage, or undefined if they hold or there are none: then the bytes
 * are as somebody wrote them.
 */
export function findDamage(container: Buffer, name: string): MoltError | undefined {
  if (!container.subarray(0, MAGIC.length).equals(MAGIC) && !container.subarray(-END_MAGIC.length).equals(END_MAGIC))
    return undefined;
  try {
    const stripes = damagedStripes(container, parseTrailer(container, container.length, name));
    if (stripes.length === 0) return undefined;
    return new MoltError('DAMAGED', `${name} is damaged in MiB ${stripes.join(', ')}`, { details: { stripes } });
  } catch (error) {
    if (error instanceof MoltError) return error;
    throw error;
  }
}

function openerOf(key: KeyObject, header: Header, expected: ExpectedHeader): Opener {
  const repositoryId = Buffer.from(header.repositoryId, 'hex');
  const { kind, salt, commitment, version } = header;
  try {
    return createOpener(key, { kind, repositoryId, salt, commitment, version });
  } catch (cause) {
    if (!(cause instanceof MoltError)) throw cause;
    throw new MoltError('WRONG_KEY', `${expected.name} is sealed under another key than this repository's`, { cause });
  }
}

/** Blocks, which follow each other from the header, must end at the footer, so that no byte of the body is unaccounted for. */
function checkBlocks(footer: Footer, trailer: Trailer, name: string): void {
  const at = footer.blocks.reduce((end, { sealedBytes }) => end + sealedBytes, HEADER_BYTES);
  if (at !== trailer.footerOffset || footer.blocks.length !== trailer.footerBlock) {
    throw new MoltError('DAMAGED', `${name} has a block table that does not fit`);
  }
}
