// Checks the log of a storage and everything that its segments bring: the chain, declared holes, undeclared gaps, the packs they name,
// and the objects of all these containers.

import { hash } from 'node:crypto';
import type { Footer } from '../format/footer.ts';
import { END_MAGIC, KIND, MAGIC } from '../format/layout.ts';
import {
  NO_PREVIOUS,
  packName,
  parseSegmentName,
  parseSegmentRecord,
  segmentName,
  type CommitNote,
  type SegmentRecord,
} from '../format/segment.ts';
import { parseHistoryNote, type HistoryEntry } from '../format/history-note.ts';
import type { LogBase, PackNote } from '../format/log-base.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId, SegmentSeq } from '../model/ids.ts';
import type { ContainerReader } from '../format/container.ts';
import { decode, namedPack, type Containers, type Named } from './containers.ts';
import { findSweep, type FoundBase } from './find-base.ts';
import { LostObjects } from './lost-objects.ts';
import { isStorageFailure } from './storage-failure.ts';
import { tagTarget } from './edges.ts';
import type { ObjectGraph } from './verify-objects.ts';
import type { VerifyReport } from './verify-report.ts';

/** No pack that molt writes is larger, so that one can be read whole. */
const PACK_READ_MAX_BYTES = 64 << 20;

/** What a check of the log works with. */
export interface LogCheckOptions {
  readonly containers: Containers;
  readonly graph: ObjectGraph;
  readonly report: VerifyReport;
  /** Every object of the storage with its size, in order of names. */
  readonly objects: ReadonlyMap<string, number>;
  /** Says whether a pack is read whole. */
  readonly readsPack: (name: string) => boolean;
  /** Deltas of file content are decoded, with the blocks of their bases. */
  readonly readsDeltas: boolean;
  /** What the newest checkpoint says of the log's sweeps. */
  readonly known: { readonly seq: number; readonly sweepSeq: number } | undefined;
  /** Is told what the log says as of each segment. */
  readonly onSegment: (segment: { readonly seq: SegmentSeq; readonly hash: string }) => void;
  readonly onRead: (bytes: number) => void;
}

/** A number of the log that holds something unreadable. */
interface Unreadable {
  readonly seq: SegmentSeq;
  readonly sha256: string;
  readonly error: MoltError;
  /** It was a container of molt's before it was damaged, so probably a segment of this log. */
  readonly wasOurs: boolean;
}

/** A commit as its segment notes it. */
export type LoggedCommit = CommitNote & { readonly seq: SegmentSeq };

/** Replays the log as opening a repository does, but looks at everything. */
export class LogCheck {
  readonly refs = new Map<string, GitId>();
  readonly commits = new Map<CommitId, LoggedCommit>();
  /** The commits that tags name, by ref, as their segments say. */
  readonly tagged = new Map<string, CommitId>();
  /** Commits by the ids of the annotated tags that name them. */
  readonly tagTargets = new Map<GitId, CommitId>();
  /** Numbers that hold no segment. */
  readonly holes: number[] = [];
  /** What containers list and can't give. */
  readonly lost = new LostObjects();
  readonly usedPacks = new Set<string>();
  /** Commits whose content is gone by a sweep, as their pack notes them. */
  readonly expired = new Map<CommitId, HistoryEntry>();
  /** Where the log begins; undefined if nothing was swept. */
  base: FoundBase | undefined;
  /** The newest keyring that a writer knew. */
  keyGeneration = 0;
  readonly #options: LogCheckOptions;
  #tip = { seq: 0, hash: NO_PREVIOUS };
  #tipIsDamaged = false;
  #unreadable: Unreadable[] = [];
  /** What segments note of tags, and what tags and commits say themselves. */
  readonly #claims: { readonly seq: SegmentSeq; readonly tag: GitId; readonly commit: CommitId }[] = [];
  readonly #readTags = new Map<GitId, CommitId>();
  readonly #readParents = new Map<CommitId, string>();

  constructor(options: LogCheckOptions) {
    this.#options = options;
  }

  /** Number of the last good segment. */
  get tipSeq(): number {
    return this.#tip.seq;
  }

  /** Says of a segment or pack whether it is part of the repository. */
  counts(name: string): boolean {
    const { seq: beginSeq = 0, swept = [] } = this.base?.base ?? {};
    const seq = parseSegmentName(name);
    if (seq !== undefined) return seq > beginSeq && seq <= this.#tip.seq && !this.holes.includes(seq);
    return this.usedPacks.has(name) && !swept.some((id) => packName(id) === name);
  }

  async run(): Promise<void> {
    const { containers, objects, known } = this.#options;
    const numbers = [...objects.keys()].map(parseSegmentName).filter((seq) => seq !== undefined);
    this.base = await findSweep(containers, numbers, known);
    if (this.base !== undefined) await this.#begin(this.base);
    for (const seq of numbers) {
      // oxlint-disable-next-line no-await-in-loop -- a chain is read in order
      if (seq > (this.base?.base.seq ?? 0)) await this.#takeNumber(seq, segmentName(seq));
    }
    for (const { seq, error } of this.#unreadable) this.#options.report.add(segmentName(seq), error);
    this.#checkNotes();
  }

  /** Begins at a sweep: what it names stands for all that is gone. */
  async #begin({ base, commits, seq }: FoundBase): Promise<void> {
    this.#tip = { seq: base.seq, hash: base.hash };
    const history = new Set(base.history);
    // Commits without content first, so that nobody asks for it.
    const packs = [
      ...base.packs.filter(({ id }) => history.has(id)),
      ...base.packs.filter(({ id }) => !history.has(id)),
    ];
    for (const pack of packs) {
      this.usedPacks.add(packName(pack.id));
      // oxlint-disable-next-line no-await-in-loop -- one pack in memory at a time
      if (history.has(pack.id)) await this.#readHistory(pack.id);
      // oxlint-disable-next-line no-await-in-loop -- the same
      await this.#takePack(pack, packName(pack.id), seq);
    }
    // What may still be there of what counts no more is no garbage of anybody else's.
    for (const id of base.swept) this.usedPacks.add(packName(id));
    for (const commit of commits)
      if (commit.seq !== undefined) this.commits.set(commit.id, { ...commit, seq: commit.seq });
  }

  async #readHistory(id: PackId): Promise<void> {
    try {
      const footer = await this.#options.containers.readFooter({ pack: id });
      for (const entry of parseHistoryNote(footer, packName(id))) this.expired.set(entry.id, entry);
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#options.report.add(packName(id), error);
    }
  }

  /** Holds what segments note of commits and tags against these themselves. */
  #checkNotes(): void {
    const wrong = (seq: SegmentSeq, what: string): void =>
      this.#options.report.add(segmentName(seq), new MoltError('DAMAGED', `${segmentName(seq)} ${what}`));
    for (const { seq, tag, commit } of this.#claims) {
      const target = this.#readTags.get(tag);
      if (target !== undefined && target !== commit) wrong(seq, `notes another commit of tag ${tag} than it names`);
    }
    for (const { seq, id, parents } of this.commits.values()) {
      const actual = this.#readParents.get(id);
      if (parents !== undefined && actual !== undefined && actual !== parents.join())
        wrong(seq, `notes other parents of commit ${id} than it has`);
    }
  }

  async #takeNumber(seq: SegmentSeq, name: string): Promise<void> {
    const { containers, report } = this.#options;
    const bytes = await containers.storage.read(name);
    if (bytes === undefined) return;
    report.checked.segments += 1;
    this.#options.onRead(bytes.length);
    const sha256 = hash('sha256', bytes, 'hex');
    const named: Named = { name, kind: KIND.segment, seq };
    try {
      const { footer, damage } = await this.#openSegment(bytes, named);
      const record = parseSegmentRecord(footer.record, name);
      if (record.seq !== seq) throw new MoltError('RENAMED', `${name} is number ${record.seq} under another name`);
      this.#follow(record, sha256);
      if (damage !== undefined) report.add(name, damage);
      this.#tipIsDamaged = damage !== undefined;
      await this.#takePacks(record);
      await this.#takeObjects(
        { ref: { seq }, seq },
        footer,
        blockReader(containers.openBytes(bytes, named), footer, bytes),
      );
      this.#options.onSegment({ seq, hash: sha256 });
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      this.#unreadable.push({ seq, sha256, error, wasOurs: wasContainer(bytes, error) });
      this.holes.push(seq);
    }
  }

  /** Accounts for everything between the last good segment and this one, then applies it. */
  #follow(record: SegmentRecord, sha256: string): void {
    const { report } = this.#options;
    const declared = new Map(record.holes.map((hole) => [hole.seq, hole.sha256]));
    // The next segment chains to the bytes that stood here before they were damaged, and those are not known any more.
    let isBroken = this.#tipIsDamaged;
    for (const { seq, sha256: found, error, wasOurs } of this.#unreadable) {
      const name = segmentName(seq);
      if (declared.get(seq) !== found) {
        isBroken = true;
        report.add(name, error);
      } else if (wasOurs) {
        report.add(
          name,
          new MoltError('DAMAGED', `${error.message}; the log went on without it, and what it recorded is lost`, {
            cause: error,
          }),
        );
      } else {
        report.note(name, `is no segment of this log, which went on past it (${error.message})`);
      }
    }
    const unread = new Set(this.#unreadable.map(({ seq }) => seq));
    for (let seq = (this.#tip.seq + 1) as SegmentSeq; seq < record.seq; seq = (seq + 1) as SegmentSeq) {
      if (unread.has(seq) || declared.has(seq)) continue;
      isBroken = true;
      report.add(
        segmentName(seq),
        new MoltError('DAMAGED', `${segmentName(seq)} is missing, but segments after it are there`),
      );
    }
    this.#unreadable = [];
    if (!isBroken && record.previous !== this.#tip.hash) {
      report.add(
        segmentName(record.seq),
        new MoltError('DAMAGED', `${segmentName(record.seq)} does not follow what stands before it`),
      );
    }
    this.#tip = { seq: record.seq, hash: sha256 };
    this.keyGeneration = Math.max(this.keyGeneration, record.keyGeneration);
    for (const { name, to, commit } of record.refs) {
      if (to === undefined) this.refs.delete(name);
      else this.refs.set(name, to);
      if (to === undefined || commit === undefined) this.tagged.delete(name);
      else this.tagged.set(name, commit);
      if (to !== undefined && commit !== undefined) this.#claims.push({ seq: record.seq, tag: to, commit });
    }
    const [commit, ...others] = record.commits;
    // A backup and its tag come in one segment: that still tells what was tagged when the tag itself is lost.
    for (const { name, to } of commit === undefined || others.length > 0 ? [] : record.refs) {
      if (name.startsWith('refs/tags/') && to !== undefined && to !== commit?.id)
        this.tagTargets.set(to, commit?.id ?? to);
    }
    for (const commit of record.commits)
      if (commit.seq === undefined) this.commits.set(commit.id, { ...commit, seq: record.seq });
    if (record.base === undefined) return;
    this.#setRefs(record.base);
  }

  /** From a sweep on the refs are those that it names. */
  #setRefs({ refs, tagged }: LogBase): void {
    this.refs.clear();
    this.tagged.clear();
    for (const [name, id] of refs) this.refs.set(name, id);
    for (const [name, id] of tagged) this.tagged.set(name, id);
  }

  async #takePacks(record: SegmentRecord): Promise<void> {
    // Of packs from before the sweep where the log begins only those count that it names.
    if (record.seq < (this.base?.seq ?? 0)) return;
    for (const pack of record.packs) {
      const name = packName(pack.id);
      if (this.usedPacks.has(name)) continue;
      // oxlint-disable-next-line no-await-in-loop -- one pack in memory at a time
      if (record.history?.includes(pack.id) === true) await this.#readHistory(pack.id);
      this.usedPacks.add(name);
      // oxlint-disable-next-line no-await-in-loop -- one pack in memory at a time
      await this.#takePack(pack, name, record.seq);
    }
  }

  async #takePack(pack: PackNote, name: string, seq: SegmentSeq): Promise<void> {
    const { containers, report, objects } = this.#options;
    const sizeBytes = objects.get(name);
    if (sizeBytes === undefined) {
      report.add(name, new MoltError('DAMAGED', `${name} is missing`));
      return;
    }
    report.checked.packs += 1;
    if (sizeBytes !== pack.sizeBytes) {
      const code = sizeBytes < pack.sizeBytes ? 'TRUNCATED' : 'DAMAGED';
      report.add(name, new MoltError(code, `${name} has ${sizeBytes} bytes instead of ${pack.sizeBytes}`));
    }
    const named = namedPack(pack.id);
    const container = { ref: { pack: pack.id }, seq };
    try {
      if (!this.#options.readsPack(name) || sizeBytes > PACK_READ_MAX_BYTES) {
        const footer = await containers.readFooter(container.ref);
        const reads = this.#rangeReader(container.ref, footer);
        await this.#takeObjects(container, footer, reads, false);
        return;
      }
      const bytes = await containers.storage.read(name);
      if (bytes === undefined) throw new MoltError('DAMAGED', `${name} is missing`);
      this.#options.onRead(bytes.length);
      const footer = await containers.verifyWhole(bytes, named);
      await this.#takeObjects(container, footer, blockReader(containers.openBytes(bytes, named), footer, bytes));
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      report.add(name, error);
      if (error.code !== 'RENAMED') await this.#salvage(container);
    }
  }

  /** Takes what can still be read of a damaged pack. */
  async #salvage(container: { readonly ref: PackRef; readonly seq: SegmentSeq }): Promise<void> {
    try {
      const footer = await this.#options.containers.readFooter(container.ref);
      await this.#takeObjects(container, footer, this.#rangeReader(container.ref, footer));
    } catch (error) {
      // Without header or footer nothing can be read. What was wrong is reported already.
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
    }
  }

  #rangeReader(ref: PackRef, footer: Footer): (block: number) => Promise<Buffer> {
    return async (number) => {
      const block = footer.blocks[number];
      if (block === undefined) throw new Error('a footer names a block that it has not');
      this.#options.onRead(block.sealedBytes);
      return this.#options.containers.readBlock({
        container: ref,
        block: number,
        blockOffsetBytes: block.offsetBytes,
        blockSealedBytes: block.sealedBytes,
        blockPlainBytes: block.plainBytes,
        encoding: block.encoding,
      });
    };
  }

  async #takeObjects(
    container: Parameters<ObjectGraph['take']>[0],
    footer: Footer,
    readBlock: (number: number) => Promise<Buffer>,
    content = true,
  ): Promise<void> {
    const { graph, report } = this.#options;
    report.checked.objects += footer.objects.length;
    const onTag = (id: GitId, content: Buffer): void => {
      const target = tagTarget(content, id);
      this.tagTargets.set(id, target);
      this.#readTags.set(id, target);
    };
    const onCommit = (id: CommitId, parents: readonly CommitId[]): void => {
      this.#readParents.set(id, parents.join());
    };
    const depth = { content, deltas: this.#options.readsDeltas };
    const isExpired = (id: CommitId): boolean => this.expired.has(id);
    for (const problem of await graph.take(container, footer, { depth, readBlock, onTag, onCommit, isExpired })) {
      report.add(problem.object, problem.error);
      this.lost.add(problem.object, problem.block, problem.key);
    }
  }

  /** A segment whose footer is good counts although another block of it is damaged: that is how opening a repository takes it. */
  async #openSegment(bytes: Buffer, named: Named): Promise<{ footer: Footer; damage: MoltError | undefined }> {
    const { containers } = this.#options;
    try {
      return { footer: await containers.verifyWhole(bytes, named), damage: undefined };
    } catch (error) {
      if (!isMoltError(error) || isStorageFailure(error)) throw error;
      try {
        const { footer } = await containers
          .openBytes(bytes, named)
          .readFooter(async (start, end) => bytes.subarray(start, end), bytes.length);
        return { footer, damage: error };
      } catch {
        throw error;
      }
    }
  }
}

function wasContainer(bytes: Buffer, error: MoltError): boolean {
  const looksLikeOne =
    bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes.subarray(-END_MAGIC.length).equals(END_MAGIC);
  return looksLikeOne && isMoltError(error, 'DAMAGED', 'TRUNCATED');
}

type PackRef = { readonly pack: PackNote['id'] };

/** Reads blocks of a container that is in memory. */
function blockReader(reader: ContainerReader, footer: Footer, bytes: Buffer): (number: number) => Promise<Buffer> {
  return async (number) => {
    const block = footer.blocks[number];
    if (block === undefined) throw new Error('a footer names a block that it has not');
    const sealed = bytes.subarray(block.offsetBytes, block.offsetBytes + block.sealedBytes);
    return decode(reader.openBlock(number, block.type, sealed), block.encoding, block.plainBytes, reader.name);
  };
}
