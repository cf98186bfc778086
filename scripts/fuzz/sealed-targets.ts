// The decoders behind a seal: containers of every kind, whole repositories, keyrings. Inputs are changed outside the seal, with
// checksums that fit or not, and inside it, sealed or signed again with the right key.

import { createHash, type KeyObject } from 'node:crypto';
import { hmacSha256 } from '../../src/crypto/hmac.ts';
import { createRootKeys, deriveKeyringMacKey } from '../../src/crypto/roots.ts';
import { createSlot } from '../../src/crypto/slot.ts';
import { ContainerReader } from '../../src/format/container.ts';
import { parseFooter } from '../../src/format/footer.ts';
import { parseHeader, type ExpectedHeader } from '../../src/format/header.ts';
import { parseIndexRun } from '../../src/format/index-run.ts';
import { createKeyring, encodeKeyring, openKeyring, parseKeyring } from '../../src/format/keyring.ts';
import { parseHistoryNote } from '../../src/format/history-note.ts';
import { KIND } from '../../src/format/layout.ts';
import { packName, parseSegmentRecord, segmentName } from '../../src/format/segment.ts';
import { parseTrailer } from '../../src/format/trailer.ts';
import { MoltError } from '../../src/model/error.ts';
import type { CommitId, SegmentSeq } from '../../src/model/ids.ts';
import { CommitTable } from '../../src/repo/commit-table.ts';
import { openCheckpoint } from '../../src/repo/checkpoints.ts';
import { Containers } from '../../src/repo/containers.ts';
import { IndexRun } from '../../src/repo/index-run.ts';
import { Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept } from '../../src/repo/sweep-delete.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { seededRandom } from '../../test/crypto/random.ts';
import { REPOSITORY } from '../../test/format/support.ts';
import { copyStorage, makeSmallRepository, namesOf, type SmallRepository } from '../../test/repo/small-repository.ts';
import { type Dice, hostileBytes, hostileJson } from './mutate.ts';
import { fitChecksums, openContainer, type Opened, resealChanged, wrapFooter } from './sealed.ts';
import { bytesTarget, type Target } from './target.ts';

/** Returns the targets. */
export async function sealedTargets(): Promise<Target[]> {
  const small = await makeSmallRepository();
  return [...(await containerTargets(small)), ...(await sweptTargets()), ...(await keyringTargets())];
}

/** A repository whose beginning was swept away: its sweep, its history pack and its checkpoint. */
async function sweptTargets(): Promise<Target[]> {
  const small = await makeSmallRepository({ seed: 2, commits: 6 });
  const key = small.keys.epochKeys(1);
  const repository = await small.open();
  const decide = async (): Promise<SweepOrder> => {
    const commits = await repository.index.listCommits();
    return { keep: commits.slice(-2), expire: commits.slice(0, -2), dropRefs: [] };
  };
  await sweep(repository, decide, { orphanedBeforeMs: 0 });
  await deleteSwept(repository, { nowMs: Date.UTC(2027, 0), packGraceMs: 0 });
  const { sweepSeq, seq, history } = repository.log.begin;
  const [pack] = history;
  const checkpoint = (await namesOf(small.storage, 'checkpoint/')).at(-1);
  if (key === undefined || pack === undefined || checkpoint === undefined || seq === 0)
    throw new Error('nothing was swept away');
  const sampleOf = async (name: string): Promise<Sample> => {
    const [expected, bytes] = [expectedOf(small, name), await small.storage.read(name)];
    if (expected === undefined || bytes === undefined) throw new Error(`there is no ${name}`);
    return { name, bytes, opened: await openContainer(bytes, expected, key) };
  };
  const [sweeping, past, newest] = [
    await sampleOf(segmentName(sweepSeq)),
    await sampleOf(packName(pack)),
    await sampleOf(checkpoint),
  ];
  const readHistory = async (bytes: Buffer): Promise<unknown> =>
    parseHistoryNote(await ContainerReader.open(bytes, past.opened.expected, () => key).verifyWhole(bytes), past.name);
  // The log without its beginning and without a checkpoint is opened from the sweep.
  const bare = { ...small, storage: await copyStorage(small.storage, new Map([[checkpoint, undefined]])) };
  return [
    {
      name: 'sweep, sealed anew',
      weight: 0.3,
      valid: () => readSegment(sweeping.bytes, sweeping, key),
      run: (dice) => readSegment(resealChanged(dice, sweeping.opened), sweeping, key),
    },
    {
      name: 'history pack, sealed anew',
      weight: 0.3,
      valid: () => readHistory(past.bytes),
      run: (dice) => readHistory(resealChanged(dice, past.opened)),
    },
    {
      name: 'checkpoint of a swept log, sealed anew',
      weight: 0.3,
      valid: () => readCheckpoint(small, newest, newest.bytes),
      run: (dice) => readCheckpoint(small, newest, resealChanged(dice, newest.opened)),
    },
    {
      name: 'repository with a sweep, history pack or checkpoint sealed anew',
      weight: 0.01,
      valid: () => useRepository(bare, sweeping.name, sweeping.bytes),
      run: (dice) => {
        const sample = dice.pick([sweeping, sweeping, past, newest]);
        return useRepository(sample === newest ? small : bare, sample.name, resealChanged(dice, sample.opened));
      },
    },
  ];
}

interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
  readonly opened: Opened;
}

async function containerTargets(small: SmallRepository): Promise<Target[]> {
  const key = small.keys.epochKeys(1);
  if (key === undefined) throw new Error('the small repository has no key');
  const names = await namesOf(small.storage);
  const samples: Sample[] = [];
  for (const name of names) {
    const expected = expectedOf(small, name);
    const bytes = await small.storage.read(name);
    if (expected === undefined || bytes === undefined) continue;
    samples.push({ name, bytes, opened: await openContainer(bytes, expected, key) });
  }
  const of = (prefix: string): Sample[] => samples.filter(({ name }) => name.startsWith(prefix));
  const [pack] = of('packs/');
  const [run] = of('index/');
  const [checkpoint] = of('checkpoint/');
  const segment = of('log/').at(-1);
  if (pack === undefined || run === undefined || checkpoint === undefined || segment === undefined)
    throw new Error('the small repository lacks a container');
  const footers = samples.map(({ opened }) => opened.footer);
  return [
    bytesTarget('header', (bytes) => parseHeader(bytes, segment.opened.expected), [segment.bytes.subarray(0, 128)]),
    bytesTarget('trailer', (bytes) => parseTrailer(bytes, bytes.length, 'x'), [segment.bytes]),
    bytesTarget(
      'trailer whose checksum fits',
      (bytes) => parseTrailer(bytes, bytes.length, 'x'),
      [segment.bytes],
      fitTrailer,
    ),
    bytesTarget(
      'footer',
      (bytes) => parseFooter(bytes, 'x'),
      footers.map((content) => wrapFooter(content)),
    ),
    bytesTarget('footer, inside', (bytes) => parseFooter(wrapFooter(bytes), 'x'), footers),
    ...samples
      .filter(({ bytes }) => bytes.length < 100_000)
      .map(({ name, bytes, opened }): Target => containerTarget(`container ${shortName(name)}`, bytes, opened, key)),
    {
      name: 'segment, sealed anew',
      weight: 0.3,
      valid: () => readSegment(segment.bytes, segment, key),
      run: (dice) => readSegment(resealChanged(dice, segment.opened), segment, key),
    },
    {
      name: 'index run, sealed anew',
      weight: 0.3,
      valid: () => readRun(small, run.bytes),
      run: (dice) => readRun(small, resealChanged(dice, run.opened)),
    },
    {
      name: 'checkpoint, sealed anew',
      weight: 0.3,
      valid: () => readCheckpoint(small, checkpoint, checkpoint.bytes),
      run: (dice) => readCheckpoint(small, checkpoint, resealChanged(dice, checkpoint.opened)),
    },
    {
      name: 'repository with a segment, run or checkpoint sealed anew',
      weight: 0.01,
      valid: () => useRepository(small, segment.name, segment.bytes),
      run: (dice) => {
        const sample = dice.pick([segment, segment, segment, checkpoint, run]);
        return useRepository(small, sample.name, resealChanged(dice, sample.opened));
      },
    },
  ];
}

function containerTarget(name: string, bytes: Buffer, opened: Opened, key: KeyObject): Target {
  const open = async (input: Buffer): Promise<unknown> =>
    ContainerReader.open(input, opened.expected, (epoch) => (epoch === 1 ? key : undefined)).verifyWhole(input);
  return {
    name,
    weight: 0.3,
    valid: () => open(bytes),
    run: (dice) => {
      const changed = hostileBytes(dice, [bytes]);
      return open(dice.below(2) === 0 ? fitChecksums(changed) : changed);
    },
  };
}

function fitTrailer(bytes: Buffer): Buffer {
  return fitChecksums(bytes);
}

function shortName(name: string): string {
  return name.slice(0, name.indexOf('/') + 14);
}

function expectedOf(small: SmallRepository, name: string): ExpectedHeader | undefined {
  const { repositoryId, storageId } = small;
  const seq = Number(/^(?:log|checkpoint)\/(\d{12})/.exec(name)?.[1] ?? 0);
  const common = { name, repositoryId, storageId };
  if (name.startsWith('log/')) return { ...common, kind: KIND.segment, seq };
  if (name.startsWith('packs/')) return { ...common, storageId: undefined, kind: KIND.pack, seq: 0 };
  if (name.startsWith('index/')) return { ...common, kind: KIND.index, seq: 1 };
  return name.startsWith('checkpoint/') ? { ...common, kind: KIND.checkpoint, seq } : undefined;
}

async function readSegment(bytes: Buffer, { opened }: Sample, key: KeyObject): Promise<unknown> {
  const reader = ContainerReader.open(bytes, opened.expected, () => key);
  const footer = await reader.verifyWhole(bytes);
  return parseSegmentRecord(footer.record, 'x');
}

function containersOf(small: SmallRepository, storage: MemoryStorage): Containers {
  return new Containers(storage, small, small.keys.epochKeys);
}

async function readRun(small: SmallRepository, bytes: Buffer): Promise<unknown> {
  const storage = new MemoryStorage({ now: () => 0 });
  const id = createHash('sha256').update(bytes).digest('hex');
  await storage.createOnce(`index/${id}`, [bytes]);
  const containers = containersOf(small, storage);
  const run = new IndexRun({ id, fromSeq: 1, toSeq: 1, objects: 1 }, containers);
  parseIndexRun(await containers.readIndexFooter(id), id);
  await settled(
    run.findEntries(Buffer.alloc(32, 0x80)),
    run.findSegmentsByPath(0x8000_0000),
    run.findRecentCommit('8'.repeat(40) as CommitId),
    run.readContent().then(({ commits }) => new CommitTable(commits).entries()),
  );
  let entries = 0;
  for await (const { ref } of run.listEntries()) entries += ref.entry < 0 ? 0 : 1;
  return entries;
}

/** Waits for all; a MoltError of one says nothing of the others, anything else is thrown. */
async function settled(...work: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected' && !(result.reason instanceof MoltError)) throw result.reason;
  }
}

async function readCheckpoint(small: SmallRepository, sample: Sample, bytes: Buffer): Promise<unknown> {
  const containers = containersOf(small, new MemoryStorage({ now: () => 0 }));
  return openCheckpoint(containers, sample.name, (sample.opened.expected.seq ?? 0) as SegmentSeq, bytes);
}

/** Opens a repository with one object replaced, reads everything of its branch, and verifies it. */
async function useRepository(small: SmallRepository, name: string, bytes: Buffer): Promise<unknown> {
  const storage = await copyStorage(small.storage, new Map([[name, bytes]]));
  const check = await checkStorage({ ...small, storage }, { readShare: 1, random: () => 0 });
  const ports = { clock: { now: () => 1_770_000_000_000 }, random: seededRandom('opened') };
  const repository = await Repository.open(storage, small.opened, ports);
  await settled(
    repository.index.listCommits(),
    repository.index.findCommitsByPrefix('8000'),
    repository.index.findSegmentsByPath(0x8000_0000),
    repository.index.readCommits().then((table) => table.entries()),
    ...[...repository.refs.values()].map(async (id) => {
      const found = await repository.objects.findGit(id);
      return found?.type === 'commit' ? readTree(repository, found.content.toString('latin1', 5, 45)) : undefined;
    }),
  );
  return check;
}

async function readTree(repository: Repository, id: string): Promise<void> {
  const { parseTree, TREE_MODES } = await import('../../src/repo/trees.ts');
  const content = await repository.objects.readGit(id as never, 'tree');
  for (const entry of parseTree(content, id as never)) {
    if (entry.mode === TREE_MODES.tree) await readTree(repository, entry.id);
    else await repository.objects.readBlobWhole(entry.id, 1 << 24);
  }
}

async function keyringTargets(): Promise<Target[]> {
  const random = seededRandom('keyring');
  const roots = createRootKeys(random);
  const secret = { type: 'device', key: random.bytes(32) } as const;
  const recovery = { type: 'recovery', key: random.bytes(32) } as const;
  const options = { label: 'a label', timeMs: 1_770_000_000_000, random };
  const slots = [
    await createSlot(roots, REPOSITORY, recovery, options),
    await createSlot(roots, REPOSITORY, secret, options),
    await createSlot(
      roots,
      REPOSITORY,
      { type: 'passphrase', passphrase: 'p' },
      { ...options, argon2: { memoryKiB: 64, passes: 1, lanes: 1 } },
    ),
    { id: 'ab'.repeat(16), type: 'future', anything: { deep: [1, { deeper: null }] } },
  ];
  const bytes = encodeKeyring(
    createKeyring(roots, { repository: REPOSITORY, generation: 1, slots, timeMs: options.timeMs, random }),
  );
  const value: unknown = JSON.parse(bytes.toString());
  const open = async (input: Buffer): Promise<unknown> => openKeyring(parseKeyring(input, REPOSITORY), secret);
  const signed = (changed: unknown): Buffer => {
    const { mac: _, ...body } = typeof changed === 'object' && changed !== null ? { mac: '', ...changed } : { mac: '' };
    const spelled = Buffer.from(JSON.stringify(body) ?? '');
    const mac = hmacSha256(deriveKeyringMacKey(roots, 1), spelled).toString('hex');
    return Buffer.concat([spelled.subarray(0, -1), Buffer.from(`,"mac":"${mac}"}`)]);
  };
  return [
    bytesTarget('keyring', open, [bytes]),
    { name: 'keyring members', valid: () => open(bytes), run: (dice) => open(spell(dice, value)) },
    {
      name: 'keyring, signed anew',
      valid: () => open(signed(value)),
      run: (dice) => open(signed(hostileJson(dice, [value]))),
    },
  ];
}

function spell(dice: Dice, value: unknown): Buffer {
  return Buffer.from(JSON.stringify(hostileJson(dice, [value])) ?? '');
}
