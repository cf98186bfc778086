// Whether what one storage brings is whole together with what another one has: each delta's base is there, the commits before each
// commit, and each object that a commit with content needs. What a sweep left over may name things that are gone.

import { OBJECT } from '../format/layout.ts';
import { segmentName, parseSegmentRecord, type SegmentRecord } from '../format/segment.ts';
import { KIND } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, SegmentSeq } from '../model/ids.ts';
import { namedPack } from './containers.ts';
import { listEdges } from './edges.ts';
import { gitKey, keyText, mapKey } from './keys.ts';
import type { Repository } from './repository.ts';

type Has = (key: Buffer) => Promise<boolean>;

/**
 * Reads and checks every byte of a log's segments and packs, and that nothing that their commits need is missing on both sides.
 * @param there the storage that is checked, opened
 * @param here what else there is, or undefined
 * @throws {MoltError} DAMAGED and its kin; NOT_FOUND with the commits when it follows some that are not here
 */
export async function checkArrival(there: Repository, here: Repository | undefined): Promise<void> {
  const has: Has = async (key) =>
    (await there.index.find(key)) !== undefined || (await here?.index.find(key)) !== undefined;
  const [first] = there.problems;
  if (first !== undefined) throw new MoltError('DAMAGED', `${there.storage.label}: ${first.problem}`);
  let isClosed = true;
  for (let seq = 1 as SegmentSeq; seq <= there.log.tip.seq; seq = (seq + 1) as SegmentSeq) {
    // oxlint-disable-next-line no-await-in-loop -- one container in memory at a time
    const record = await readWhole(there, seq);
    // oxlint-disable-next-line no-await-in-loop -- the same
    await checkRequired(record, there, here);
    // oxlint-disable-next-line no-await-in-loop -- the same
    isClosed = (await checkObjects(there, { seq }, has)) && isClosed;
    for (const { id } of record.packs) {
      const named = namedPack(id);
      // oxlint-disable-next-line no-await-in-loop -- the same
      const bytes = await there.storage.read(named.name);
      if (bytes === undefined) throw new MoltError('DAMAGED', `${named.name} is missing in ${there.storage.label}`);
      // oxlint-disable-next-line no-await-in-loop -- the same
      await there.containers.verifyWhole(bytes, named);
      // oxlint-disable-next-line no-await-in-loop -- the same
      isClosed = (await checkObjects(there, { pack: id }, has)) && isClosed;
    }
  }
  if (!isClosed) await checkKept(there, has);
}

async function readWhole(there: Repository, seq: SegmentSeq): Promise<SegmentRecord> {
  const name = segmentName(seq);
  const bytes = await there.storage.read(name);
  if (bytes === undefined) throw new MoltError('DAMAGED', `${name} is missing in ${there.storage.label}`);
  return parseSegmentRecord(
    (await there.containers.verifyWhole(bytes, { name, kind: KIND.segment, seq })).record,
    name,
  );
}

async function checkRequired(
  { requires = [] }: SegmentRecord,
  there: Repository,
  here: Repository | undefined,
): Promise<void> {
  const missing: CommitId[] = [];
  for (const id of requires) {
    // oxlint-disable-next-line no-await-in-loop -- one, mostly
    if ((await here?.index.find(gitKey(id))) === undefined) missing.push(id);
  }
  if (missing.length === 0) return;
  throw new MoltError(
    'NOT_FOUND',
    `${there.storage.label} holds only what follows ${missing.map((id) => id.slice(0, 10)).join(', ')}, which is not here`,
    { hint: 'import what goes before it first, or export without --since', details: { missing } },
  );
}

/** Checks what a container holds. Returns whether all that it names is there, also what only something left over needs. */
async function checkObjects(
  there: Repository,
  container: Parameters<Repository['containers']['readFooter']>[0],
  has: Has,
): Promise<boolean> {
  const footer = await there.containers.readFooter(container);
  let isClosed = true;
  for (const { key, type, base } of footer.objects) {
    // oxlint-disable-next-line no-await-in-loop -- objects of one block follow each other
    if (base !== undefined && !(await has(base))) throw incomplete(there, base);
    // oxlint-disable-next-line no-await-in-loop -- the same
    const found = await there.objects.find(key);
    if (found === undefined) throw incomplete(there, key);
    if (type === OBJECT.chunk) continue;
    for (const edge of listEdges({ key, type }, found.bytes)) {
      // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
      if (await has(edge.key)) continue;
      if (edge.isParent === true) throw incomplete(there, edge.key);
      isClosed = false;
    }
  }
  return isClosed;
}

/** Checks that all is there that commits with content and refs need. What the other side has is whole there. */
async function checkKept(there: Repository, has: Has): Promise<void> {
  const commits = (await there.index.listCommits()).filter(({ isExpired }) => !isExpired);
  const waiting = [...commits.map(({ id }) => id), ...there.refs.values()].map(gitKey);
  const seen = new Set<string>();
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const id = mapKey(key);
    if (seen.has(id)) continue;
    seen.add(id);
    // oxlint-disable-next-line no-await-in-loop -- answered from memory, mostly
    const place = await there.index.find(key);
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (place === undefined && !(await has(key))) throw incomplete(there, key);
    if (place === undefined || place.type === OBJECT.chunk) continue;
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (place.type === OBJECT.commit && (await there.isExpired(keyText(key) as CommitId))) continue;
    // oxlint-disable-next-line no-await-in-loop -- neighbouring objects share blocks
    const found = await there.objects.find(key);
    if (found === undefined) throw incomplete(there, key);
    for (const edge of listEdges({ key, type: place.type }, found.bytes))
      if (edge.isParent !== true) waiting.push(edge.key);
  }
}

function incomplete(there: Repository, key: Buffer): MoltError {
  return new MoltError('DAMAGED', `${there.storage.label} is not complete: ${keyText(key)} is missing`, {
    hint: 'nothing was taken from it; export it again',
  });
}
