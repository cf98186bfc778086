// Reads what the list and the detail show of moments: the commits on the screen, what days changed, and comparisons.

import { Lru } from '../src/model/lru.ts';
import type { OpenAgent } from '../src/ops/open.ts';
import type { OpsContext } from '../src/ops/context.ts';
import type { Comparison } from '../src/ops/semantic-diff.ts';
import { listCommits, type Shown } from './days.ts';
import { detailKey, isUnmasked, selectedAt, selectedFile, selectedId, viewKey, visibleRows } from './panes.ts';
import type { Event } from './reduce.ts';
import { Slot } from './slot.ts';
import { comparePair, countComponents, detailOf, load, readDayNote, readFileView, readGlance } from './source.ts';
import { dayId, type Detail, type FileView, type Pair, type State } from './state.ts';

/** A cursor that moves on does not have every moment that it passes compared. */
const SETTLED_MS = 60;
/** Commits that are read before they are shown together. */
const BATCH = 24;
/** Comparisons that are kept: going back and forth compares nothing anew. */
const MOST_COMPARISONS = 24;

/** Reads moments, those of the list and those of the detail at once. */
export class Moments {
  readonly #dispatch: (event: Event) => void;
  readonly #makeContext: (signal: AbortSignal) => OpsContext;
  readonly #comparisons = new Lru<Comparison>(MOST_COMPARISONS);
  readonly #rows = new Slot();
  readonly #detail = new Slot();
  readonly #view = new Slot();

  /** @param makeContext what an operation runs with that is stopped by a signal */
  constructor(dispatch: (event: Event) => void, makeContext: (signal: AbortSignal) => OpsContext) {
    this.#dispatch = dispatch;
    this.#makeContext = makeContext;
  }

  /** Stops everything. */
  close(): void {
    for (const slot of [this.#rows, this.#detail, this.#view]) slot.reset();
  }

  /** Reads the commits on the screen, the cursor's first, then those of the days on it. */
  wantRows(state: State, open: OpenAgent, shown: Shown): void {
    const { glances, counts, dayNotes } = state;
    const { timeline } = shown;
    const rows = visibleRows(state);
    const commits = rows.flatMap(([, row]) => (row.kind === 'commit' ? [row.at] : []));
    const own = selectedAt(state);
    const days = new Map(rows.map(([, row]) => [dayId(state, row.day), row.day]));
    // With the tip and the count: numbers of commits mean others where there are more of them.
    const key = `${timeline.tip} ${timeline.count} ${own} ${commits.join()} ${[...days.keys()].join()}`;
    this.#rows.want(key, async (signal) => {
      await pause(SETTLED_MS / 2);
      const wanted = new Set(own === undefined ? commits : [own, ...commits]);
      await readInBatches(
        signal,
        [...wanted].filter((at) => !glances.has(timeline.id(at))),
        async (at) => readGlance(open, timeline, at),
        (read) => this.#dispatch({ type: 'glances', glances: read }),
      );
      await readInBatches(
        signal,
        commits.filter((at) => !counts.has(timeline.id(at)) && !timeline.isExpired(at)),
        async (at) => {
          const id = timeline.id(at);
          const comparison = await this.#compare(open, { from: 'before', to: id, asked: 0 }, signal).catch(
            () => undefined,
          );
          return comparison === undefined ? undefined : ([id, countComponents(comparison)] as const);
        },
        (read) => this.#dispatch({ type: 'counts', counts: read.filter((one) => one !== undefined) }),
      );
      for (const [id, day] of days) {
        if (dayNotes.has(id)) continue;
        // oxlint-disable-next-line no-await-in-loop -- from the top of the screen on
        const note = await readDayNote(open, timeline, listCommits(shown, day), signal);
        if (signal.aborted) return;
        this.#dispatch({ type: 'day-noted', id, note });
      }
    });
  }

  /** Compares the moments of the detail, and reads the inside of the file that is shown of them. */
  wantDetail(state: State, open: OpenAgent): void {
    const key = detailKey(state);
    const id = selectedId(state);
    const pair = state.pair ?? (id === undefined ? undefined : { from: 'before' as const, to: id, asked: 0 });
    this.#detail.want(key, async (signal) => {
      if (key === undefined || pair === undefined) return;
      const known = this.#comparisons.get(keyOf(pair));
      if (known === undefined) await pause(SETTLED_MS);
      if (signal.aborted) return;
      if (known === undefined) this.#dispatch({ type: 'detail', detail: { key, is: 'loading' } });
      const read = async (): Promise<Detail> => detailOf(known ?? (await this.#compare(open, pair, signal)));
      const detail = await load(key, read);
      if (!signal.aborted) this.#dispatch({ type: 'detail', detail });
    });
    const file = viewKey(state);
    const showSecrets = isUnmasked(state);
    const path = selectedFile(state)?.path;
    this.#view.want(file, async (signal) => {
      if (file === undefined || path === undefined || pair === undefined) return;
      await pause(SETTLED_MS / 2);
      if (signal.aborted) return;
      const read = async (): Promise<FileView> =>
        readFileView(await this.#compare(open, pair, signal), path, { signal, showSecrets });
      const view = await load(file, read);
      if (!signal.aborted) this.#dispatch({ type: 'view', view });
    });
  }

  async #compare(open: OpenAgent, pair: Pair, signal: AbortSignal): Promise<Comparison> {
    const key = keyOf(pair);
    const known = this.#comparisons.get(key);
    if (known !== undefined) return known;
    const made = await comparePair(this.#makeContext(signal), open, pair);
    this.#comparisons.set(key, made, 1);
    return made;
  }
}

function keyOf({ from, to, asked }: Pair): string {
  return `${from}..${to}${to === 'live' ? asked : ''}`;
}

function pause(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms);
  return promise;
}

/** Reads things one after the other, and hands them over a few at a time. */
async function readInBatches<V>(
  signal: AbortSignal,
  all: readonly number[],
  read: (at: number) => Promise<V>,
  take: (values: V[]) => void,
): Promise<void> {
  let batch: V[] = [];
  for (const at of all) {
    if (signal.aborted) return;
    // oxlint-disable-next-line no-await-in-loop -- so that a key is never kept waiting
    batch.push(await read(at));
    if (batch.length < BATCH) continue;
    take(batch);
    batch = [];
    // oxlint-disable-next-line no-await-in-loop -- the same
    await pause(0);
  }
  if (batch.length > 0 && !signal.aborted) take(batch);
}
