// Flips every single byte of a small repository, one at a time, and checks that verify finds each: `node scripts/campaign-flips.ts [EVERY]`.
// With EVERY only each EVERYth byte. Takes half an hour or more; test/repo/verify.test.ts does a sample.

import { checkStorage } from '../src/repo/verify.ts';
import { copyStorage, makeSmallRepository, namesOf } from '../test/repo/small-repository.ts';

const step = Number(process.argv[2] ?? 1);
const small = await makeSmallRepository();
let flips = 0;
let missed = 0;
for (const name of await namesOf(small.storage)) {
  const bytes = await small.storage.read(name);
  if (bytes === undefined) throw new Error(`there is no ${name}`);
  for (let at = 0; at < bytes.length; at += step) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
    const storage = await copyStorage(small.storage, new Map([[name, changed]]));
    const { report } = await checkStorage({ ...small, storage }, { readShare: 1, random: () => 0 });
    flips += 1;
    if (report.has(name)) continue;
    missed += 1;
    console.log(`missed: ${name} at ${at}`);
  }
  console.log(`${name}: ${bytes.length} bytes`);
}
console.log(`${flips} flips, ${missed} missed`);
process.exitCode = missed === 0 ? 0 : 1;
