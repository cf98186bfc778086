// Repositories that earlier molts wrote, kept for ever: each opens and gives back every byte, with its caches and without; and damage
// that was ever found stays found.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { FORMAT_VERSION } from '../src/format/layout.ts';
import {
  applyDamage,
  checkGolden,
  GOLDEN_DIR,
  isFound,
  openGolden,
  readGolden,
  withGolden,
  type GoldenDamage,
} from './golden/read-golden.ts';

const names = readdirSync(GOLDEN_DIR)
  .filter((name) => name.endsWith('.tar.gz'))
  .map((name) => name.slice(0, -'.tar.gz'.length));
const recorded = (name: string): unknown => JSON.parse(readFileSync(join(GOLDEN_DIR, `${name}.json`), 'utf8'));

for (const name of names) {
  test(`${name} opens with its passphrase and holds what was recorded, byte for byte`, async (t) => {
    await withGolden(`${name}.tar.gz`, async (storage) => {
      const repository = await openGolden(storage);
      t.deepEqual(repository.problems, []);
      t.deepEqual(await readGolden(repository), recorded(name));
      t.deepEqual(await checkGolden(storage), []);
    });
  });

  test(`${name} holds the same without its checkpoints and index runs`, async (t) => {
    await withGolden(`${name}.tar.gz`, async (storage) => {
      let deleted = 0;
      for (const prefix of ['checkpoint/', 'index/']) {
        for await (const object of storage.list(prefix)) {
          await storage.delete(object.name);
          deleted += 1;
        }
      }
      t.true(deleted >= 2);
      t.deepEqual(await readGolden(await openGolden(storage)), recorded(name));
    });
  });
}

for (const name of names) {
  for (const damage of recorded(`${name}.damage`) as readonly GoldenDamage[]) {
    test(`${name} with ${damage.what} is found to be damaged, and where`, async (t) => {
      const found = await withGolden(`${name}.tar.gz`, async (storage) => {
        await applyDamage(storage, damage);
        return checkGolden(storage);
      });
      t.true(isFound(found, damage), `${damage.object} ${damage.code} is not among ${JSON.stringify(found)}`);
    });
  }
}

test('there is a golden repository of every format version so far', (t) => {
  for (let version = 1; version <= FORMAT_VERSION; version += 1)
    t.true(names.some((name) => name.startsWith(`v${version}-`)));
});
