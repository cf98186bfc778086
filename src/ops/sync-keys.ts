// Brings the keyrings of two storages of one repository together. As with logs, the generations are each storage's own order; what has to
// agree is the newest. If the keys were changed on both sides, the changes are joined in a generation that is new on both.

import type { RootKeys } from '../crypto/roots.ts';
import { encodeKeyring, joinKeyrings, parseKeyring, type Keyring } from '../format/keyring.ts';
import { MoltError } from '../model/error.ts';
import { readFormat } from '../repo/repository.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';

/** How often a generation may be taken by others before this gives up. */
const MOST_TRIES = 100;

/** The keyrings of a storage by generation, as bytes. */
type Generations = ReadonlyMap<number, Buffer>;

/** Copies all keyrings into a storage that has none. */
export async function copyKeyrings(from: Storage, to: Storage): Promise<void> {
  for (const [generation, bytes] of await readAll(from)) {
    // oxlint-disable-next-line no-await-in-loop -- few, and in order
    if (!(await to.createOnce(keyringName(generation), [bytes])))
      throw new MoltError('EXISTS', `${to.label} holds a keyring already`);
  }
}

/** Says whether a storage has the newest keyring of another one. */
export async function hasNewestKeyring(from: Storage, to: Storage): Promise<boolean> {
  const [generation, bytes] = newest(await readAll(from));
  return bytes === undefined || (await to.read(keyringName(generation)))?.equals(bytes) === true;
}

/**
 * Says whether a storage's newest keyring came after all of another one's. A removal or rotation deletes the keyrings before it, so that
 * the two need have none in common.
 */
export async function hasLaterKeyring(storage: Storage, other: Storage): Promise<boolean> {
  return isLater(await readAll(storage), await readAll(other));
}

/**
 * Makes the newest keyring of this side the newest of the other one too.
 * @returns the other side's newest generation, and whether it was written just now
 * @throws {MoltError} CONFLICT when the keys were rotated there, or on one side while they were changed on the other
 */
export async function sendKeyrings(
  context: OpsContext,
  here: Storage,
  there: Storage,
  roots: RootKeys,
): Promise<{ readonly generation: number; readonly isNew: boolean }> {
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    // oxlint-disable-next-line no-await-in-loop -- again only when somebody else changed the keys just now
    const [ours, theirs] = [await readAll(here), await readAll(there)];
    const [generation, bytes] = newest(ours);
    const [theirGeneration, theirBytes] = newest(theirs);
    if (bytes === undefined || holds(theirs, generation, bytes)) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (theirBytes !== undefined) await refuseRotated(here, theirBytes, roots);
      return { generation: theirGeneration, isNew: false };
    }
    if (theirBytes === undefined || holds(ours, theirGeneration, theirBytes) || isLater(ours, theirs)) {
      // oxlint-disable-next-line no-await-in-loop -- the same
      if (await there.createOnce(keyringName(generation), [bytes])) return { generation, isNew: true };
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop -- the same
    const joined = await join(context, { here, ours, theirs, roots });
    const name = keyringName(joined.generation);
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (!(await there.createOnce(name, [encodeKeyring(joined)]))) continue;
    // oxlint-disable-next-line no-await-in-loop -- the same
    await here.createOnce(name, [encodeKeyring(joined)]);
    return { generation: joined.generation, isNew: true };
  }
  throw new MoltError('CONFLICT', 'others change the keys all the time', { hint: 'try again' });
}

/**
 * Takes over what was changed in the keyrings of another side, beside what was changed here.
 * @throws {MoltError} CONFLICT when the keys were rotated on one side and changed on the other
 */
export async function takeKeyrings(context: OpsContext, there: Storage, here: Storage, roots: RootKeys): Promise<void> {
  const [ours, theirs] = [await readAll(here), await readAll(there)];
  const [generation, bytes] = newest(ours);
  const [theirGeneration, theirBytes] = newest(theirs);
  if (theirBytes === undefined || holds(ours, theirGeneration, theirBytes) || isLater(ours, theirs)) return;
  const isBehind = bytes === undefined || holds(theirs, generation, bytes) || isLater(theirs, ours);
  const taken = isBehind ? theirBytes : encodeKeyring(await join(context, { here, ours, theirs, roots }));
  const name = keyringName(parseKeyring(taken, (await readFormat(here)).repositoryId).generation);
  if (!(await here.createOnce(name, [taken])))
    throw new MoltError('CONFLICT', 'the keys were changed here just now', { hint: 'try again' });
}

/** Nothing may be sealed for the other side under a root that is over there: whoever was locked out could read it. */
async function refuseRotated(here: Storage, theirs: Buffer, roots: RootKeys): Promise<void> {
  const { repositoryId } = await readFormat(here);
  if (parseKeyring(theirs, repositoryId).epoch <= roots.epoch) return;
  throw new MoltError('CONFLICT', 'the keys were rotated on another machine; nothing was sent under the old ones', {
    hint: 'molt fetch takes the new ones over; then push again',
  });
}

async function join(
  { clock }: OpsContext,
  sides: { readonly here: Storage; readonly ours: Generations; readonly theirs: Generations; readonly roots: RootKeys },
): Promise<Keyring> {
  const { ours, theirs, roots } = sides;
  const { repositoryId } = await readFormat(sides.here);
  const parse = ([, bytes]: readonly [number, Buffer | undefined]): Keyring =>
    parseKeyring(bytes ?? Buffer.alloc(0), repositoryId);
  const common = [...ours].filter(([generation, bytes]) => holds(theirs, generation, bytes)).at(-1);
  const [mine, other] = [parse(newest(ours)), parse(newest(theirs))];
  const base = common === undefined ? undefined : parse(common);
  if (base === undefined || mine.epoch !== other.epoch || base.epoch !== mine.epoch) {
    throw new MoltError('CONFLICT', 'the keys were rotated on one side and changed on the other', {
      hint: 'clone the remote anew under another MOLT_HOME: that has the keys of the other side, and molt key add adds what it lacks',
    });
  }
  const generation = Math.max(mine.generation, other.generation) + 1;
  return joinKeyrings(base, mine, other, roots, { timeMs: clock.now(), generation });
}

async function readAll(storage: Storage): Promise<Generations> {
  const all = new Map<number, Buffer>();
  for (const generation of await listKeyrings(storage)) {
    // oxlint-disable-next-line no-await-in-loop -- few, and local but for the first time
    const bytes = await storage.read(keyringName(generation));
    if (bytes !== undefined) all.set(generation, bytes);
  }
  return all;
}

function newest(generations: Generations): readonly [generation: number, bytes: Buffer | undefined] {
  return [...generations].at(-1) ?? [0, undefined];
}

function isLater(ours: Generations, theirs: Generations): boolean {
  const [generation, bytes] = newest(ours);
  return bytes !== undefined && generation > newest(theirs)[0] && !hasCommon(ours, theirs);
}

function hasCommon(ours: Generations, theirs: Generations): boolean {
  return [...ours].some(([generation, bytes]) => holds(theirs, generation, bytes));
}

function holds(generations: Generations, generation: number, bytes: Buffer): boolean {
  return generations.get(generation)?.equals(bytes) === true;
}
