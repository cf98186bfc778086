// Loaded into a real molt with --import: tells its parent, on descriptor 3, of each operation that changes a file system, as it begins
// (`+`) and as it has ended (`-`), and of each fsync (`f` when it has ended). So the parent can kill it between any two, and knows when
// it did. With MOLT_KILL_AT=n the process kills itself in its nth such operation: before it, or in the middle of a write.

import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { promisify } from 'node:util';
import { isMainThread } from 'node:worker_threads';

// oxlint-disable-next-line typescript/no-explicit-any -- Node's functions, wrapped one like the other
type Any = any;

const root = process.env['MOLT_KILL_ROOT'] ?? '';
const killAt = Number(process.env['MOLT_KILL_AT'] ?? 0);
const real = { ...fs };
let count = 0;

function isWatched(what: Any): boolean {
  if (typeof what === 'number') return real.readlinkSync(`/proc/self/fd/${what}`).startsWith(root);
  return String(what).startsWith(root);
}

function begin(partly: () => void = () => {}): void {
  count += 1;
  real.writeSync(3, '+');
  if (count !== killAt) return;
  partly();
  process.kill(process.pid, 'SIGKILL');
}

/** Runs an operation and tells of it. */
function tell<T>(what: Any, mark: string, action: () => T, partly?: () => void): T {
  if (!isWatched(what)) return action();
  begin(partly);
  const result = action();
  real.writeSync(3, mark);
  return result;
}

function install(): void {
  const target = fs as Any;
  for (const name of [
    'mkdir',
    'unlink',
    'rm',
    'rmdir',
    'rename',
    'link',
    'symlink',
    'chmod',
    'copyFile',
    'fsync',
    'ftruncate',
  ]) {
    const sync = target[`${name}Sync`];
    target[`${name}Sync`] = (what: Any, ...args: Any[]) =>
      tell(what, name === 'fsync' ? 'f' : '-', () => sync(what, ...args));
    const later = (fsp as Any)[name];
    if (later === undefined) continue;
    (fsp as Any)[name] = async (what: Any, ...args: Any[]) => {
      if (!isWatched(what)) return later(what, ...args);
      begin();
      const result = await later(what, ...args);
      real.writeSync(3, '-');
      return result;
    };
  }
  const writev = (descriptor: number, parts: readonly Uint8Array[]): number =>
    tell(
      descriptor,
      '-',
      () => real.writevSync(descriptor, parts),
      () => {
        const bytes = Buffer.concat(parts);
        real.writeSync(descriptor, bytes, 0, bytes.length >> 1);
      },
    );
  target.writevSync = writev;
  target.writeSync = (descriptor: number, ...args: Any[]) =>
    tell(descriptor, '-', () => (real.writeSync as Any)(descriptor, ...args));
  target.writev = Object.assign(() => undefined, {
    [promisify.custom]: async (descriptor: number, parts: readonly Uint8Array[]) => ({
      bytesWritten: writev(descriptor, parts),
    }),
  });
  target.fsync = Object.assign(() => undefined, {
    [promisify.custom]: async (descriptor: number) => target.fsyncSync(descriptor),
  });
  const { open } = fsp;
  (fsp as Any).open = async (path: Any, ...args: Any[]) => {
    const handle = await (open as Any)(path, ...args);
    if (!isWatched(path)) return handle;
    const { sync, writeFile } = handle;
    handle.sync = async () => {
      begin();
      await sync.call(handle);
      real.writeSync(3, 'f');
    };
    handle.writeFile = async (bytes: Any) => {
      begin();
      await writeFile.call(handle, bytes);
      real.writeSync(3, '-');
    };
    return handle;
  };
  syncBuiltinESMExports();
}

if (isMainThread && root !== '') install();
