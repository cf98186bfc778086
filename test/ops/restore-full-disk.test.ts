// A disk that fills at any step of a restore into or of a pod: a real one, mounted for the test. What runs goes on, what was there is
// there, the message says where; and with space again the same ends right.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { unforeseenFailure } from '../../src/model/system-error.ts';
import { endpointOf, getPod } from '../../src/ops/pod-look.ts';
import { listPods, stopPod } from '../../src/ops/pods.ts';
import { askNotes, makePodded, readNotes, tellNote } from './podded.ts';
import { expectBack, makeCopy, restoreIt, WAYS } from './podded-copy.ts';
import { stepping } from './steps.ts';

/** Large enough for the agent, its history and two generations. */
const SIZE = '64m';

/** Mounts a small disk until the test ends; undefined where that is not allowed. */
function mountDisk(t: ExecutionContext): string | undefined {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-disk-')));
  const isMounted =
    process.platform === 'linux' &&
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=700`, 'molt-test', dir]).status === 0;
  t.teardown(() => {
    // What still runs of a pod ends at the same time.
    if (isMounted) spawnSync('umount', ['--lazy', dir]);
    rmSync(dir, { recursive: true, force: true });
  });
  return isMounted ? dir : undefined;
}

/** Fills a disk to its last block. */
function fill(disk: string): void {
  const descriptor = openSync(join(disk, 'filler'), 'a');
  for (const sizeBytes of [1 << 20, 4096]) {
    try {
      for (;;) writeSync(descriptor, Buffer.alloc(sizeBytes));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
  }
  closeSync(descriptor);
}

function empty(disk: string): void {
  rmSync(join(disk, 'filler'), { force: true });
}
