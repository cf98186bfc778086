// A process of its own for the directory storage's tests: races, limits, lost rights and system call traces need a real one.
// usage: storage-child.ts <command> <dir> [arguments]; prints one JSON value

import { once } from 'node:events';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { isMoltError } from '../../src/model/error.ts';
import { newMark } from '../../src/storage/owner.ts';
import { listed } from './contract.ts';

const [command, dir = '', ...rest] = process.argv.slice(2);
// A write past the file size limit would end the process before it hears of it.
process.on('SIGXFSZ', () => {});

const commands: Record<string, () => Promise<unknown>> = {
  /** Creates names 0 to count, all at the word of the parent, and tells which it won. */
  async race() {
    const [label = '', count = '0', links = 'links'] = rest;
    const storage = await DirectoryStorage.open(dir, { hardLinks: links === 'links' });
    process.stdout.write('ready\n');
    await once(process.stdin, 'data');
    const won: number[] = [];
    for (let index = 0; index < Number(count); index += 1) {
      if (await storage.createOnce(`log/${index}`, [Buffer.from(`${label} won ${index}`)])) won.push(index);
    }
    return won;
  },
  async create() {
    const storage = await DirectoryStorage.open(dir);
    if (process.env['DROP_ROOT'] === '1' && process.getuid?.() === 0) process.setuid?.(65_534);
    return storage.createOnce(rest[0] ?? '', [Buffer.alloc(Number(rest[1]), 7)]);
  },
  async list() {
    return listed(await DirectoryStorage.open(dir), rest[0] ?? '', rest[1]);
  },
  async mark() {
    return newMark();
  },
};

try {
  process.stdout.write(JSON.stringify(await commands[command ?? '']?.()));
} catch (error) {
  if (!isMoltError(error)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message, hint: error.hint }));
}
process.stdin.destroy();
