// Node's file system functions, made to fail on purpose below one folder: molt's own code runs unchanged on top of them. Knows at any
// moment what of that folder would survive a power cut: the content of a file as of its last fsync, the names in a folder as of that
// folder's last fsync, and nothing else.
//
// Must be imported before molt's modules are.

import child from 'node:child_process';
import fs from 'node:fs';
import fsp, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';

/**
 * How an operation of the file system fails. `error`: the system refuses it. `full`: a write stores a part of its bytes, and then it
 * and all later ones find the disk full. `short`: a write stores a part and says so. `death`: the process ends before it. `torn`:
 * the process ends in the middle of a write. `power cut`: the process ends, and all that was not flushed is lost; `power cut, some
 * kept`: of what was not flushed a random part is there, in any order, as file systems may have it.
 */
export const FAULTS = ['error', 'full', 'short', 'death', 'torn', 'power cut', 'power cut, some kept'] as const;
export type Fault = (typeof FAULTS)[number];

/** Thrown in place of a process's end. */
export class ProcessDeath extends Error {}

type Kind = 'read' | 'change' | 'write' | 'flush';
interface Name {
  readonly ino: number;
  readonly type: 'file' | 'folder' | 'link';
  readonly mode: number;
  readonly target: string;
}
/** What a file or a folder holds. */
type Content = Buffer | Map<string, Name>;

const real = { ...fs };
const realPromises = { ...fsp };
let session: FaultSession | undefined;

/** One run of an operation with the file system under watch. */
export class FaultSession {
  readonly root: string;
  readonly operations: string[] = [];
  struck = false;
  readonly #fault: { readonly at: number; readonly kind: Fault } | undefined;
  readonly #random: () => number;
  readonly #durable = new Map<number, Content>();
  readonly #descriptors = new Map<number, string>();
  /** Keeps the inode numbers of deleted files from being given anew. */
  readonly #held: number[] = [];
  #dead = false;
  #full = false;
  #looking = false;

  /** @param root everything in it counts as flushed now */
  constructor(root: string, random: () => number, fault?: { readonly at: number; readonly kind: Fault }) {
    this.root = root;
    this.#random = random;
    this.#fault = fault;
    this.#flushTree(root);
  }

  /** Runs an action under watch; returns what it threw. */
  async run(action: () => Promise<void>): Promise<unknown> {
    // oxlint-disable-next-line typescript/no-this-alias -- the hooks look for it
    session = this;
    try {
      await action();
      return undefined;
    } catch (error) {
      return error;
    } finally {
      session = undefined;
    }
  }

  /** Makes in a new folder what is left of the root after a power cut. */
  cutPower(into: string, keepsSome: boolean): void {
    const places = new Map<number, string>();
    this.#locate(this.root, places);
    this.#rebuild(inodeOf(this.root), into, places, keepsSome);
    for (const descriptor of this.#held) real.closeSync(descriptor);
  }

  /** The process has ended, in one way or the other. */
  get isDead(): boolean {
    return this.#dead;
  }

  watches(path: unknown): boolean {
    const text = typeof path === 'string' ? path : Buffer.isBuffer(path) ? path.toString() : '';
    return text === this.root || text.startsWith(`${this.root}/`);
  }

  pathOf(descriptor: number): string | undefined {
    return this.#descriptors.get(descriptor);
  }

  opened(descriptor: number, path: string | Buffer): void {
    this.#descriptors.set(descriptor, String(path));
  }

  closed(descriptor: number): void {
    this.#descriptors.delete(descriptor);
  }

  /** Counts an operation; throws if it fails, returns the share of the bytes that a write stores. */
  step(kind: Kind, what: string, path: string): number {
    // Node's own functions are made of others, which are hooked too.
    if (this.#looking) return 1;
    if (this.#dead) throw new ProcessDeath('the process is dead');
    if (this.#full && kind === 'write') throw systemError('ENOSPC', what, path);
    this.operations.push(`${kind}: ${what} ${relative(this.root, path)}`);
    if (this.#fault?.at !== this.operations.length) return 1;
    const fault = this.#fault.kind;
    this.struck = fault === 'error' || kind === 'write' || !['full', 'short', 'torn'].includes(fault);
    if (!this.struck) return 1;
    if (fault === 'error') throw systemError(kind === 'read' || kind === 'flush' ? 'EIO' : 'ENOSPC', what, path);
    if (fault === 'full') this.#full = true;
    if (['full', 'short', 'torn'].includes(fault)) return this.#random();
    this.#dead = true;
    throw new ProcessDeath('the process is dead');
  }

  /** Ends a write that stored a part of its bytes: with a fault that says so, or not. */
  endPart(what: string, path: string): void {
    if (this.#fault?.kind === 'full') throw systemError('ENOSPC', what, path);
    if (this.#fault?.kind !== 'torn') return;
    this.#dead = true;
    throw new ProcessDeath('the process is dead');
  }

  flushed(descriptor: number): void {
    this.#look(() => {
      const stat = real.fstatSync(descriptor);
      const place = `/proc/self/fd/${descriptor}`;
      this.#durable.set(stat.ino, stat.isDirectory() ? namesIn(place) : real.readFileSync(place));
    });
  }

  flushedAll(): void {
    this.#look(() => this.#flushTree(this.root));
  }

  /** Is told of a path whose name is about to go away. */
  losing(path: string): void {
    this.#look(() => this.#hold(path));
  }

  #look(action: () => void): void {
    this.#looking = true;
    try {
      action();
    } finally {
      this.#looking = false;
    }
  }

  #hold(path: string): void {
    const stat = real.lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined || stat.isSymbolicLink()) return;
    if (stat.isDirectory()) for (const name of real.readdirSync(path)) this.#hold(join(path, name));
    try {
      this.#held.push(real.openSync(path, 'r'));
    } catch {
      return;
    }
  }

  #flushTree(path: string): void {
    const stat = real.lstatSync(path);
    if (stat.isFile()) this.#durable.set(stat.ino, real.readFileSync(path));
    if (!stat.isDirectory()) return;
    const names = namesIn(path);
    this.#durable.set(stat.ino, names);
    for (const name of names.keys()) this.#flushTree(join(path, name));
  }

  #locate(path: string, places: Map<number, string>): void {
    const stat = real.lstatSync(path);
    places.set(stat.ino, path);
    if (stat.isDirectory()) for (const name of real.readdirSync(path)) this.#locate(join(path, name), places);
  }

  #rebuild(ino: number, into: string, places: ReadonlyMap<number, string>, keepsSome: boolean): void {
    real.mkdirSync(into, { mode: 0o700 });
    const durable = this.#durable.get(ino);
    const before = durable instanceof Map ? durable : new Map<string, Name>();
    const place = places.get(ino);
    const now = place === undefined ? before : namesIn(place);
    for (const key of new Set([...before.keys(), ...now.keys()])) {
      const name = (keepsSome && this.#random() < 0.5 ? now : before).get(key);
      if (name === undefined) continue;
      const path = join(into, key);
      if (name.type === 'folder') this.#rebuild(name.ino, path, places, keepsSome);
      else if (name.type === 'link') real.symlinkSync(name.target, path);
      else real.writeFileSync(path, this.#contentOf(name.ino, places, keepsSome), { mode: name.mode & 0o777 });
    }
  }

  #contentOf(ino: number, places: ReadonlyMap<number, string>, keepsSome: boolean): Buffer {
    const known = this.#durable.get(ino);
    const durable = known instanceof Buffer ? known : Buffer.alloc(0);
    const place = places.get(ino);
    if (!keepsSome || place === undefined) return durable;
    const now = real.readFileSync(place);
    if (now.equals(durable)) return durable;
    const cut = Math.floor(this.#random() * (now.length + 1));
    // Nothing of what was written since, all of it, a part, or its length without its content.
    const kept = [
      durable,
      now,
      now.subarray(0, cut),
      Buffer.concat([now.subarray(0, cut), Buffer.alloc(now.length - cut)]),
    ];
    return kept[Math.floor(this.#random() * kept.length)] ?? durable;
  }
}

function inodeOf(path: string): number {
  return real.lstatSync(path).ino;
}

function namesIn(dir: string): Map<string, Name> {
  const names = new Map<string, Name>();
  for (const name of real.readdirSync(dir)) {
    const stat = real.lstatSync(join(dir, name));
    const type = stat.isDirectory() ? 'folder' : stat.isSymbolicLink() ? 'link' : 'file';
    const target = type === 'link' ? real.readlinkSync(join(dir, name)) : '';
    names.set(name, { ino: stat.ino, type, mode: stat.mode, target });
  }
  return names;
}

function systemError(code: string, syscall: string, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${syscall} '${path}'`), { code, syscall, path, errno: -1 });
}

// ---- the hooks ----

// oxlint-disable-next-line typescript/no-explicit-any -- Node's functions, wrapped one like the other
type Any = any;
const target = fs as Any;
const targetPromises = fsp as Any;

/** Wraps a function whose first argument, or first two, are paths. */
function wrap(name: string, kind: Kind, paths: 1 | 2 = 1, loses: readonly number[] = []): void {
  const hook = (args: Any[]): void => {
    const path = args.slice(0, paths).find((arg) => session?.watches(arg));
    if (session === undefined || path === undefined) return;
    session.step(kind, name, String(path));
    for (const index of loses) session.losing(String(args[index]));
  };
  const sync = target[`${name}Sync`];
  target[`${name}Sync`] = (...args: Any[]) => {
    hook(args);
    return sync(...args);
  };
  const later = targetPromises[name];
  if (later === undefined) return;
  targetPromises[name] = async (...args: Any[]) => {
    hook(args);
    return later(...args);
  };
}

for (const name of ['mkdir', 'symlink', 'chmod', 'utimes', 'lutimes', 'mkdtemp']) wrap(name, 'change');
wrap('unlink', 'change', 1, [0]);
wrap('rm', 'change', 1, [0]);
wrap('rmdir', 'change', 1, [0]);
wrap('rename', 'change', 2, [1]);
wrap('link', 'change', 2);
wrap('copyFile', 'change', 2);
wrap('readFile', 'read');
wrap('readdir', 'read');

const isWriting = (flags: Any): boolean =>
  typeof flags === 'number'
    ? (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR | fs.constants.O_CREAT)) !== 0
    : /[wa+]/.test(flags ?? 'r');

target.openSync = (path: Any, flags: Any, mode: Any) => {
  if (session?.watches(path) !== true) return real.openSync(path, flags, mode);
  session.step(isWriting(flags) ? 'change' : 'read', 'open', String(path));
  const descriptor = real.openSync(path, flags, mode);
  session.opened(descriptor, path);
  return descriptor;
};
target.closeSync = (descriptor: number) => {
  session?.closed(descriptor);
  real.closeSync(descriptor);
};
target.readSync = (descriptor: number, ...args: Any[]) => {
  const path = session?.pathOf(descriptor);
  if (path !== undefined) session?.step('read', 'read', path);
  return (real.readSync as Any)(descriptor, ...args);
};
target.fsyncSync = (descriptor: number) => {
  const path = session?.pathOf(descriptor);
  if (path !== undefined) session?.step('flush', 'fsync', path);
  real.fsyncSync(descriptor);
  if (path !== undefined) session?.flushed(descriptor);
};
for (const name of ['fchmodSync', 'ftruncateSync', 'futimesSync'] as const) {
  target[name] = (descriptor: number, ...args: Any[]) => {
    const path = session?.pathOf(descriptor);
    if (path !== undefined) session?.step('change', name, path);
    return (real[name] as Any)(descriptor, ...args);
  };
}
target.writeSync = (descriptor: number, bytes: Any, ...args: Any[]) => {
  const path = session?.pathOf(descriptor);
  const share = path === undefined ? 1 : (session?.step('write', 'write', path) ?? 1);
  if (share === 1 || path === undefined || typeof bytes === 'string')
    return (real.writeSync as Any)(descriptor, bytes, ...args);
  const [offset = 0, length = bytes.length - offset, position = null] = args;
  const written = real.writeSync(descriptor, bytes, offset, Math.max(1, Math.floor(length * share)), position);
  session?.endPart('write', path);
  return written;
};
const writePart = (descriptor: number, parts: readonly Uint8Array[]): number => {
  const path = session?.pathOf(descriptor);
  const share = path === undefined ? 1 : (session?.step('write', 'writev', path) ?? 1);
  if (share === 1 || path === undefined) return real.writevSync(descriptor, parts);
  const all = Buffer.concat(parts);
  const written = real.writeSync(descriptor, all, 0, Math.max(1, Math.floor(all.length * share)));
  session?.endPart('writev', path);
  return written;
};
target.writevSync = writePart;
// molt uses these two through promisify alone.
target.writev = Object.assign(() => undefined, {
  [promisify.custom]: async (descriptor: number, parts: readonly Uint8Array[]) => ({
    bytesWritten: writePart(descriptor, parts),
  }),
});
target.fsync = Object.assign(() => undefined, {
  [promisify.custom]: async (descriptor: number) => target.fsyncSync(descriptor),
});
targetPromises.writeFile = async (path: Any, bytes: Any, options: Any) => {
  if (session?.watches(path) !== true) return realPromises.writeFile(path, bytes, options);
  session.step('change', 'open', path);
  const share = session.step('write', 'writeFile', path);
  const all = Buffer.from(bytes);
  await realPromises.writeFile(path, share === 1 ? all : all.subarray(0, Math.floor(all.length * share)), options);
  // Node repeats a short write by itself.
  if (share !== 1) session.endPart('writeFile', path);
  if (share !== 1) real.appendFileSync(path, all.subarray(Math.floor(all.length * share)));
};
targetPromises.open = async (path: Any, flags: Any, mode: Any) => {
  const watched = session?.watches(path) === true;
  if (watched) session?.step(isWriting(flags) ? 'change' : 'read', 'open', path);
  const handle = await realPromises.open(path, flags, mode);
  if (!watched) return handle;
  return wrapHandle(handle, path);
};

function wrapHandle(handle: FileHandle, path: string): FileHandle {
  const own = handle as Any;
  const { sync, writeFile } = handle;
  own.sync = async () => {
    session?.step('flush', 'fsync', path);
    await sync.call(handle);
    session?.flushed(handle.fd);
  };
  own.writeFile = async (bytes: Any) => {
    const share = session?.step('write', 'writeFile', path) ?? 1;
    const all = Buffer.from(bytes);
    if (share === 1) return writeFile.call(handle, all);
    const cut = Math.floor(all.length * share);
    await writeFile.call(handle, all.subarray(0, cut));
    session?.endPart('writeFile', path);
    return writeFile.call(handle, all.subarray(cut));
  };
  return handle;
}

const execFile = child.execFile as Any;
(child as Any).execFile = Object.assign((...args: Any[]) => execFile(...args), {
  [promisify.custom]: async (file: string, args: readonly string[], options: Any) => {
    const path = args.at(-1) ?? '';
    const flushes = file === 'sync' && session?.watches(path) === true;
    if (flushes) session?.step('flush', 'syncfs', dirname(path));
    const result = await promisify(execFile)(file, args, options);
    if (flushes) session?.flushedAll();
    return result;
  },
});

syncBuiltinESMExports();
