// Notes runs and takes them into the embedded log again and again, until it is killed; prints each id once it was noted.

import { createSecretKey, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { LocalRuns, waitingRuns } from '../../src/catalog/local-runs.ts';
import { settleEmbedded } from '../../src/catalog/settle.ts';
import type { RunKey } from '../../src/model/ports.ts';
import { BEGAN_MS, entry, random, REPOSITORY } from './entries.ts';

const [homeDir = '', secret = ''] = process.argv.slice(2);
const key: RunKey = { of: 'repository', key: createSecretKey(Buffer.from(secret, 'hex')) };
const outside = { homeDir, random, clock: { now: () => BEGAN_MS } };
const log = new LocalRuns({ ...outside, findUrl: async () => undefined, warn: () => {} });
const runs = waitingRuns(homeDir, REPOSITORY, [key]);

for (;;) {
  for (let count = 0; count < 5; count += 1) {
    const id = randomBytes(16).toString('hex');
    await log.append(entry(0, { id, commit: undefined }), key);
    writeSync(1, `${id}\n`);
  }
  await settleEmbedded(outside, [runs]);
}
