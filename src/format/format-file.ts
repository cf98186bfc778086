// format.json, the first object of every storage (FORMAT.md, "format.json"): which repository this is, and in which format.

import { MoltError } from '../model/error.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import { FORMAT_VERSION } from './layout.ts';

/** The name of the file. */
export const FORMAT_FILE = 'format.json';

// Anybody can write this file, and JSON takes fifty times its length in memory when it is made to.
const MAX_BYTES = 4096;

/** What format.json says. */
export interface FormatFile {
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
}

/** Encodes format.json. */
export function encodeFormatFile(format: FormatFile): Buffer {
  const value = {
    molt: 'repository',
    version: FORMAT_VERSION,
    repository: format.repositoryId,
    storage: format.storageId,
  };
  return Buffer.from(`${JSON.stringify(value)}\n`, 'utf8');
}

/**
 * Parses format.json.
 * @throws {MoltError} NEWER_FORMAT when a newer molt wrote it, DAMAGED when no molt did
 */
export function parseFormatFile(bytes: Buffer, label: string): FormatFile {
  const value = parseObject(bytes, label);
  if (value['molt'] !== 'repository' || !Number.isSafeInteger(value['version']) || Number(value['version']) < 1) {
    throw new MoltError('DAMAGED', `${FORMAT_FILE} in ${label} does not describe a molt repository`);
  }
  if (value['version'] !== FORMAT_VERSION) {
    throw new MoltError(
      'NEWER_FORMAT',
      `${label} is in format version ${value['version']}; this molt reads version ${FORMAT_VERSION}`,
      {
        hint: 'install a newer molt; nothing was changed',
      },
    );
  }
  const { repository, storage } = value;
  if (!isId(repository) || !isId(storage))
    throw new MoltError('DAMAGED', `${FORMAT_FILE} in ${label} has no valid ids`);
  return { repositoryId: repository as RepositoryId, storageId: storage as StorageId };
}

function parseObject(bytes: Buffer, label: string): Record<string, unknown> {
  if (bytes.length > MAX_BYTES) throw new MoltError('DAMAGED', `${FORMAT_FILE} in ${label} is ${bytes.length} bytes`);
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (cause) {
    throw new MoltError('DAMAGED', `${FORMAT_FILE} in ${label} is not JSON`, { cause });
  }
  throw new MoltError('DAMAGED', `${FORMAT_FILE} in ${label} is not an object`);
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value) && !/^0+$/.test(value);
}
