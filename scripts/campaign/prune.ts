// Histories of writers, pushes, fetches, prunes and crashes in all orders, on simulated time: what no prune was asked to drop can be
// restored at any time, from every storage that has it.

import { isMoltError } from '../../src/model/error.ts';
import type { CommitId, GitId, StorageId } from '../../src/model/ids.ts';
import { decideSweep } from '../../src/ops/prune-decide.ts';
import type { RetentionRules } from '../../src/policy/retention-rules.ts';
import { readCommit } from '../../src/repo/git.ts';
import { claimStorage, Repository } from '../../src/repo/repository.ts';
import { sweep, type SweepOrder } from '../../src/repo/sweep.ts';
import { deleteSwept, LOG_GRACE_MS, READER_GRACE_MS } from '../../src/repo/sweep-delete.ts';
import { transfer } from '../../src/repo/transfer.ts';
import { checkStorage } from '../../src/repo/verify.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { seededRandom } from '../../test/crypto/random.ts';
import { commitFiles, IDS, KEYS, must, readFiles, TIME_MS } from '../../test/repo/support.ts';
import { FaultStorage, ProcessDeath, type Fault } from '../../test/storage/fault-storage.ts';
import { type CampaignRun, seeded, type Tally } from './campaign.ts';

const HISTORIES = 2000;
const STEPS = 24;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FAULTS: readonly Fault[] = ['error', 'lost-answer', 'death'];
const RULES: readonly RetentionRules[] = [
  { plan: { days: 1, fulls: 2 } },
  { plan: { days: 3, fulls: 5 } },
  { last: 3 },
  { withinMs: DAY_MS, daily: 3 },
  { hourly: 4 },
];

/** The campaign. */
export async function campaign({ seed, share }: CampaignRun, tally: Tally): Promise<void> {
  const count = Math.max(20, Math.round(HISTORIES * share));
  for (let index = 0; index < count; index += 1) {
    const name = `${seed}/${index}`;
    await new History(name, tally).play().catch((error: unknown) => tally.fail(`history ${name}`, error));
  }
  tally.add('histories of writers, prunes and crashes', count);
}

/** One storage, and what is known of it. */
class Place {
  readonly name: string;
  readonly storage: MemoryStorage;
  /** Commits that are here with their content, and that no prune here was asked to drop. */
  readonly whole = new Set<CommitId>();
  /** Up to where its log was sent to the remote, as a client remembers it. */
  sent = { seq: 0, hash: '' };
  /** A process that opened it long ago. */
  sleeper: Repository | undefined;

  constructor(name: string, clock: { now(): number }) {
    this.name = name;
    this.storage = new MemoryStorage(clock, name);
  }
}

class History {
  readonly #name: string;
  readonly #tally: Tally;
  readonly #random: () => number;
  #nowMs = TIME_MS;
  readonly #clock = { now: (): number => this.#nowMs };
  #opened = 0;
  readonly #contents = new Map<CommitId, ReadonlyMap<string, string>>();
  readonly #held = new Set<CommitId>();
  readonly #machines: readonly Place[];
  readonly #remote: Place;
  readonly #steps: string[] = [];

  constructor(name: string, tally: Tally) {
    this.#name = name;
    this.#tally = tally;
    this.#random = seeded(name);
    this.#machines = [new Place('a', this.#clock), new Place('b', this.#clock)];
    this.#remote = new Place('remote', this.#clock);
  }

  async play(): Promise<void> {
    for (const [index, place] of [...this.#machines, this.#remote].entries())
      await claimStorage(place.storage, { ...IDS, storageId: `0${index + 1}`.repeat(16) as StorageId });
    try {
      for (let step = 0; step < STEPS; step += 1) {
        this.#nowMs += Math.floor(this.#random() ** 3 * 30 * HOUR_MS) + 60_000;
        await this.#step();
      }
      for (const place of [...this.#machines, this.#remote]) await this.#check(place, true);
      await this.#checkClone();
    } catch (error) {
      throw new Error(`after ${this.#steps.join(', ')}: ${error instanceof Error ? error.stack : String(error)}`, {
        cause: error,
      });
    }
  }

  async #step(): Promise<void> {
    const machine = this.#pick(this.#machines);
    const roll = this.#random();
    if (roll < 0.42) await this.#do('commit', machine, (storage) => this.#commit(machine, storage));
    else if (roll < 0.55) await this.#do('push', machine, (storage) => this.#push(machine, storage), this.#remote);
    else if (roll < 0.62) await this.#do('fetch', machine, (storage) => this.#fetch(machine, storage));
    else if (roll < 0.78) await this.#do('prune', machine, (storage) => this.#prune(machine, storage));
    else if (roll < 0.88) await this.#do('prune', this.#remote, (storage) => this.#prune(this.#remote, storage));
    else if (roll < 0.92) await this.#race(machine);
    else if (roll < 0.95) await this.#wake(machine);
    else if (roll < 0.97) this.#hold();
    else await this.#dropCaches(this.#pick([...this.#machines, this.#remote]));
  }

  /** Does something to a place, cut off somewhere now and then; afterwards all is as it must be. */
  async #do(what: string, place: Place, act: (storage: Storage) => Promise<void>, target = place): Promise<void> {
    this.#steps.push(`${what} ${place.name}`);
    const isCut = this.#random() < 0.35;
    const faulty = new FaultStorage(target.storage);
    if (isCut) faulty.failAt(1 + Math.floor(this.#random() * 40), this.#pick(FAULTS));
    try {
      await act(faulty);
    } catch (error) {
      if (!(error instanceof ProcessDeath) && !isMoltError(error)) throw error;
      if (!faulty.struck) throw error;
      this.#steps.push('(cut)');
      this.#tally.add(`${what}: cut off`);
    }
    this.#tally.add(what);
    await this.#check(target, what === 'prune');
  }

  async #open(storage: Storage): Promise<Repository> {
    this.#opened += 1;
    const random = seededRandom(`${this.#name} ${this.#opened}`);
    return Repository.open(storage, KEYS, { clock: this.#clock, random, checkpointEvery: 5 });
  }

  async #commit(place: Place, storage: Storage): Promise<void> {
    await this.#commitTo(place, await this.#open(storage));
  }

  async #commitTo(place: Place, repository: Repository): Promise<void> {
    const files: Record<string, Buffer> = {};
    // Few contents, so that what went comes up again.
    for (const path of ['x', 'y', 'd/z'])
      files[path] = this.#content(`${path} ${Math.floor(this.#random() * 4)}`, 2000);
    const big = this.#content(`big ${place.name}`, 150_000);
    for (let change = 0; change < 3; change += 1)
      big.write(`${Math.floor(this.#random() * 9)}`, Math.floor(this.#random() * 3) * 50_000);
    files['big'] = big;
    const full = this.#random() < 0.25;
    const id = await commitFiles(repository, files, {
      ref: `refs/heads/${place.name}`,
      full,
      timeMs: this.#nowMs,
      message: `${place.name} ${this.#nowMs}\n`,
    });
    this.#contents.set(id, new Map(Object.entries(files).map(([path, bytes]) => [path, bytes.toString('latin1')])));
    place.whole.add(id);
  }

  #content(label: string, length: number): Buffer {
    return seededRandom(`content ${label}`).bytes(length);
  }

  async #push(machine: Place, target: Storage): Promise<void> {
    const [here, there] = [await this.#open(machine.storage), await this.#open(target)];
    const sent = await this.#placeOf(here, machine);
    const known = await this.#wholeIn(here);
    await transfer(here, there, {
      isKnown: (seq) => seq <= sent,
      moves: async () => this.#moves(here, there, machine.name),
    });
    machine.sent = here.log.tip;
    const after = await this.#open(this.#remote.storage);
    for (const id of known) if (await this.#isWhole(after, id)) this.#remote.whole.add(id);
    const tip = here.refs.get(`refs/heads/${machine.name}`);
    if (tip !== undefined && !(await this.#isWhole(after, tip))) throw new Error(`${tip} was pushed, and is not whole`);
  }

  async #placeOf(repository: Repository, { sent }: Place): Promise<number> {
    if (sent.seq === 0 || sent.seq <= repository.log.begin.seq)
      return sent.seq === repository.log.begin.seq ? sent.seq : 0;
    return sent.seq;
  }

  async #fetch(machine: Place, storage: Storage): Promise<void> {
    const [there, here] = [await this.#open(this.#remote.storage), await this.#open(storage)];
    if (there.log.tip.seq === 0) return;
    await transfer(there, here, {
      isKnown: () => false,
      moves: async () => this.#moves(there, here, machine.name === 'a' ? 'b' : 'a'),
    });
    const other = there.refs.get(`refs/heads/${machine.name === 'a' ? 'b' : 'a'}`);
    const after = await this.#open(machine.storage);
    if (other !== undefined && !(await this.#isWhole(after, other)))
      throw new Error(`${other} was fetched, and is not whole`);
    if (other !== undefined) machine.whole.add(other);
  }

  async #moves(from: Repository, to: Repository, branch: string) {
    const name = `refs/heads/${branch}`;
    const [is, was] = [from.refs.get(name), to.refs.get(name)];
    if (is === undefined || is === was) return [];
    if (was !== undefined && !(await isBehind(from, is, was))) return [];
    return [{ name, from: was, to: is }];
  }

  async #prune(place: Place, storage: Storage): Promise<void> {
    const rules = this.#pick(RULES);
    const repository = await this.#open(storage);
    const grace = place === this.#remote ? READER_GRACE_MS : this.#pick([0, 0, Infinity]);
    const options = { nowMs: this.#nowMs, packGraceMs: grace };
    await deleteSwept(repository, options);
    await sweep(repository, () => this.#decide(place, repository, rules), {
      orphanedBeforeMs: this.#nowMs - LOG_GRACE_MS,
      ...(place !== this.#remote || this.#random() < 0.5
        ? {}
        : { near: await this.#open(must(this.#machines[0]).storage) }),
    });
    await deleteSwept(repository, options);
  }

  async #decide(place: Place, repository: Repository, rules: RetentionRules): Promise<SweepOrder> {
    const needed = new Map([...this.#held].map((id) => [id, 'held']));
    const pushedSeq = place === this.#remote ? Infinity : place.sent.seq;
    const known = { needed, pushedSeq, holds: new Map() };
    const { order } = await decideSweep({ clock: this.#clock, zone: 'UTC' }, repository, rules, known);
    for (const { id } of order.expire) place.whole.delete(id);
    return order;
  }

  /** A commit and a prune of one place at once, each by a process of its own. */
  async #race(place: Place): Promise<void> {
    this.#steps.push(`race ${place.name}`);
    const outcomes = await Promise.allSettled([
      this.#commit(place, place.storage),
      this.#prune(place, place.storage),
      this.#commit(place, place.storage),
    ]);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected' && !isMoltError(outcome.reason, 'SWEPT', 'CONFLICT')) throw outcome.reason;
    this.#tally.add('commits and a prune at once');
    await this.#check(place, true);
  }

  /** A process that opened the repository some steps ago goes on, or one is opened for later. */
  async #wake(place: Place): Promise<void> {
    const { sleeper } = place;
    this.#steps.push(`${sleeper === undefined ? 'sleep' : 'wake'} ${place.name}`);
    place.sleeper = sleeper === undefined ? await this.#open(place.storage) : undefined;
    if (sleeper === undefined) return;
    try {
      await this.#commitTo(place, sleeper);
      this.#tally.add('processes that slept and saved');
    } catch (error) {
      if (!isMoltError(error)) throw error;
      this.#tally.add('processes that slept and were told to begin anew');
    }
    await this.#check(place, false);
  }

  #hold(): void {
    const id = this.#pick([...this.#contents.keys()]);
    if (id === undefined) return;
    this.#steps.push('hold');
    this.#held.add(id);
  }

  async #dropCaches({ name, storage }: Place): Promise<void> {
    this.#steps.push(`caches of ${name} lost`);
    for (const prefix of ['index/', 'checkpoint/'])
      for await (const object of storage.list(prefix)) await storage.delete(object.name);
  }

  async #wholeIn(repository: Repository): Promise<CommitId[]> {
    return (await repository.index.listCommits()).filter(({ isExpired }) => !isExpired).map(({ id }) => id);
  }

  async #isWhole(repository: Repository, id: CommitId): Promise<boolean> {
    if (await repository.isExpired(id)) return false;
    try {
      await this.#compare(repository, id);
      return true;
    } catch (error) {
      if (isMoltError(error)) return false;
      throw error;
    }
  }

  async #compare(repository: Repository, id: CommitId): Promise<void> {
    const wanted = this.#contents.get(id);
    // A commit whose answer was lost is there, and nobody remembers what it held.
    if (wanted === undefined) return void (await readFiles(repository, id));
    for (const [path, bytes] of await readFiles(repository, id))
      if (wanted.get(path) !== bytes.toString('latin1')) throw new Error(`${path} of ${id} is another one`);
  }

  async #check(place: Place, isThorough: boolean): Promise<void> {
    const repository = await this.#open(place.storage);
    const [problem] = repository.problems;
    if (problem !== undefined) throw new Error(`${place.name}: ${problem.problem}`);
    const listed = new Map((await repository.index.listCommits()).map((commit) => [commit.id, commit]));
    for (const id of place.whole) {
      if (listed.get(id)?.isExpired !== false) throw new Error(`${id} is not listed as whole in ${place.name}`);
      if (isThorough) await this.#compare(repository, id);
    }
    for (const { id } of listed.values()) {
      await readCommit(repository, id);
      this.#tally.add('commits read');
    }
    if (!isThorough) return;
    const { report } = await checkStorage(
      { storage: place.storage, repositoryId: repository.id, storageId: repository.storageId, keys: repository.keys },
      { readShare: 1, random: () => 0 },
    );
    const bad = report.problems.filter(({ object }) => !object.startsWith('keys/'));
    if (bad.length > 0) throw new Error(`verify of ${place.name}: ${bad.map((one) => one.problem).join('; ')}`);
    this.#tally.add('storages verified whole');
  }

  /** What is cloned is what the remote has. */
  async #checkClone(): Promise<void> {
    const there = await this.#open(this.#remote.storage);
    if (there.log.tip.seq === 0) return;
    const copy = new Place('clone', this.#clock);
    await claimStorage(copy.storage, { ...IDS, storageId: '0c'.repeat(16) as StorageId });
    const here = await this.#open(copy.storage);
    await transfer(there, here, {
      isKnown: () => false,
      moves: async () => [...there.refs].map(([name, to]) => ({ name, from: here.refs.get(name), to })),
    });
    for (const id of this.#remote.whole) copy.whole.add(id);
    await this.#check(copy, true);
    const [before, after] = [await there.index.listCommits(), await here.index.listCommits()];
    if (before.length !== after.length) throw new Error(`${after.length} commits were cloned of ${before.length}`);
    this.#tally.add('clones');
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}

async function isBehind(repository: Repository, tip: GitId, ancestor: GitId): Promise<boolean> {
  for (let id: CommitId | undefined = tip; id !== undefined;) {
    if (id === ancestor) return true;
    [id] = (await readCommit(repository, id)).parents;
  }
  return false;
}
