// What one file-system entry of an agent is to molt, on its way in (scan) and out (rehydrate).

import type { Component } from './component.ts';
import type { BlobId } from './ids.ts';

/** The kinds of entry that molt keeps. Sockets, pipes and devices are reported and left out. */
export type EntryType = 'file' | 'directory' | 'symlink';

/** The attributes of one entry that a Git tree cannot hold. */
export interface EntryAttributes {
  /** Path in the commit tree, in escaped form (model/name.ts), `/` between names: `state/workspace/MEMORY.md`. */
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits, 0o000 to 0o7777. Always 0o777 for a symlink. */
  readonly mode: number;
  /** Modification time in nanoseconds since the Unix epoch; may be negative. */
  readonly mtimeNs: bigint;
  readonly component: Component;
  /** The profile marked the content as a secret. */
  readonly secret: boolean;
  /** Entries with the same number, from 1, are hard links to one file; 0 is none. */
  readonly linkGroup: number;
}

/** One entry to be written by a restore: its attributes and where its bytes come from. */
export interface RestoreEntry extends EntryAttributes {
  /** The content of a file, or the target of a symlink; undefined for a directory. */
  readonly blob: BlobId | undefined;
  readonly sizeBytes: number;
}

/** A path that could not be captured, and why. Its last good version, if there is one, stays in the commit. */
export interface SkippedPath {
  readonly path: string;
  readonly reason: string;
  /** The commit still holds an older version of it. */
  readonly kept: boolean;
}

/** Receives one file's bytes in order. */
export interface BlobWriter {
  /** Takes the next bytes; the writer copies what it keeps, so the caller may reuse the buffer after the promise resolves. */
  write(bytes: Buffer): void | Promise<void>;
  /** Ends the blob and returns its Git id and size in bytes. */
  finish(): Promise<{ readonly id: BlobId; readonly sizeBytes: number }>;
  /** Gives the blob up; the writer can't be used after it. */
  abort(): void;
}

/** How a file's bytes are cut into chunks: by content, or at fixed 64 KiB (SQLite). */
export type Chunking = 'content' | 'fixed';
