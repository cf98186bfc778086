// Reads whether a commit's version of a file, or of a turn, has a phrase: what the index says is never the answer.

import { foldText, type FoldOptions } from '../diff/fold.ts';
import { maskText } from '../diff/secrets.ts';
import { findPhrase, isConversationFile, parseWholeTurn, turnText } from '../diff/search-units.ts';
import type { BlobId, CommitId, TreeId } from '../model/ids.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { ChunkReader } from '../repo/blob-reader.ts';
import { readCommit } from '../repo/git.ts';
import { Lru } from '../model/lru.ts';
import type { Repository } from '../repo/repository.ts';
import { TreeReader } from '../repo/tree-reader.ts';
import { TREE_MODES } from '../repo/trees.ts';
import { openText } from './added-text.ts';
import type { Line, LineCommit } from './first-parents.ts';
import type { SearchUnit } from './search-units.ts';
import { findConversation, findTurn, isTranscriptPath, openTranscript, type Transcript } from './transcript.ts';

/** Where a phrase was found. */
export interface FoundPhrase {
  /** The line or turn that has it. */
  readonly text: string;
  /** From 1, in a file. */
  readonly line: number | undefined;
  readonly turn: PlacedTurn | undefined;
  readonly phrase: string;
}

/** A phrase as it is compared. */
export interface Phrase {
  /** Folded with `fold`. */
  readonly phrase: string;
  readonly fold: FoldOptions;
}

/** Texts that were read, by blob: neighbouring answers are of the same versions. */
const FOUND_CACHE = 4096;

/** Looks for one phrase in the commits of a line. */
export class PhraseReader {
  readonly #repository: Repository;
  readonly #line: Line;
  readonly #wanted: Phrase;
  readonly #signal: AbortSignal | undefined;
  readonly #chunks: ChunkReader;
  readonly #trees: TreeReader;
  readonly #found = new Lru<{ readonly found: FoundPhrase | undefined }>(FOUND_CACHE);
  /** The database that was asked last. */
  #transcript: { readonly blob: BlobId; readonly opened: Transcript | undefined } | undefined;

  constructor(repository: Repository, line: Line, wanted: Phrase, signal: AbortSignal | undefined) {
    this.#repository = repository;
    this.#line = line;
    this.#wanted = wanted;
    this.#signal = signal;
    this.#chunks = new ChunkReader(repository.objects);
    this.#trees = new TreeReader(repository.objects);
  }

  /** Finds the phrase in the version of a unit that a commit of the line has. @throws {MoltError} DAMAGED and its kin; the signal's reason */
  async find(unit: SearchUnit, at: number): Promise<FoundPhrase | undefined> {
    this.#signal?.throwIfAborted();
    const commit = this.#line.at(at);
    return commit === undefined ? undefined : this.#find(unit, commit);
  }

  async #find({ path, turn }: SearchUnit, { id, seq }: LineCommit): Promise<FoundPhrase | undefined> {
    const blob = await this.#findBlob(id, seq, path);
    if (blob === undefined) return undefined;
    if (isTranscriptPath(path)) return turn === undefined ? undefined : this.#findInTurn(path, blob, turn);
    const known = this.#found.get(`${blob} ${path}`);
    if (known !== undefined) return known.found;
    const found = await this.#findInText(path, blob);
    this.#found.set(`${blob} ${path}`, { found }, 1);
    return found;
  }

  async #findInText(path: string, blob: BlobId): Promise<FoundPhrase | undefined> {
    const view = await openText(this.#chunks, blob, path);
    if (view === undefined) return undefined;
    const { phrase, fold } = this.#wanted;
    const text = (await view.read(0, view.sizeBytes)).toString('utf8');
    const found = findPhrase(path, text, phrase, fold);
    if (found === undefined) return undefined;
    const line = found.line + 1;
    const turn = isConversationFile(path) ? parseWholeTurn(found.text) : undefined;
    if (turn === undefined) return { ...found, line, turn: undefined, phrase };
    const session = path.slice(path.lastIndexOf('/') + 1, -'.jsonl'.length);
    const placed = masked({ ...turn, path, session, conversation: undefined, seq: line });
    return { text: turnText(turn), line, turn: placed, phrase };
  }

  async #findInTurn(
    path: string,
    blob: BlobId,
    { session, seq }: { readonly session: string; readonly seq: number },
  ): Promise<FoundPhrase | undefined> {
    if (this.#transcript?.blob !== blob)
      this.#transcript = { blob, opened: await openTranscript(this.#chunks, blob, path, this.#signal) };
    const { opened } = this.#transcript;
    const turn = opened === undefined ? undefined : await findTurn(opened, session, seq);
    if (opened === undefined || turn === undefined) return undefined;
    const { phrase, fold } = this.#wanted;
    const text = turnText(turn);
    if (!foldText(text, fold).includes(phrase)) return undefined;
    const conversation = await findConversation(opened, session);
    return { text, line: undefined, turn: masked({ ...turn, conversation }), phrase };
  }

  async #findBlob(commit: CommitId, seq: number | undefined, path: string): Promise<BlobId | undefined> {
    let folder: TreeId = (await readCommit(this.#repository, commit, seq as Parameters<typeof readCommit>[2])).tree;
    const names = path.split('/');
    for (const [depth, name] of names.entries()) {
      // oxlint-disable-next-line no-await-in-loop -- down the path
      const entry = (await this.#trees.read(folder)).find((one) => one.name === name);
      const isFile = entry?.mode === TREE_MODES.file || entry?.mode === TREE_MODES.executable;
      if (depth === names.length - 1) return isFile ? entry.id : undefined;
      if (entry?.mode !== TREE_MODES.tree) return undefined;
      folder = entry.id;
    }
    return undefined;
  }
}

/** Returns a turn with the secrets in it masked. */
export function masked(turn: PlacedTurn): PlacedTurn {
  const tools = turn.tools.map((tool) => ({ ...tool, arguments: maskText(tool.arguments) }));
  return { ...turn, text: maskText(turn.text), tools };
}
