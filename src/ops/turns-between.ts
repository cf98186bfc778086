// What was said to an agent between two commits: the turns that the later one has and the earlier one had not.

import { isConversationFile, parseWholeTurn } from '../diff/search-units.ts';
import type { CommitId } from '../model/ids.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { ChunkReader } from '../repo/blob-reader.ts';
import type { Repository } from '../repo/repository.ts';
import { listAddedLines, openText } from './added-text.ts';
import { masked } from './search-read.ts';
import { commitSide } from './side.ts';
import { findConversation, isTranscriptPath, openTranscript, TranscriptHistory } from './transcript.ts';
import { listFileChanges, type FileChange } from './tree-diff.ts';

/** Of more the newest are listed. */
const MOST_TURNS = 1000;
/** A turn may have been on its way into the database while the commit before was made. */
const SLACK_MS = 600_000;

/** A commit, and the one before it that still has its content. */
export interface Window {
  readonly commit: CommitId;
  readonly timeMs: number;
  readonly before: { readonly commit: CommitId; readonly timeMs: number } | undefined;
}

/**
 * Lists the turns of a window in the order of time, the last thousand at most, secrets in them masked. Where there is no commit before, those that the commit has; of
 * what came in from elsewhere, as a conversation of a year ago that was imported, only what was said in the window.
 */
export async function listTurnsBetween(
  repository: Repository,
  { commit, timeMs, before }: Window,
  signal?: AbortSignal,
): Promise<PlacedTurn[]> {
  const chunks = new ChunkReader(repository.objects);
  const old = before === undefined ? undefined : await commitSide(repository, before.commit);
  const turns: PlacedTurn[] = [];
  for (const change of await listFileChanges(old, await commitSide(repository, commit))) {
    signal?.throwIfAborted();
    if (change.after === undefined || change.before?.blob === change.after.blob) continue;
    // oxlint-disable-next-line no-await-in-loop -- one file after the other
    if (isTranscriptPath(change.path)) turns.push(...(await listDatabaseTurns(chunks, change, signal)));
    // oxlint-disable-next-line no-await-in-loop -- the same
    else if (isConversationFile(change.path)) turns.push(...(await listFileTurns(chunks, change)));
  }
  const time = (turn: PlacedTurn): number => (turn.time === undefined ? timeMs : Date.parse(turn.time));
  const isInside = (turn: PlacedTurn): boolean => before === undefined || time(turn) > before.timeMs - SLACK_MS;
  return newestOf(turns.filter(isInside)).map(masked);
}

async function listDatabaseTurns(
  chunks: ChunkReader,
  { path, before, after }: FileChange,
  signal: AbortSignal | undefined,
): Promise<PlacedTurn[]> {
  const next = after === undefined ? undefined : await openTranscript(chunks, after.blob, path, signal);
  if (next === undefined) return [];
  const history = new TranscriptHistory();
  const old = before === undefined ? undefined : await openTranscript(chunks, before.blob, path, signal);
  if (old !== undefined) await history.skipTo(old);
  let turns: PlacedTurn[] = [];
  for await (const turn of history.advance(next)) {
    turns.push(turn);
    if (turns.length >= MOST_TURNS * 2) turns = newestOf(turns);
  }
  turns = newestOf(turns);
  const names = new Map<string, string | undefined>();
  for (const { session } of turns) if (!names.has(session)) names.set(session, await findConversation(next, session));
  return turns.map((turn) => ({ ...turn, conversation: names.get(turn.session) }));
}

function newestOf(turns: readonly PlacedTurn[]): PlacedTurn[] {
  const time = (turn: PlacedTurn): number => (turn.time === undefined ? 0 : Date.parse(turn.time));
  return turns.toSorted((a, b) => time(a) - time(b) || a.seq - b.seq).slice(-MOST_TURNS);
}

async function listFileTurns(chunks: ChunkReader, { path, before, after }: FileChange): Promise<PlacedTurn[]> {
  const now = after === undefined ? undefined : await openText(chunks, after.blob, path);
  if (now === undefined) return [];
  const old = before === undefined ? undefined : await openText(chunks, before.blob, path);
  const session = path.slice(path.lastIndexOf('/') + 1).replace(/\.jsonl$/i, '');
  return (await listAddedLines(old, now)).flatMap((line, at): PlacedTurn[] => {
    const turn = parseWholeTurn(line);
    return turn === undefined ? [] : [{ ...turn, path, session, conversation: undefined, seq: at + 1 }];
  });
}
