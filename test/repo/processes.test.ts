// Real processes that commit to one repository at the same time.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseSegmentName } from '../../src/format/segment.ts';
import { DirectoryStorage } from '../../src/storage/directory.ts';
import { listChain, listNames, makeRepository, openRepository, readFiles } from './support.ts';

const CHILD = new URL('racing-process.ts', import.meta.url).pathname;
const COMMITS = 10;

for (const count of [2, 8]) {
  test(`${count} processes that commit ${COMMITS} times each lose no commit and leave one chain without gaps`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'molt-race-'));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    await makeRepository(await DirectoryStorage.open(dir));
    const made = (await Promise.all(Array.from({ length: count }, (_, index) => run(dir, index)))).flat();
    const repository = await openRepository(await DirectoryStorage.open(dir));
    t.deepEqual(repository.problems, []);
    const chain = await listChain(repository);
    t.is(chain.length, count * COMMITS);
    t.deepEqual(chain.toSorted(), made.toSorted() as never);
    const numbers = (await listNames(repository.storage, 'log/')).map(parseSegmentName);
    t.deepEqual(numbers, Array.from({ length: count * COMMITS }, (_, index) => index + 1) as never);
    for (const id of chain) {
      for (const [path, bytes] of await readFiles(repository, id)) t.regex(bytes.toString(), new RegExp(`^${path} `));
    }
  });
}

async function run(dir: string, index: number): Promise<string[]> {
  const child = spawn(process.execPath, [CHILD, dir, String(index), String(COMMITS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`process ${index} ended with ${code}`);
  return JSON.parse(output) as string[];
}
