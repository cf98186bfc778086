// The keys of an opened repository, derived once from its roots and held as key objects.

import type { KeyObject } from 'node:crypto';
import {
  deriveCacheKey,
  deriveCutKey,
  deriveEpochKey,
  deriveFingerprint,
  deriveIdKey,
  type RootKeys,
} from '../crypto/roots.ts';
import type { EpochKey, EpochKeys } from '../format/container.ts';

/** What an opened repository seals, opens and names with. */
export interface RepositoryKeys {
  readonly roots: RootKeys;
  readonly sealing: EpochKey;
  readonly epochKeys: EpochKeys;
  /** K_id, which makes chunk ids. */
  readonly idKey: KeyObject;
  /** K_cut, 32 bytes, which makes the gear table. */
  readonly cutKey: Buffer;
  /** Seals derived local files. */
  readonly cacheKey: KeyObject;
  /** The root's fingerprint, as printed at init. */
  readonly fingerprint: string;
}

/** Derives everything from the roots. */
export function deriveRepositoryKeys(roots: RootKeys): RepositoryKeys {
  const epochs = new Map<number, KeyObject>();
  const epochKeys: EpochKeys = (epoch) => {
    if (!roots.roots.has(epoch)) return undefined;
    const key = epochs.get(epoch) ?? deriveEpochKey(roots, epoch);
    epochs.set(epoch, key);
    return key;
  };
  return {
    roots,
    sealing: { epoch: roots.epoch, key: deriveEpochKey(roots) },
    epochKeys,
    idKey: deriveIdKey(roots),
    cutKey: deriveCutKey(roots).export(),
    cacheKey: deriveCacheKey(roots),
    fingerprint: deriveFingerprint(roots),
  };
}
