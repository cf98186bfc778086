// Brings the index of search up to date: reads what each commit changed since the one before it.

import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { foldText } from '../diff/fold.ts';
import { searchedText } from '../diff/search-units.ts';
import type { BlobId, CommitId, TreeId } from '../model/ids.ts';
import { ChunkReader, type BlobReader } from '../repo/blob-reader.ts';
import { readCommit } from '../repo/git.ts';
import type { Repository } from '../repo/repository.ts';
import { keepHeapSmall } from '../repo/heap.ts';
import { unlessDamaged } from '../repo/storage-failure.ts';
import { TreeReader } from '../repo/tree-reader.ts';
import { TREE_MODES, type TreeEntry } from '../repo/trees.ts';
import { listAddedLines, openText } from './added-text.ts';
import { readAttributes, readCommitView } from './commit-files.ts';
import type { OpsContext } from './context.ts';
import type { Line, LineCommit } from './first-parents.ts';
import { loadStretches, saveStretch, STRETCH_COMMITS, type StoredStretch } from './search-index.ts';
import { encodeAddition, EVENT, NO_COMMIT, type SearchRow, type SearchStretch } from './search-rows.ts';
import { isTranscriptPath, openTranscript, TranscriptHistory } from './transcript.ts';
import { listFileChanges, type FileChange } from './tree-diff.ts';
import { TurnCollector } from './turn-collector.ts';

/** After so many commits what is known of secrets is looked up again. */
const SECRETS_AGE_COMMITS = 288;

/** How far the index of a line of history is. */
export interface IndexState {
  /** All that is indexed of it. */
  readonly stretches: StretchList;
  /** Those of them that are new since the last state. */
  readonly fresh: StretchList;
  /** Whatever is not indexed is younger. */
  readonly isPrefix: boolean;
}

/** Brings the index of a line of history up to date; yields what there is already, and again whenever there is more. */
export async function* bringUpToDate(
  context: OpsContext,
  repository: Repository,
  line: Line,
  signal: AbortSignal | undefined,
): AsyncIterable<IndexState> {
  const stored = await loadStretches(context.home, repository, line);
  const covered = new Uint8Array(line.length);
  for (const { places } of stored) for (const place of places) if (place >= 0) covered[place] = 1;
  const missing: number[] = [];
  for (const [place, is] of covered.entries()) if (is === 0) missing.push(place);
  const isPrefix = missing.length === 0 || line.length - missing.length === missing[0];
  yield { stretches: stored, fresh: stored, isPrefix };
  // Each commit leaves more garbage than the index takes.
  if (missing.length > 0) keepHeapSmall();
  const builder = new Builder(repository, line);
  let last = stored.findLast(({ view }) => view.commitCount < STRETCH_COMMITS);
  let stretches: StoredStretch[] = stored.filter((one) => one !== last);
  for (let from = 0; from < missing.length;) {
    const stretch = new StretchMaker(last);
    const until = Math.min(missing.length, from + STRETCH_COMMITS - (last?.view.commitCount ?? 0));
    for (; from < until; from += 1) {
      if (signal?.aborted === true) break;
      context.reporter.progress({ phase: 'index history', doneFiles: from, totalFiles: missing.length });
      // oxlint-disable-next-line no-await-in-loop -- each is compared with the one before
      await builder.add(missing[from] ?? 0, stretch);
      // Local reads never wait: an interface in the same process would not hear a key until the end.
      // oxlint-disable-next-line no-await-in-loop -- the same
      await eventLoopTurn();
    }
    // oxlint-disable-next-line no-await-in-loop -- what is done stays done, whatever happens to the next
    const saved = await saveStretch(context.home, repository, stretch.finish(), {
      line,
      replaced: last === undefined ? [] : [last],
    });
    signal?.throwIfAborted();
    stretches = [...stretches, saved];
    last = undefined;
    yield { stretches, fresh: [saved], isPrefix };
  }
}

/** The stretches that cover a line. */
export type StretchList = readonly StoredStretch[];

/** Collects the events of a stretch. */
class StretchMaker {
  readonly #commits: CommitId[];
  readonly #bases: CommitId[];
  readonly #paths: Map<string, number>;
  readonly #rows: SearchRow[] = [];

  /** @param earlier a short stretch to go on with */
  constructor(earlier: StoredStretch | undefined) {
    const view = earlier?.view;
    const count = view?.commitCount ?? 0;
    const hex = (of: (at: number) => Buffer | undefined): CommitId[] =>
      Array.from({ length: count }, (_, at) => (of(at)?.toString('hex') ?? NO_COMMIT) as CommitId);
    this.#commits = hex((at) => view?.idBytes(at));
    this.#bases = hex((at) => view?.baseBytes(at));
    this.#paths = new Map(view?.paths.map((path, at) => [path, at]));
    for (let row = 0; row < (view?.rowCount ?? 0); row += 1) if (view !== undefined) this.#rows.push(view.row(row));
  }

  startCommit(id: CommitId, base: CommitId): void {
    this.#commits.push(id);
    this.#bases.push(base);
  }

  add(path: string, content: Pick<SearchRow, 'kind' | 'content'>): void {
    const number = this.#paths.get(path) ?? this.#paths.size;
    this.#paths.set(path, number);
    this.#rows.push({ commit: this.#commits.length - 1, path: number, ...content });
  }

  finish(): SearchStretch {
    return { commits: this.#commits, bases: this.#bases, paths: [...this.#paths.keys()], rows: this.#rows };
  }
}

/** Reads commits one after the other, and remembers what the next one may need. */
class Builder {
  readonly #repository: Repository;
  readonly #line: Line;
  readonly #chunks: ChunkReader;
  readonly #trees: TreeReader;
  readonly #transcripts = new Map<string, TranscriptHistory>();
  #roots = new Map<CommitId, TreeId>();
  #secrets = new Map<string, boolean>();
  #secretsAge = 0;

  constructor(repository: Repository, line: Line) {
    this.#repository = repository;
    this.#line = line;
    this.#chunks = new ChunkReader(repository.objects);
    this.#trees = new TreeReader(repository.objects);
  }

  /** Adds what a commit of the line changed. What can't be read is left out: it could not be shown either. */
  async add(at: number, stretch: StretchMaker): Promise<void> {
    const [commit, base] = [this.#line.at(at), this.#line.at(at - 1)];
    if (commit === undefined) return;
    stretch.startCommit(commit.id, base?.id ?? NO_COMMIT);
    const changes = await unlessDamaged(this.#listChanges(base, commit));
    for (const change of changes ?? []) {
      // oxlint-disable-next-line no-await-in-loop -- one file after the other, so that memory stays flat
      await unlessDamaged(this.#addChange(commit.id, change, stretch));
    }
  }

  async #listChanges(base: LineCommit | undefined, commit: LineCommit): Promise<FileChange[]> {
    const readTree = (id: TreeId): Promise<readonly TreeEntry[]> => this.#trees.read(id);
    const before = base === undefined ? undefined : { root: await this.#rootOf(base), readTree };
    return listFileChanges(before, { root: await this.#rootOf(commit), readTree });
  }

  async #rootOf({ id, seq }: LineCommit): Promise<TreeId> {
    const known = this.#roots.get(id);
    if (known !== undefined) return known;
    const { tree } = await readCommit(this.#repository, id, seq as Parameters<typeof readCommit>[2]);
    // Of the commit before, and of this one.
    this.#roots = new Map([...[...this.#roots].slice(-1), [id, tree]]);
    return tree;
  }

  async #addChange(commit: CommitId, { path, before, after }: FileChange, stretch: StretchMaker): Promise<void> {
    if (before?.mode === TREE_MODES.symlink || after?.mode === TREE_MODES.symlink) return;
    if (before?.blob === after?.blob) return;
    if (isTranscriptPath(path)) return this.#addTurns(path, before?.blob, after?.blob, stretch);
    if (await this.#isSecret(commit, path, after === undefined)) return;
    const old = await this.#open(path, before?.blob);
    const now = await this.#open(path, after?.blob);
    if (old === undefined && now === undefined) return;
    const lines = now === undefined ? [] : await listAddedLines(old, now);
    const folded = lines.map((line) => foldText(searchedText(path, line))).filter((line) => line !== '');
    stretch.add(path, encodeAddition(folded.join('\n')));
  }

  async #open(path: string, blob: BlobId | undefined): Promise<BlobReader | undefined> {
    return blob === undefined ? undefined : openText(this.#chunks, blob, path);
  }

  async #addTurns(
    path: string,
    before: BlobId | undefined,
    after: BlobId | undefined,
    stretch: StretchMaker,
  ): Promise<void> {
    stretch.add(path, { kind: EVENT.text, content: Buffer.alloc(0) });
    const history = this.#transcripts.get(path) ?? new TranscriptHistory();
    this.#transcripts.set(path, history);
    if (history.blob !== before) {
      history.forget();
      const old = before === undefined ? undefined : await openTranscript(this.#chunks, before, path);
      if (old !== undefined) await history.skipTo(old);
    }
    const next = after === undefined ? undefined : await openTranscript(this.#chunks, after, path);
    if (next === undefined) return history.forget();
    const turns = new TurnCollector((content) => stretch.add(path, content));
    for await (const turn of history.advance(next)) turns.add(turn);
    turns.finish();
  }

  /** Says whether the profile marked a file as a secret. What is removed is as it was. */
  async #isSecret(commit: CommitId, path: string, isGone: boolean): Promise<boolean> {
    this.#secretsAge += 1;
    const known = this.#secrets.get(path);
    if (known !== undefined && (isGone || this.#secretsAge < SECRETS_AGE_COMMITS)) return known;
    if (isGone) return false;
    const attributes = await readAttributes(this.#repository, await readCommitView(this.#repository, commit));
    this.#secrets = new Map([...attributes].map(([name, { secret }]) => [name, secret]));
    this.#secretsAge = 0;
    // pod.json has no attributes, and may hold secrets of the environment.
    return this.#secrets.get(path) ?? true;
  }
}
