// A file system for isomorphic-git whose .git folder is this repository: objects are read from it, and refs are the log's.

import { deflateSync } from 'node:zlib';
import type { PromiseFsClient } from 'isomorphic-git';
import type { GitId } from '../model/ids.ts';
import type { GitType } from './objects.ts';
import type { Repository } from './repository.ts';

/** Where the repository seems to be. */
export const GIT_DIR = '/molt';

const LOOSE = /^\/molt\/objects\/([0-9a-f]{2})\/([0-9a-f]{38})$/;
/** Makes the file system; it can't be written. */
export function createGitFs(repository: Repository): PromiseFsClient {
  const read = async (path: string): Promise<Buffer> => {
    const object = await readLoose(repository, path);
    if (object !== undefined) return object;
    const ref = repository.refs.get(path.slice(GIT_DIR.length + 1));
    if (ref !== undefined) return Buffer.from(`${ref}\n`, 'latin1');
    throw absent(path);
  };
  const exists = async (path: string): Promise<boolean> => {
    if (path === GIT_DIR) return true;
    return read(path).then(
      () => true,
      () => false,
    );
  };
  return {
    promises: {
      readFile: async (path: string, options?: { encoding?: string } | string) => {
        const bytes = await read(path);
        const encoding = typeof options === 'string' ? options : options?.encoding;
        return encoding === undefined ? bytes : bytes.toString('utf8');
      },
      writeFile: async (path: string) => {
        throw new Error(`isomorphic-git tried to write ${path}`);
      },
      stat: async (path: string) => {
        if (!(await exists(path))) throw absent(path);
        return stats(path === GIT_DIR);
      },
      lstat: async (path: string) => {
        if (!(await exists(path))) throw absent(path);
        return stats(path === GIT_DIR);
      },
      mkdir: async () => undefined,
      rmdir: async () => undefined,
      unlink: async (path: string) => {
        throw absent(path);
      },
      readdir: async () => [],
      readlink: async (path: string) => {
        throw absent(path);
      },
      symlink: async () => undefined,
      chmod: async () => undefined,
    },
  };
}

async function readLoose(repository: Repository, path: string): Promise<Buffer | undefined> {
  const match = LOOSE.exec(path);
  if (match === null) return undefined;
  const found = await repository.objects.findGit(`${match[1]}${match[2]}` as GitId);
  if (found === undefined) throw absent(path);
  return wrap(found.type, found.content);
}

function wrap(type: GitType, content: Buffer): Buffer {
  return deflateSync(Buffer.concat([Buffer.from(`${type} ${content.length}\0`, 'latin1'), content]), { level: 0 });
}

function stats(isDirectory: boolean): object {
  return {
    isDirectory: () => isDirectory,
    isFile: () => !isDirectory,
    isSymbolicLink: () => false,
    size: 0,
    mode: 0o644,
  };
}

function absent(path: string): Error {
  return Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
}
