// The worker thread of FileFiller: opens the storage's folder for itself, or is handed what it needs of another one, and fills files.

import type { KeyObject } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { MoltErrorOptions } from '../model/error.ts';
import { isMoltError, type ErrorCode } from '../model/error.ts';
import type { RepositoryId, StorageId } from '../model/ids.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { CACHES, Containers } from './containers.ts';
import { fillChunks, FillError, type PlannedChunk } from './fill.ts';
import { HandedStorage, type Piece } from './handed-storage.ts';

/** What a worker is started with. */
export interface FillSetup {
  /** What the storage is called. */
  readonly label: string;
  /** The storage is the folder of that name; else each batch brings its pieces. */
  readonly isFolder: boolean;
  readonly repositoryId: RepositoryId;
  readonly storageId: StorageId;
  readonly epochKeys: ReadonlyMap<number, KeyObject>;
  readonly idKey: KeyObject;
}

/** What a worker does in one go. */
export interface FillBatch {
  readonly chunks: readonly PlannedChunk[];
  /** The blocks of the chunks and of their bases, with the headers of their containers; empty where the storage is a folder. */
  readonly pieces: readonly Piece[];
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

/** A worker keeps the blocks of one batch. */
const WORKER_CACHES = { ...CACHES, blocksBytes: 8 << 20 };

if (parentPort !== null) serve(parentPort, workerData as FillSetup);

function serve(port: NonNullable<typeof parentPort>, setup: FillSetup): void {
  const { label, isFolder, repositoryId, storageId, epochKeys, idKey } = setup;
  const handed = new HandedStorage(label);
  const opened = (async () => {
    const storage = isFolder ? await DirectoryStorage.open(label) : handed;
    return new Containers(storage, { repositoryId, storageId }, (epoch) => epochKeys.get(epoch), WORKER_CACHES);
  })();
  // The first batch says why it can't be opened.
  opened.catch(() => undefined);
  let turn: Promise<unknown> = opened.catch(() => undefined);
  port.on('message', ({ chunks, pieces }: FillBatch) => {
    // One batch after the other: each has its own pieces.
    turn = turn.then(async () => {
      const answer = await fillBatch(chunks, pieces).then(() => undefined, describe);
      port.postMessage(answer satisfies FillAnswer);
    });
  });

  async function fillBatch(chunks: readonly PlannedChunk[], pieces: readonly Piece[]): Promise<void> {
    const containers = await opened;
    handed.hand(pieces);
    await fillChunks(containers, idKey, chunks).finally(() => containers.dropBlocks());
  }
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
