// Brings the keyrings of two storages of one repository together. As with logs, the generations are each storage's own order; what has to
// agree is the newest. If the keys were changed on both sides, the changes since what they last had in common are joined in a generation
// that is new on both: what was removed on either side stays removed, what was added is there. What can't be joined without a
// person's word is only settled by fetching, which says what to do again; nothing that is pushed changes the keys in such a way.

import type { RootKeys } from '../crypto/roots.ts';
import { isSecretSlot, type Slot } from '../crypto/slot.ts';
import { encodeKeyring, joinKeyrings, renumberKeyring, type JoinedKeyrings, type Keyring } from '../format/keyring.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { RepositoryId } from '../model/ids.ts';
import { keyringName, listKeyrings } from '../repo/keyrings.ts';
import type { Storage } from '../storage/storage.ts';
import type { OpsContext } from './context.ts';
import type { Agent } from './home.ts';
import { describeSlot, dropOutdated } from './key.ts';
import {
  baseOf,
  contentHash,
  findBase,
  isSame,
  numberAbove,
  numberBehind,
  readGenerations,
  type Generations,
  type KeyringBase,
} from './keyring-generations.ts';
import { readGeneration } from './open-keys.ts';

/** How often a generation may be taken by others before this gives up. */
const MOST_TRIES = 100;

/** Two sides of a repository. */
export interface KeySides {
  readonly agent: Agent;
  readonly here: Storage;
  readonly there: Storage;
  /** What the other side is called in messages. */
  readonly name: string;
  readonly roots: RootKeys;
  /** What is remembered of the other side. */
  readonly base: KeyringBase | undefined;
}

/** Keeps what both sides have in common. */
type Remember = (base: KeyringBase | undefined) => Promise<void>;

/** Copies the keyrings into a storage that has none; what somebody else put under such names is left behind. */
export async function copyKeyrings(
  from: Storage,
  to: Storage,
  { repository, roots }: { readonly repository: RepositoryId; readonly roots: RootKeys },
): Promise<void> {
  for (const keyring of (await readGenerations(from, repository, roots)).proven) {
    // oxlint-disable-next-line no-await-in-loop -- few, and in order
    if (!(await to.createOnce(keyringName(keyring.generation), [encodeKeyring(keyring)])))
      throw new MoltError('EXISTS', `${to.label} holds a keyring already`);
  }
}

/** Says whether the newest keyrings of two storages hold the same keys; needs no key, and so takes their word for it. */
export async function haveSameKeys(one: Storage, other: Storage, repository: RepositoryId): Promise<boolean> {
  const [mine, theirs] = await Promise.all([one, other].map((storage) => readNewest(storage, repository)));
  return mine !== undefined && theirs !== undefined && isSame(mine, theirs);
}

/** Says whether nothing was changed in the keys here since both sides had the same. */
export async function hasSentKeys(sides: KeySides): Promise<boolean> {
  const { ours, theirs, base } = await readSides(sides);
  const mine = ours.proven.at(-1);
  const other = theirs.proven.at(-1);
  return mine !== undefined && (contentHash(mine) === base?.hash || (other !== undefined && isSame(mine, other)));
}

/**
 * Makes the newest keys of this side the newest of the other one too, or joins both.
 * @param remember keeps what both sides have in common, and what is under way
 * @returns the other side's newest generation, and whether it was written just now
 * @throws {MoltError} CONFLICT when the keys were rotated there, or both were changed in a way that a fetch has to settle
 */
export async function sendKeyrings(
  context: OpsContext,
  sides: KeySides,
  remember: Remember,
): Promise<{ readonly generation: number; readonly isNew: boolean }> {
  let known = sides.base;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const now = { ...sides, base: known };
    // oxlint-disable-next-line no-await-in-loop -- again only when somebody else changed the keys just now
    const { ours, theirs, base } = await readSides(now);
    refuseOtherRoots(theirs, base, sides);
    const [mine, other] = [getNewest(ours, sides.here), theirs.proven.at(-1)];
    const isSent = other !== undefined && (isSame(mine, other) || contentHash(mine) === base?.hash);
    if (isSent) {
      // oxlint-disable-next-line no-await-in-loop -- the last step
      await remember(isSame(mine, other) ? baseOf(other) : base);
      return { generation: other.generation, isNew: false };
    }
    if (other !== undefined && !isLatest(base, other)) {
      const joined = join(context, { ours, theirs, base, roots: sides.roots });
      if (joined.doubtful.length > 0) throw unsettled(sides.name, joined.doubtful);
      // oxlint-disable-next-line no-await-in-loop -- once for each change over there
      if (await writeHere(context, sides, joined.keyring)) await remember((known = baseOf(other)));
      continue;
    }
    const generation = numberBehind(theirs);
    const next =
      mine.generation === generation
        ? mine
        : renumberKeyring(mine, sides.roots, { generation, timeMs: context.clock.now() });
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (base !== undefined) await remember((known = { ...base, sending: contentHash(mine) }));
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (!(await sides.there.createOnce(keyringName(generation), [encodeKeyring(next)]))) continue;
    // oxlint-disable-next-line no-await-in-loop -- the last step
    await remember(baseOf(next));
    return { generation, isNew: true };
  }
  throw new MoltError('CONFLICT', 'others change the keys all the time', { hint: 'try again' });
}

/**
 * Takes over what was changed in the keyrings of another side, beside what was changed here, and warns of what it could not.
 * @param sides.roots those of the side whose epoch is later
 * @param options.isOld the other side may be older than what is here, as a bundle is: then a key that only it has is left out
 * @returns what to remember
 * @throws {MoltError} CONFLICT when the keys were rotated on both sides, or changed here meanwhile
 */
export async function takeKeyrings(
  context: OpsContext,
  sides: KeySides,
  { isOld } = { isOld: false },
): Promise<KeyringBase | undefined> {
  const { ours, theirs, base } = await readSides(sides);
  refuseOtherRoots(theirs, base, sides);
  refuseOtherRoots(ours, base, sides);
  const [mine, other] = [getNewest(ours, sides.here), theirs.proven.at(-1)];
  if (other === undefined || isLatest(base, other)) return base;
  if (isSame(mine, other)) return baseOf(other);
  if (isOld && base === undefined && mine.epoch >= other.epoch) return undefined;
  const joined = join(context, { ours, theirs, base, roots: sides.roots });
  for (const slot of joined.lost) context.reporter.warn(describeLost(slot));
  if (base === undefined) for (const slot of joined.came) context.reporter.warn(describeCame(slot, sides.name));
  const isTheirs = isSame(joined.keyring, other) && joined.keyring.generation === other.generation;
  if (!(await writeHere(context, sides, isTheirs ? other : joined.keyring)))
    throw new MoltError('CONFLICT', 'the keys were changed here just now', { hint: 'try again' });
  return baseOf(other);
}

/** Writes a keyring here, and deletes older ones that open with a key that it lacks. Says whether it was the next one. */
async function writeHere(context: OpsContext, { agent, here, roots }: KeySides, keyring: Keyring): Promise<boolean> {
  if (!(await here.createOnce(keyringName(keyring.generation), [encodeKeyring(keyring)]))) return false;
  await dropOutdated({ context, agent, storage: here, roots }, keyring);
  return true;
}

async function readSides({ agent, here, there, roots, base }: KeySides): Promise<{
  readonly ours: Generations;
  readonly theirs: Generations;
  readonly base: KeyringBase | undefined;
}> {
  const ours = await readGenerations(here, agent.repository, roots);
  const theirs = await readGenerations(there, agent.repository, roots);
  return { ours, theirs, base: findBase(ours, theirs, base) };
}

async function readNewest(storage: Storage, repository: RepositoryId): Promise<Keyring | undefined> {
  const newest = (await listKeyrings(storage)).at(-1);
  if (newest === undefined) return undefined;
  return readGeneration(storage, repository, newest).catch((error: unknown) => {
    if (isMoltError(error, 'DAMAGED', 'RENAMED', 'WRONG_REPOSITORY', 'HOSTILE')) return undefined;
    throw error;
  });
}

function getNewest({ proven }: Generations, storage: Storage): Keyring {
  const newest = proven.at(-1);
  if (newest !== undefined) return newest;
  throw new MoltError('DAMAGED', `${storage.label} has no keyring that these keys open`, { hint: 'molt verify' });
}

/** Says whether the other side's newest keyring is the one that both had. */
function isLatest(base: KeyringBase | undefined, other: Keyring): boolean {
  return base?.generation === other.generation && base.hash === contentHash(other);
}

/**
 * Refuses keyrings under roots that are not at hand: nothing may be sealed for the other side under a root that is over there, since
 * whoever was locked out could read it. One of a known epoch is forged or damaged instead, and stops nobody.
 */
function refuseOtherRoots(
  { unproven }: Generations,
  base: KeyringBase | undefined,
  { name, roots }: Pick<KeySides, 'name' | 'roots'>,
): void {
  for (const { generation, epoch } of unproven) {
    if (generation <= (base?.generation ?? 0) || epoch <= (base?.epoch ?? 1)) continue;
    if (epoch > roots.epoch && (base === undefined || roots.epoch === base.epoch)) {
      throw new MoltError('CONFLICT', 'the keys were rotated on another machine; nothing was sent under the old ones', {
        hint: 'molt fetch takes the new ones over; then push again',
      });
    }
    throw new MoltError('CONFLICT', `the keys were rotated here, and on ${name} too, each without the other`, {
      hint: 'both sides are whole, but can’t become one any more: molt remote add NAME URL gives what is here a place of its own',
    });
  }
}

/** What joining came to, beside the keyring. */
interface Joined extends JoinedKeyrings {
  /** Slots that only the other side had. */
  readonly came: readonly Slot[];
  /** What a person has to know before it may be sent. */
  readonly doubtful: readonly Slot[];
}

/** Joins both sides' newest keys under the next number here. */
function join(
  { clock }: OpsContext,
  {
    ours,
    theirs,
    base,
    roots,
  }: { ours: Generations; theirs: Generations; base: KeyringBase | undefined; roots: RootKeys },
): Joined {
  const [mine, other] = [ours.proven.at(-1), theirs.proven.at(-1)];
  if (mine === undefined || other === undefined) throw new Error('there is nothing to join');
  const had = new Set(base?.slots ?? listEarlier(mine, theirs));
  const joined = joinKeyrings(had, mine, other, roots, { timeMs: clock.now(), generation: numberAbove(ours) });
  const have = new Set(mine.slots.map(({ id }) => id));
  const came = joined.keyring.slots.filter(({ id }) => !have.has(id));
  return { ...joined, came, doubtful: base === undefined ? [...came, ...joined.lost] : joined.lost };
}

/** Without a memory of what was common, this much is sure: a slot that the other side once had and has no more was removed there. */
function listEarlier(mine: Keyring, theirs: Generations): string[] {
  const once = new Set(theirs.proven.flatMap(({ slots }) => slots.map(({ id }) => id)));
  return mine.slots.map(({ id }) => id).filter((id) => once.has(id));
}

function unsettled(name: string, slots: readonly Slot[]): MoltError {
  const which = slots.map(nameOf).join(', ');
  return new MoltError(
    'CONFLICT',
    `the keys were changed here, and on ${name} too; nothing was sent. In doubt: ${which}`,
    {
      hint: `molt fetch ${name} brings the keys together and says what becomes of each; then push again`,
    },
  );
}

function describeLost(slot: Slot): string {
  return `key ${nameOf(slot)} does not outlast the rotation of the keys; to let it in again: ${howToAdd(slot)}`;
}

function describeCame(slot: Slot, name: string): string {
  return `key ${nameOf(slot)} of ${name} opens the repository here too; if it was removed here, molt key remove ${slot.id.slice(0, 8)}`;
}

function nameOf(slot: Slot): string {
  return `${slot.id.slice(0, 8)} "${describeSlot(slot).label}"`;
}

function howToAdd(slot: Slot): string {
  const label = `--label ${JSON.stringify(describeSlot(slot).label)}`;
  if (!isSecretSlot(slot)) return 'molt key add';
  if (slot.recipient !== undefined) return `molt key add --recipient PUBKEY ${label}`;
  if (slot.type === 'exec') return `molt key add --exec COMMAND ${label}`;
  return `molt key add ${slot.type} ${label}${slot.type === 'device' ? ', on its machine' : ''}`;
}
