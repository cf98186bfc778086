// The worker thread of FileFiller: opens the storage's folder for itself, and fills files from it.

import type { KeyObject } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { MoltErrorOptions } from '../model/error.ts';
import { isMoltError, type ErrorCode } from '../model/error.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { Containers } from './containers.ts';
import { fillChunks, FillError, type PlannedChunk } from './fill.ts';

/** What a worker is started with. */
export interface FillSetup {
  /** The folder of the storage. */
  readonly dir: string;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
  readonly epochKeys: ReadonlyMap<number, KeyObject>;
  readonly idKey: KeyObject;
}

/** What a worker says of each batch, in the order in which they came: undefined is success. */
export type FillAnswer = FillFailure | undefined;

/** An error as plain data: classes don't survive the way between threads. */
export interface FillFailure {
  readonly message: string;
  readonly molt: { readonly code: ErrorCode; readonly options: Pick<MoltErrorOptions, 'hint' | 'details'> } | undefined;
  /** Of the file that could not be written. */
  readonly descriptor: number | undefined;
  readonly system: { readonly code: string | undefined; readonly syscall: string | undefined };
  readonly stack: string | undefined;
}

/** Decoded blocks that a worker keeps during one batch. */
const BLOCK_CACHE_BYTES = 8 << 20;

if (parentPort !== null) serve(parentPort, workerData as FillSetup);

function serve(port: NonNullable<typeof parentPort>, setup: FillSetup): void {
  const { dir, repositoryId, storageId, epochKeys, idKey } = setup;
  const opened = DirectoryStorage.open(dir).then(
    (storage) =>
      new Containers(storage, { repositoryId, storageId }, (epoch) => epochKeys.get(epoch), BLOCK_CACHE_BYTES),
  );
  // The first batch says why it can't be opened.
  opened.catch(() => undefined);
  port.on('message', (chunks: readonly PlannedChunk[]) => {
    opened
      .then((containers) => fillChunks(containers, idKey, chunks).finally(() => containers.dropBlocks()))
      .then(
        () => port.postMessage(undefined satisfies FillAnswer),
        (error: unknown) => port.postMessage(describe(error) satisfies FillAnswer),
      );
  });
}

function describe(error: unknown): FillFailure {
  const descriptor = error instanceof FillError ? error.descriptor : undefined;
  const inner = error instanceof FillError ? error.cause : error;
  const { message, code, syscall, stack } = (
    inner instanceof Error ? inner : new Error(String(inner))
  ) as NodeJS.ErrnoException;
  const molt = isMoltError(inner)
    ? { code: inner.code, options: { details: inner.details, ...(inner.hint !== undefined && { hint: inner.hint }) } }
    : undefined;
  return { message, molt, descriptor, system: { code, syscall }, stack };
}
