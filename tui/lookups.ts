// Looks up in all history what a window over the panes asks for: where a phrase was, and who wrote the lines of a file.

import { displayPath } from '../src/model/name.ts';
import type { Progress } from '../src/model/ports.ts';
import type { Blame, OpenBlame } from '../src/ops/blame.ts';
import type { OpsContext } from '../src/ops/context.ts';
import type { SearchAnswer } from '../src/ops/search.ts';
import { blamedLine, blameKey, saidKey } from './panes.ts';
import { describeProgress, throttle } from './progress.ts';
import type { Event } from './reduce.ts';
import { Slot } from './slot.ts';
import { load, troubleOf } from './source.ts';
import type { BlamedFile, Found, Overlay, State } from './state.ts';

/** Of more answers these are shown. */
const MOST_ANSWERS = 500;
/** How often answers are handed over. */
const HAND_OVER_MS = 100;

type MakeContext = (signal: AbortSignal, progress?: (progress: Progress) => void) => OpsContext;

/** Does what is looked up, one of each kind at a time. */
export class Lookups {
  readonly #dispatch: (event: Event) => void;
  readonly #makeContext: MakeContext;
  readonly #find = new Slot();
  readonly #blame = new Slot();
  readonly #said = new Slot();
  /** The file that is blamed, and the end of those before. */
  #opened: Promise<OpenBlame> | undefined;
  #closing: Promise<unknown> = Promise.resolve();

  /** @param makeContext what an operation runs with that is stopped by a signal */
  constructor(dispatch: (event: Event) => void, makeContext: MakeContext) {
    this.#dispatch = dispatch;
    this.#makeContext = makeContext;
  }

  /** Looks up what a state wants, and stops what it doesn't want any more. */
  want(state: State): void {
    const { overlay, found, agent } = state;
    const phrase = overlay?.kind === 'found' && found?.state === 'looking' ? found : undefined;
    this.#find.want(phrase && `${phrase.id}`, async (signal) => {
      if (phrase !== undefined) await this.#lookFor(phrase, agent?.label, signal);
    });
    const file = overlay?.kind === 'blame' ? overlay : undefined;
    this.#blame.want(file && blameKey(file), async (signal) => {
      if (file !== undefined) await this.#openBlame(file, agent?.label, signal);
    });
    const said = saidKey(state);
    const moment = blamedLine(state)?.moment;
    this.#said.want(said, async (signal) => {
      const opened = this.#opened;
      if (said === undefined || moment === undefined || opened === undefined) return;
      const turns = await load(said, async () => (await opened).readTurns(moment));
      if (!signal.aborted) this.#dispatch({ type: 'said', said: turns });
    });
  }

  /** Stops everything. */
  async close(): Promise<void> {
    for (const slot of [this.#find, this.#blame, this.#said]) slot.reset();
    await this.#closing;
  }

  async #lookFor({ id, phrase }: Found, label: string | undefined, signal: AbortSignal): Promise<void> {
    const tell = (progress: Progress): void => {
      const { phase, share } = describeProgress(progress);
      if (!signal.aborted) this.#dispatch({ type: 'finding', id, phase, share });
    };
    let fresh: SearchAnswer[] = [];
    const handOver = (): void => {
      if (fresh.length > 0 && !signal.aborted) this.#dispatch({ type: 'answers', id, answers: fresh });
      fresh = [];
    };
    const timer = setInterval(handOver, HAND_OVER_MS);
    try {
      const { searchHistory } = await import('../src/ops/search.ts');
      let isCut = false;
      for await (const answer of searchHistory(this.#makeContext(signal, throttle(tell)), { agent: label, phrase })) {
        if (answer.number >= MOST_ANSWERS) {
          isCut = true;
          break;
        }
        fresh.push(answer);
      }
      handOver();
      this.#dispatch({ type: 'found', id, isCut });
    } catch (error) {
      handOver();
      if (!signal.aborted) this.#dispatch({ type: 'found', id, isCut: false, trouble: troubleOf(error) });
    } finally {
      clearInterval(timer);
    }
  }

  async #openBlame(
    file: Extract<Overlay, { kind: 'blame' }>,
    label: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { openBlame } = await import('../src/ops/blame.ts');
    const words = [`${file.commit}:${displayPath(file.path)}`];
    const opened = openBlame(this.#makeContext(signal), { agent: label, words });
    this.#opened = opened;
    const close = (): void => {
      this.#closing = Promise.allSettled([this.#closing, opened.then((one) => one[Symbol.asyncDispose]())]);
    };
    if (signal.aborted) close();
    else signal.addEventListener('abort', close);
    const blame = await load(blameKey(file), async () => viewOf((await opened).blame));
    if (!signal.aborted) this.#dispatch({ type: 'blamed', blame });
  }
}

function viewOf({ commit, lines, moments }: Blame): BlamedFile {
  const own = lines.findIndex((line) => line.commit === commit);
  return { lines, moments: new Map(moments.map((moment) => [moment.commit, moment])), start: Math.max(0, own) };
}
