// molt as it is built, for tests that start it hundreds of times: from source each start would cost twice as much. It is built anew
// when a source has changed, into a folder of its own: what `npm run build` makes may be in use, or old.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');
const BUILT = path.join(ROOT, 'node_modules/.cache/molt-built');

/** Where the code that Node has compiled is kept between starts. */
export const COMPILE_CACHE = path.join(ROOT, 'node_modules/.cache/molt-test');

/** The entry of molt. */
export const MAIN = path.join(build(), 'main.js');

function build(): string {
  const hash = createHash('sha256');
  const inputs = ['src', 'tui'].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => path.join(parentPath, name)),
  );
  const more = ['package-lock.json', 'scripts/build.ts'].map((file) => path.join(ROOT, file));
  for (const file of [...inputs.toSorted(), ...more])
    hash.update(file).update('\0').update(readFileSync(file)).update('\0');
  const digest = hash.digest('hex').slice(0, 16);
  const folder = path.join(BUILT, digest);
  if (existsSync(folder)) return folder;
  mkdirSync(BUILT, { recursive: true });
  for (const name of readdirSync(BUILT))
    if (name !== digest) rmSync(path.join(BUILT, name), { recursive: true, force: true });
  const temporary = mkdtempSync(path.join(path.dirname(BUILT), 'molt-building-'));
  const { status, stderr } = spawnSync(process.execPath, [path.join(ROOT, 'scripts/build.ts'), temporary]);
  if (status !== 0) throw new Error(`molt can't be built: ${stderr.toString()}`);
  try {
    renameSync(temporary, folder);
  } catch (error) {
    // Another file of tests has built it in the meantime.
    if (!existsSync(folder)) throw error;
    rmSync(temporary, { recursive: true });
  }
  return folder;
}
