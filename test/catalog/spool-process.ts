// Appends entries to a spool, or takes them until it is told to stop, as a process of its own; prints the ids that it took.

import { createSecretKey, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RunSpool } from '../../src/catalog/spool.ts';
import type { RepositoryId } from '../../src/model/ids.ts';
import type { RunKey } from '../../src/model/ports.ts';
import { entry } from './entries.ts';

const [dir = '', repository = '', secret = '', act = '', first = '0', count = '0'] = process.argv.slice(2);
const spool = new RunSpool(dir, repository as RepositoryId);
const key: RunKey = { of: 'repository', key: createSecretKey(Buffer.from(secret, 'hex')) };
const random = { bytes: (length: number): Buffer => randomBytes(length) };

if (act === 'append') {
  for (let number = Number(first); number < Number(first) + Number(count); number += 1)
    spool.append(entry(number), key, random);
} else {
  for (let isLast = false; !isLast;) {
    isLast = existsSync(join(dir, 'stop'));
    for (const { entries, done } of spool.take([key])) {
      for (const { id } of entries) process.stdout.write(`${id}\n`);
      done();
    }
  }
}
