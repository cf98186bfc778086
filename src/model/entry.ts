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

/** An open file that is to get a blob's content: an empty one, or one that has another blob's. */
export interface FileToFill {
  readonly descriptor: number;
  readonly blob: BlobId;
  /** How long the content must be. Runs of zeroes may be left out: whoever opened the file sets its length at the end. */
  readonly sizeBytes: number;
  /** An open file that probably has much of the same content at the same offsets: whatever of it is checked to be right is copied from there. */
  readonly likeness: number | undefined;
  /** The blob whose content the file has, for certain: only what differs from it is written. Undefined is an empty file. */
  readonly present?: BlobId | undefined;
  /** Called for each piece that was written. */
  wrote(bytes: number): void;
  /** Called once when the whole content is in the file. */
  finish(): void;
  /** Returns what a failure to write means for this file. */
  explain(error: unknown): unknown;
}

/** Gives the content of blobs back. Every byte is checked on its way. */
export interface BlobSource {
  /** Streams a blob in pieces of any size. */
  read(blob: BlobId): AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Takes a file to be filled, and resolves when the next may be given: many are filled at a time. Rejects when an earlier one failed. */
  fillFile(file: FileToFill): Promise<void>;
  /** Resolves when every file is filled; rejects with the first failure. */
  drain(): Promise<void>;
  /** Gives up what is not filled yet. After it nothing writes to any of the files. */
  stop(): Promise<void>;
}

/** Receives one file's bytes in order. */
export interface BlobWriter {
  /**
   * Takes the next bytes. They must be left alone until the next write has resolved, or the blob is finished or given up: a caller that
   * uses its memory again takes turns with two buffers.
   */
  write(bytes: Buffer): void | Promise<void>;
  /** Ends the blob and returns its Git id and size in bytes. */
  finish(): Promise<{ readonly id: BlobId; readonly sizeBytes: number }>;
  /** Gives the blob up; the writer can't be used after it. */
  abort(): void;
}

/** How a file's bytes are cut into chunks: by content, or at fixed 64 KiB (SQLite). */
export type Chunking = 'content' | 'fixed';
