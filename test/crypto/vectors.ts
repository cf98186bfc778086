// Molt's own test vectors, fixtures/vectors/crypto.json: the inputs are in the file beside the outputs, so that another implementation
// can check itself. Bytes are in hex; `random` is what the source of randomness gives out, in order. They never change.

import { readFileSync } from 'node:fs';
import type { SlotArgon2 } from '../../src/crypto/slot.ts';

/** A slot or keyring secret as the fixture spells it. */
export interface VectorSecret {
  readonly type: 'passphrase' | 'recovery' | 'device';
  readonly passphrase?: string;
  readonly key?: string;
}

/** The fixture. */
export interface CryptoVectors {
  readonly roots: {
    readonly roots: readonly string[];
    readonly idKey: string;
    readonly cutKey: string;
    readonly logKey: string;
    readonly cacheKey: string;
    /** Of each epoch, from 1. */
    readonly epochKeys: readonly string[];
    /** Of each epoch, from 1. */
    readonly keyringMacKeys: readonly string[];
    readonly fingerprint: string;
  };
  readonly seal: {
    readonly epochKey: string;
    readonly kind: number;
    readonly repositoryId: string;
    readonly random: string;
    readonly writer: string;
    readonly pid: number;
    readonly timeMs: number;
    readonly firstBlock: string;
    readonly salt: string;
    readonly commitment: string;
    readonly header: string;
    readonly blocks: readonly {
      readonly number: number;
      readonly type: number;
      readonly plain: string;
      readonly sealed: string;
    }[];
  };
  readonly ids: readonly {
    readonly idKey: string;
    readonly bytes: string;
    readonly chunkId: string;
    readonly chunkListId: string;
  }[];
  readonly slots: readonly {
    readonly repository: string;
    readonly epoch: number;
    readonly root: string;
    readonly secret: VectorSecret;
    readonly random: string;
    readonly timeMs: number;
    readonly slot: {
      readonly id: string;
      readonly type: 'passphrase' | 'recovery' | 'device';
      readonly label: string;
      readonly created: string;
      readonly epoch: number;
      readonly salt: string;
      readonly commitment: string;
      readonly wrapped: string;
      readonly argon2?: SlotArgon2;
    };
  }[];
  readonly recoveryKeys: readonly { readonly key: string; readonly text: string }[];
  readonly deviceKeys: readonly { readonly key: string; readonly text: string }[];
  readonly keyrings: readonly {
    readonly repository: string;
    readonly roots: readonly string[];
    readonly generation: number;
    /** What the predecessors draw; empty in epoch 1. */
    readonly random: string;
    readonly timeMs: number;
    readonly secrets: readonly VectorSecret[];
    /** The whole file. */
    readonly text: string;
  }[];
}

/** The vectors as they stand in the fixture. */
export const cryptoVectors = JSON.parse(
  readFileSync(new URL('../../fixtures/vectors/crypto.json', import.meta.url), 'utf8'),
) as CryptoVectors;

/** Returns the bytes behind hex. */
export function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

/** Returns the roots of a list, whose last is the current one. */
export function vectorRoots(roots: readonly string[]): { epoch: number; roots: Map<number, Buffer> } {
  return { epoch: roots.length, roots: new Map(roots.map((root, index) => [index + 1, hex(root)])) };
}

/** Returns a secret of the fixture as code takes it. */
export function vectorSecret(
  secret: VectorSecret,
): { type: 'passphrase'; passphrase: string } | { type: 'recovery' | 'device'; key: Buffer } {
  if (secret.type === 'passphrase') return { type: 'passphrase', passphrase: secret.passphrase ?? '' };
  return { type: secret.type, key: hex(secret.key ?? '') };
}
