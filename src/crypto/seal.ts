// Sealing of containers (FORMAT.md, "Sealing"): each container has its own key, drawn from the epoch key with a fresh salt, so that a
// block's number can be its nonce; a commitment to that key stands in the container's header and rejects a wrong key at once.

import { createHash, hash, timingSafeEqual, type KeyObject } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import type { Random } from '../model/ports.ts';
import { openGcm, sealGcm } from './gcm.ts';
import { COMMITMENT_BYTES, deriveCommittedKey, type CommittedKey } from './hkdf.ts';

/** The format version of the containers that are sealed here. */
const SEAL_VERSION = 1;
const REPOSITORY_ID_BYTES = 16;
const NONCE_BYTES = 12;
const BLOCK_SUFFIX_BYTES = 5;

/** The length of a container's salt in bytes. */
export const SALT_BYTES = 32;

/** What a container's key is bound to beside its salt. */
export interface SealContext {
  /** The container's kind, as in its header; one byte. */
  readonly kind: number;
  /** The repository's id, 16 bytes. */
  readonly repositoryId: Buffer;
  /** The format version that the header claims; 1 if it is left out. Of a later one only the commitment can be checked here. */
  readonly version?: number;
}

/** What makes a salt unique, even where two clones of a virtual machine draw the same random bytes. */
export interface SealEntropy {
  readonly random: Random;
  /** The id of the writer, any length. */
  readonly writer: Buffer;
  readonly pid: number;
  /** Milliseconds since the Unix epoch. */
  readonly timeMs: number;
  /** The plaintext of the first block that will be sealed. */
  readonly firstBlock: Buffer;
}

/** Seals the blocks of one container. */
export interface Sealer {
  /** 32 bytes, for the container's header. */
  readonly salt: Buffer;
  /** 32 bytes, for the container's header. */
  readonly commitment: Buffer;
  /**
   * Returns ciphertext and 16-byte tag in one buffer.
   * @param header the container's whole plaintext header, the same for every block
   * @throws {Error} when the block number was sealed before
   */
  seal(blockNumber: number, blockType: number, header: Buffer, plain: Buffer): Buffer;
  /** Does as `seal` and returns ciphertext and tag apart, which spares a large block a copy that costs as much as its encryption. */
  sealParts(blockNumber: number, blockType: number, header: Buffer, plain: Buffer): [ciphertext: Buffer, tag: Buffer];
}

/** Opens the blocks of one container. */
export interface Opener {
  /**
   * Returns a block's plaintext.
   * @throws {MoltError} DAMAGED when the bytes, the header, the block's number or its type are not those sealed
   */
  open(blockNumber: number, blockType: number, header: Buffer, sealed: Buffer): Buffer;
}

/** Returns a sealer with a new salt, and so a new key; to be used for one container and not for its next version. */
export function createSealer(epochKey: KeyObject, context: SealContext, entropy: SealEntropy): Sealer {
  const salt = drawSalt(entropy);
  const { key, commitment } = deriveContainerKey(epochKey, context, salt);
  const used = new Set<number>();

  function sealParts(blockNumber: number, blockType: number, header: Buffer, plain: Buffer): [Buffer, Buffer] {
    const nonce = blockNonce(blockNumber);
    if (used.has(blockNumber)) throw new Error(`block ${blockNumber} was sealed before under this key`);
    used.add(blockNumber);
    return sealGcm(key, nonce, blockAad(header, blockNumber, blockType), plain);
  }

  return {
    salt,
    commitment,
    sealParts,
    seal: (blockNumber, blockType, header, plain) => Buffer.concat(sealParts(blockNumber, blockType, header, plain)),
  };
}

/**
 * Returns an opener for the container whose header holds this salt and commitment.
 * @throws {MoltError} WRONG_KEY when it was not sealed under this epoch key, for this kind and repository
 */
export function createOpener(
  epochKey: KeyObject,
  context: SealContext & { readonly salt: Buffer; readonly commitment: Buffer },
): Opener {
  if (context.commitment.length !== COMMITMENT_BYTES) throw new Error('a key commitment is 32 bytes');
  const { key, commitment } = deriveContainerKey(epochKey, context, context.salt);
  if (!timingSafeEqual(commitment, context.commitment)) {
    throw new MoltError('WRONG_KEY', 'container was sealed under another key than this repository has for its epoch');
  }
  return {
    open(blockNumber, blockType, header, sealed) {
      const plain = openGcm(key, blockNonce(blockNumber), blockAad(header, blockNumber, blockType), sealed);
      if (plain === undefined) {
        throw new MoltError('DAMAGED', `block ${blockNumber} is not what was sealed`, {
          details: { blockNumber, blockType },
        });
      }
      return plain;
    },
  };
}

function deriveContainerKey(epochKey: KeyObject, context: SealContext, salt: Buffer): CommittedKey {
  const { kind, repositoryId, version = SEAL_VERSION } = context;
  if (salt.length !== SALT_BYTES) throw new Error('a salt is 32 bytes');
  if (repositoryId.length !== REPOSITORY_ID_BYTES) throw new Error('a repository id is 16 bytes');
  const kindByte = Buffer.alloc(1);
  kindByte.writeUInt8(kind);
  return deriveCommittedKey(
    epochKey,
    salt,
    Buffer.concat([Buffer.from(`molt/${version}`, 'ascii'), kindByte, repositoryId]),
  );
}

function drawSalt({ random, writer, pid, timeMs, firstBlock }: SealEntropy): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt32BE(pid, 0);
  fixed.writeBigUInt64BE(BigInt(Math.trunc(timeMs)), 4);
  return createHash('sha256')
    .update(random.bytes(32))
    .update(writer)
    .update(fixed)
    .update(hash('sha256', firstBlock, 'buffer'))
    .digest();
}

function blockNonce(blockNumber: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32BE(blockNumber, NONCE_BYTES - 4);
  return nonce;
}

function blockAad(header: Buffer, blockNumber: number, blockType: number): Buffer {
  const aad = Buffer.allocUnsafe(header.length + BLOCK_SUFFIX_BYTES);
  header.copy(aad);
  aad.writeUInt32BE(blockNumber, header.length);
  aad.writeUInt8(blockType, header.length + 4);
  return aad;
}
