// Finds out, once for all questions about a restored OpenClaw state, by which names its configuration and its databases know its folders.

import { findInside } from './inside.ts';
import { MovedPaths } from './moved-paths.ts';
import { SHARED_PATH } from './openclaw-files.ts';
import { findAliases } from './openclaw-paths.ts';
import { type CapturedConfig, findPartialRoots, readCapturedConfig } from './openclaw-roots.ts';
import { readDatabase } from './read-database.ts';
import type { Relocation } from './revival.ts';

/** What is known of the folders of a captured state. */
export interface OpenClawPlaces {
  readonly relocation: Relocation;
  readonly paths: MovedPaths;
  readonly config: CapturedConfig;
  /** What OpenClaw may have been told that its state folder is, the likeliest first. */
  readonly stateNames: readonly string[];
}

/**
 * Reads the names.
 * @throws {MoltError} HOSTILE, DAMAGED, IO
 */
export async function readPlaces(relocation: Relocation): Promise<OpenClawPlaces> {
  const real = findInside(relocation.to, SHARED_PATH);
  const aliases =
    real === undefined
      ? new Map<string, string>()
      : await readDatabase(real, SHARED_PATH, (one) => findAliases(one, relocation));
  // Where nothing is moved, other names led there before and do again.
  const isMoved = [...relocation.from].some(([key, dir]) => (relocation.to.get(key) ?? dir) !== dir);
  const rewritten = isMoved ? aliases : new Map<string, string>();
  const plain = new MovedPaths(relocation, rewritten);
  const config = await readCapturedConfig(plain);
  const state = relocation.from.get('state') ?? '';
  return {
    relocation,
    paths: new MovedPaths(relocation, rewritten, findPartialRoots(config, plain)),
    config,
    stateNames: [state, ...[...aliases].filter(([, dir]) => dir === state).map(([alias]) => alias)],
  };
}
