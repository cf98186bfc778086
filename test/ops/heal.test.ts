// After damage: what stays usable around it, and that a repair and the next commit make the agent's head whole again.

import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { containerName } from '../../src/format/index-run.ts';
import { ENCODING, OBJECT } from '../../src/format/layout.ts';
import type { CommitId, SegmentSeq } from '../../src/model/ids.ts';
import { backUp, type BackupResult } from '../../src/ops/backup.ts';
import { listLog } from '../../src/ops/log.ts';
import { openAgent } from '../../src/ops/open.ts';
import { applyRestore, planRestore } from '../../src/ops/restore.ts';
import { verifyAgent, verifyFailure } from '../../src/ops/verify.ts';
import type { Repository } from '../../src/repo/repository.ts';
import { makeMachine, type Machine } from './machine.ts';

const NOTE = randomBytes(30_000).toString('hex');
const CHECK = { readShare: 1, repair: false };
const REPAIR = { readShare: 1, repair: true };

/** Overwrites part of an object of the agent's storage. */
async function damage(machine: Machine, name: string, from: number, to: number): Promise<void> {
  await using open = await openAgent(machine.context, 'bot');
  const place = join(machine.context.home.repositoryDir(open.agent.repository), name);
  const bytes = readFileSync(place);
  writeFileSync(place, bytes.fill(0, from, Math.min(to, bytes.length)), { flag: 'r+' });
}

/** A machine with four commits, of which the second's own data is damaged: the note that the third and fourth need as well. */
async function makeDamaged(t: ExecutionContext): Promise<{ machine: Machine; ids: CommitId[] }> {
  const machine = await makeMachine(t);
  const ids: CommitId[] = [];
  for (const [day, files] of [
    ['02', { 'before.md': 'before\n' }],
    ['03', { 'note.md': NOTE }],
    ['04', { 'after.md': 'after\n' }],
    ['05', { 'later.md': 'later\n' }],
  ] as const) {
    for (const [name, text] of Object.entries(files)) machine.write(name, text);
    ids.push((await machine.commit(`2026-03-${day}T00:00:00Z`)).id);
  }
  await damage(machine, 'log/000000000003', 400, 20_000);
  return { machine, ids };
}

async function restore(machine: Machine, revision: string, dir: string): Promise<string> {
  await using open = await openAgent(machine.context, 'bot');
  const plan = await planRestore(machine.context, open, { revision, timestamp: undefined, dir });
  await applyRestore(machine.context, open, plan);
  return join(plan.dir, 'state');
}

function readAll(dir: string): Record<string, string> {
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name)).toSorted();
  return Object.fromEntries(paths.map((path) => [path.slice(dir.length), readFileSync(path, 'latin1')]));
}

async function commit(machine: Machine, options: { readonly full?: boolean } = {}): Promise<BackupResult> {
  const kind = options.full === true ? 'full' : 'incremental';
  return backUp(machine.context, 'bot', { kind, trigger: 'test', ...options });
}

/** The head can be read and restored, every bit of it, through the index as well as past it. */
async function assertHeadIsWhole(t: ExecutionContext, machine: Machine, head: CommitId, dir: string): Promise<void> {
  const { commits, problems } = await verifyAgent(machine.context, 'bot', CHECK);
  t.false(
    commits.hurt.some(({ id }) => id === head),
    JSON.stringify({ commits, problems }),
  );
  t.deepEqual(
    problems.filter(({ object }) => /^(checkpoint|index)/.test(object)),
    [],
  );
  t.deepEqual(readAll(await restore(machine, 'latest', dir)), readAll(machine.stateDir));
}

test('a damaged segment hurts the commits that need its data and no other; log and restore go on', async (t) => {
  const { machine, ids } = await makeDamaged(t);
  const found = await verifyAgent(machine.context, 'bot', CHECK);
  t.deepEqual(
    found.commits.hurt.map(({ id }) => id),
    ids.slice(1),
  );
  t.true(found.problems.some(({ object }) => object === 'log/000000000003'));
  t.regex(verifyFailure(found, 'bot')?.message ?? '', /3 of 5 commits can't be brought back whole/);
  let listed = 0;
  for await (const { id } of listLog(machine.context, { agent: 'bot', words: [], paths: [] }))
    listed += id === '' ? 0 : 1;
  t.true(listed >= ids.length);
  const [first = '' as CommitId, second = '' as CommitId] = ids;
  t.is(readFileSync(join(await restore(machine, first, 'first'), 'before.md'), 'utf8'), 'before\n');
  await t.throwsAsync(restore(machine, second, 'second'), { code: 'DAMAGED' });
});

/** Where an object of some kind lies that the head needs. */
async function findPlace(
  repository: Repository,
  isMeant: (object: { readonly type: number; readonly isDelta: boolean; readonly hasBase: boolean }) => boolean,
): Promise<{ readonly name: string; readonly from: number; readonly to: number }> {
  for (let seq: number = repository.log.tip.seq; seq > 0; seq -= 1) {
    const container = { seq: seq as SegmentSeq };
    const footer = await repository.containers.readFooter(container);
    for (const { type, block, base } of footer.objects) {
      const found = footer.blocks[block];
      const isDelta = found?.encoding === ENCODING.deltas;
      if (found === undefined || !isMeant({ type, isDelta, hasBase: base !== undefined })) continue;
      const place = base === undefined ? undefined : await repository.index.findWhole(base);
      if (place === undefined || !isDelta) {
        return { name: containerName(container), from: found.offsetBytes, to: found.offsetBytes + found.sealedBytes };
      }
      const from = place.blockOffsetBytes;
      return { name: containerName(place.container), from, to: from + place.blockSealedBytes };
    }
  }
  throw new Error('nothing of the kind is there');
}

type Damage = (machine: Machine) => Promise<void>;

/** A pack of the first backup, which holds most of the agent. */
const inPack: Damage = async (machine) => {
  await using open = await openAgent(machine.context, 'bot');
  const dir = machine.context.home.repositoryDir(open.agent.repository);
  const packs = readdirSync(join(dir, 'packs'), { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  for (const { parentPath, name } of packs)
    await damage(machine, join(parentPath, name).slice(dir.length + 1), 128, 5000);
};

/** A whole pack. */
const lostPack: Damage = async (machine) => {
  await using open = await openAgent(machine.context, 'bot');
  rmSync(join(machine.context.home.repositoryDir(open.agent.repository), 'packs'), { recursive: true });
};

/** The data of a segment in the middle of history. */
const inSegment: Damage = (machine) => damage(machine, 'log/000000000003', 400, 20_000);

/** All of a segment: its commit, trees and note as well. */
const wholeSegment: Damage = (machine) => damage(machine, 'log/000000000003', 0, Number.MAX_SAFE_INTEGER);

/** The newest segment with the head's commit. */
const headSegment: Damage = (machine) => damage(machine, 'log/000000000005', 0, Number.MAX_SAFE_INTEGER);

/** The whole version of a chunk that the head's version is a delta of. */
const deltaBase: Damage = async (machine) => {
  await using open = await openAgent(machine.context, 'bot');
  const isMeant = (object: { type: number; isDelta: boolean }): boolean =>
    object.isDelta && object.type === OBJECT.chunk;
  const { name, from, to } = await findPlace(open.repository, isMeant);
  await damage(machine, name, from, to);
};

/** Makes an agent with history: a full, a large note that grows twice by a little, and something else. */
async function makeHistory(t: ExecutionContext): Promise<Machine> {
  const machine = await makeMachine(t);
  machine.write('big.md', NOTE);
  await machine.commit('2026-03-02T00:00:00Z');
  machine.write('big.md', `${NOTE.slice(0, 20_000)}changed${NOTE.slice(20_000)}`);
  machine.write('folder/small.md', 'small\n');
  await machine.commit('2026-03-03T00:00:00Z');
  machine.write('big.md', `${NOTE.slice(0, 20_000)}changed again${NOTE.slice(20_000)}`);
  await machine.commit('2026-03-04T00:00:00Z');
  machine.write('later.md', 'later\n');
  await machine.commit('2026-03-05T00:00:00Z');
  machine.at('2026-03-06T00:00:00Z');
  return machine;
}

const heals = test.macro<[Damage, { readonly change: boolean; readonly full?: boolean }]>({
  title: (providedTitle) => providedTitle ?? '',
  async exec(t, harm, { change, full = false }) {
    const machine = await makeHistory(t);
    await harm(machine);
    const found = await verifyAgent(machine.context, 'bot', REPAIR);
    t.true(
      found.problems.some(({ repaired }) => !repaired),
      'something is lost',
    );
    if (change) machine.write('new.md', 'new\n');
    const healed = await commit(machine, { full });
    t.false(healed.unchanged);
    await assertHeadIsWhole(t, machine, healed.id, 'healed');
    const again = await commit(machine);
    t.true(again.unchanged, 'what is whole is not stored again');
    machine.at('2026-03-07T00:00:00Z');
    const { id } = await commit(machine, { full: true });
    await assertHeadIsWhole(t, machine, id, 'full');
  },
});

for (const [what, harm] of [
  ['a damaged pack', inPack],
  ['the loss of all packs', lostPack],
  ['a segment damaged in the middle of history', inSegment],
  ['the loss of a segment in the middle of history', wholeSegment],
  ['the loss of the head’s segment', headSegment],
  ['a damaged base of deltas', deltaBase],
] as const) {
  test(`after ${what}, repair and a commit of the same state make the head whole`, heals, harm, { change: false });
  test(`after ${what}, repair and a commit of a change make the head whole`, heals, harm, { change: true });
  test(`after ${what}, repair and a full backup make the head whole`, heals, harm, { change: true, full: true });
}
