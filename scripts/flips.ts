// Flips bits of a small repository, one byte at a time, in several processes, and checks that verify names each changed object. Part
// of the campaign, which asks for a share of all bytes; every byte is a share of 1.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { checkStorage } from '../src/repo/verify.ts';
import type { ByteRange } from '../src/storage/range.ts';
import type { Storage } from '../src/storage/storage.ts';
import { makeSmallRepository, namesOf } from '../test/repo/small-repository.ts';

/** What came of it, for people. */
export interface FlipReport {
  readonly lines: readonly string[];
  readonly ok: boolean;
}

interface Figures {
  readonly bytes: number;
  readonly flips: number;
  readonly missed: readonly string[];
}

const PROCESSES = 2;

/** Flips a share of all bytes, spread evenly; the seed says where it begins and which bits. */
export async function run({ seed, share }: { readonly seed: number; readonly share: number }): Promise<FlipReport> {
  const all = await Promise.all(
    Array.from({ length: PROCESSES }, async (_, part): Promise<Figures | undefined> => {
      const child = fork(new URL(import.meta.url), [
        '--seed',
        String(seed),
        '--share',
        String(share),
        '--part',
        String(part),
      ]);
      let figures: Figures | undefined;
      child.on('message', (message) => void (figures = message as Figures));
      await once(child, 'exit');
      return figures;
    }),
  );
  const figures = all.filter((part) => part !== undefined);
  const missed = figures.flatMap((part) => part.missed);
  const flips = figures.reduce((sum, part) => sum + part.flips, 0);
  return {
    lines: [
      `flips, seed ${seed}: ${flips} of ${figures[0]?.bytes ?? 0} bytes of a small repository changed, ${missed.length} not found`,
      ...missed.map((where) => `MISSED: ${where}`),
      ...(figures.length < PROCESSES ? ['DIED: a process ended early'] : []),
    ],
    ok: missed.length === 0 && figures.length === PROCESSES && flips > 0,
  };
}

/** A storage with one object changed, which copies nothing. */
class ChangedStorage implements Pick<Storage, 'label' | 'read' | 'stat' | 'list' | 'createOnce' | 'delete' | 'close'> {
  readonly label = 'changed';
  readonly #from: Storage;
  readonly #name: string;
  readonly #bytes: Buffer;

  constructor(from: Storage, name: string, bytes: Buffer) {
    this.#from = from;
    this.#name = name;
    this.#bytes = bytes;
  }

  async read(name: string, range?: ByteRange): Promise<Buffer | undefined> {
    return name === this.#name
      ? Buffer.from(this.#bytes.subarray(range?.start, range?.end))
      : this.#from.read(name, range);
  }

  stat: Storage['stat'] = (name) => this.#from.stat(name);
  list: Storage['list'] = (prefix, startAfter) => this.#from.list(prefix, startAfter);

  createOnce(): never {
    throw new Error('verify writes nothing');
  }

  delete(): never {
    throw new Error('verify deletes nothing');
  }

  async close(): Promise<void> {}
}

async function flipPart(seed: number, share: number, part: number): Promise<Figures> {
  const small = await makeSmallRepository();
  const step = 1 / share;
  const missed: string[] = [];
  let bytesInAll = 0;
  let flips = 0;
  let turn = 0;
  for (const name of await namesOf(small.storage)) {
    const bytes = await small.storage.read(name);
    if (bytes === undefined) throw new Error(`there is no ${name}`);
    for (let place = seed % step; place < bytes.length; place += step) {
      turn += 1;
      if (turn % PROCESSES !== part) continue;
      const at = Math.floor(place);
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << ((at + seed) % 8));
      const storage = new ChangedStorage(small.storage, name, changed);
      const { report } = await checkStorage({ ...small, storage }, { readShare: 1, random: () => 0 });
      flips += 1;
      if (!report.has(name)) missed.push(`${name} at ${at}`);
    }
    bytesInAll += bytes.length;
  }
  return { bytes: bytesInAll, flips, missed };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { seed: text, share: text, part: text } });
  const [seed, share] = [Number(values.seed ?? 0), Number(values.share ?? 1)];
  if (values.part === undefined) {
    const { lines, ok } = await run({ seed, share });
    for (const line of lines) console.log(line);
    process.exitCode = ok ? 0 : 1;
  } else {
    const figures = await flipPart(seed, share, Number(values.part));
    process.send?.(figures, () => process.exit(0));
  }
}
