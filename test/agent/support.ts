// What the tests of src/agent share: the recorded states unpacked, and blobs kept in memory under their real Git ids.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, realpathSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestFn } from 'ava';
import { type CaptureContext, type CaptureOutcome, captureFile } from '../../src/agent/capture.ts';
import type { Profile, Root } from '../../src/agent/profile.ts';
import { type UserPatterns, loadRules } from '../../src/agent/rules.ts';
import { type ScanResult, type ScannedEntry, scan } from '../../src/agent/scan.ts';
import type { BlobSource, BlobWriter, Chunking } from '../../src/model/entry.ts';
import type { BlobId } from '../../src/model/ids.ts';

/** Makes a folder that is removed when the test file is done; each call makes another. */
export function tempFolders(test: TestFn): () => string {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'molt-agent-')));
  let made = 0;
  test.after.always(() => rmSync(base, { recursive: true, force: true }));
  return () => {
    made += 1;
    const dir = join(base, String(made));
    execFileSync('mkdir', ['-m', '700', dir]);
    return dir;
  };
}

/** Unpacks a recorded OpenClaw state into a folder and returns the state folder. */
export function unpackFixture(version: '2026.9.6' | '2026.5.28', dir: string): string {
  const archive = new URL(`../../fixtures/openclaw-${version}.tar.gz`, import.meta.url).pathname;
  execFileSync('tar', ['-xzf', archive, '-C', dir]);
  return join(dir, 'state');
}

/** Scans with the profile's own rules, and the user's patterns if given. */
export function scanRoots(
  profile: Profile,
  roots: readonly Root[],
  patterns: Partial<UserPatterns> = {},
  forbidden: string[] = [],
): ScanResult {
  const rules = loadRules(roots, { include: [], exclude: [], ...patterns });
  return scan({ roots, profile, rules, forbidden });
}

/** Keeps blobs in memory; `onWrite` runs with each piece before it is taken. */
export class MemoryBlobs {
  readonly blobs = new Map<BlobId, Buffer>();
  readonly opened: Chunking[] = [];
  aborted = 0;
  onWrite: (bytes: Buffer) => void | Promise<void> = () => {};

  readonly open = (chunking: Chunking, sizesBytes: readonly number[]): BlobWriter => {
    const parts: Buffer[] = [];
    this.opened.push(chunking);
    return {
      write: async (bytes) => {
        parts.push(Buffer.from(bytes));
        await this.onWrite(bytes);
      },
      finish: async () => {
        const content = Buffer.concat(parts);
        if (!sizesBytes.includes(content.length))
          throw new Error(`${content.length} is none of ${sizesBytes.join(', ')}`);
        const id = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex') as BlobId;
        this.blobs.set(id, content);
        return { id, sizeBytes: content.length };
      },
      abort: () => {
        this.aborted += 1;
      },
    };
  };

  readonly read = (id: BlobId): Buffer[] => [this.get(id)];

  get(id: BlobId): Buffer {
    const blob = this.blobs.get(id);
    if (blob === undefined) throw new Error(`no blob ${id}`);
    return blob;
  }
}

/** Returns a source that fills files from what `read` gives, one after the other. */
export function contentOf(read: BlobSource['read']): BlobSource {
  return {
    read,
    async fillFile(file) {
      let offset = 0;
      try {
        for await (const bytes of read(file.blob)) {
          writeSync(file.descriptor, bytes, 0, bytes.length, offset);
          offset += bytes.length;
          file.wrote(bytes.length);
        }
      } catch (error) {
        throw file.explain(error);
      }
      file.finish();
    },
    async drain() {},
    async stop() {},
  };
}

/** Returns a context with the real clock and all the time there is: on a busy machine nothing may fail for that. */
export function captureContext(tempDir: string, options: Partial<CaptureContext> = {}): CaptureContext {
  return { tempDir, clock: { now: () => Date.now() }, deadlineMs: Infinity, busyTimeoutMs: 600_000, ...options };
}

/** Captures an entry and returns its bytes; throws if it was not captured. */
export async function captureBytes(entry: ScannedEntry, context: CaptureContext): Promise<Buffer> {
  const blobs = new MemoryBlobs();
  const outcome = getCaptured(await captureFile(entry, blobs.open, context));
  return blobs.get(outcome.id);
}

/** Returns an outcome that is a capture; throws on any other. */
export function getCaptured(outcome: CaptureOutcome): Extract<CaptureOutcome, { status: 'captured' }> {
  if (outcome.status !== 'captured') throw new Error(`not captured: ${JSON.stringify(outcome)}`);
  return outcome;
}

/** Returns the entry with a path; throws if there is none. */
export function getEntry(result: ScanResult, path: string): ScannedEntry {
  const entry = result.entries.find((other) => other.path === path);
  if (entry === undefined)
    throw new Error(`no entry ${path} among ${result.entries.map((other) => other.path).join(' ')}`);
  return entry;
}
