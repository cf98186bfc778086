// Saves an agent again and again while it runs: commits it, makes the daily full, and pushes to its remotes. What fails is told once,
// tried again the next time, and told when it works again; it never stops the agent.

import type { SkippedPath } from '../model/entry.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import type { FullTimes } from '../policy/full-times.ts';
import { nextFull } from '../policy/schedule.ts';
import { backUp, listLosses, type BackupResult } from './backup.ts';
import type { OpsContext } from './context.ts';
import { resolveAgent } from './open.ts';
import type { ExchangeResult } from './exchange.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { addRemote } from './remote.ts';
import { listRemotes, normalizeRemoteUrl } from './remotes.ts';
import { openAgent } from './open.ts';

/** What saving tells of. */
export type SaveEvent =
  | { readonly event: 'saved'; readonly result: BackupResult }
  | { readonly event: 'pushed'; readonly result: ExchangeResult }
  /** Files that could not be captured, where they are other ones than the last time. */
  | { readonly event: 'skipped'; readonly skipped: readonly SkippedPath[] }
  /** `what` is `commit`, or `push NAME`. */
  | { readonly event: 'failed'; readonly what: string; readonly error: unknown }
  | { readonly event: 'recovered'; readonly what: string };

/** How an agent is saved. */
export interface SaverOptions {
  readonly label: string;
  /** URL of a remote that is added if the agent has none with it. */
  readonly remote?: string | undefined;
  readonly full: FullTimes;
  /** By how much fulls may come later than their time, milliseconds; not at all unless given. */
  readonly fullSpreadMs?: () => number;
  /** What failed when an earlier process saved the agent, with its code: it is not told again, but that it works again is. */
  readonly failing?: readonly (readonly [what: string, code: string])[];
  /** When the newest full backup was made, where that is known; else its tag is looked for. */
  readonly lastFullMs?: number | undefined;
  /** What commits are said to be made by; `run` unless given. */
  readonly trigger?: string;
  /** Done after a full backup, and after it was pushed: thinning out what is older, say. What it fails with is told, as `retention`. */
  readonly afterFull?: ((label: string) => Promise<void>) | undefined;
  readonly tell: (event: SaveEvent) => void;
}

/** One way of saving. */
export interface SaveOptions {
  /** Ends pushing when aborted; what was committed stays to be pushed the next time. */
  readonly pushSignal?: AbortSignal | undefined;
  /** Look at the remotes even if nothing is to be sent: somebody may have taken over. */
  readonly forceCheck?: boolean;
}

/** What came of saving once: the errors of what did not work. */
export interface Saved {
  readonly commit: Error | undefined;
  readonly pushes: readonly Error[];
}

/** What came of a commit: its result, or what it failed with. */
export type Committed =
  | { readonly result: BackupResult; readonly error?: undefined }
  | { readonly error: Error; readonly result?: undefined };

/** What came of one step of sending. */
export interface Sent {
  /** As events call it: `push NAME`; `remotes`, where it could not be found out which there are; `retention`. */
  readonly what: string;
  /** Which remote has everything now, if it worked. */
  readonly remote?: string;
  readonly error: Error | undefined;
}

const DAY_MS = 86_400_000;
const FULL_TAG = /^refs\/tags\/full\/(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z/;

/** Saves one agent; one call at a time. */
export class Saver {
  readonly #context: OpsContext;
  readonly #options: SaverOptions;
  /** What fails at present, with the code or message that was told. */
  readonly #failing: Map<string, string>;
  #skipped = '';
  #knownFullMs: number | undefined;
  /** A full backup was made, and what follows it is still to be done. */
  #isAfterFull = false;

  /** @param context without a signal that would end a commit halfway */
  constructor(context: OpsContext, options: SaverOptions) {
    this.#context = context;
    this.#options = options;
    this.#failing = new Map(options.failing);
    this.#knownFullMs = options.lastFullMs;
  }

  /** When the newest full backup was made, as far as that is known; milliseconds. */
  get lastFullMs(): number | undefined {
    return this.#knownFullMs;
  }

  /** When the next full backup is due; milliseconds. */
  async fullDueMs(): Promise<number> {
    const { label, full, fullSpreadMs = () => 0 } = this.#options;
    const nowMs = this.#context.clock.now();
    this.#knownFullMs ??= await this.#findLastFullMs(nowMs);
    return nextFull({ label, full, fullSpreadMs: fullSpreadMs() }, this.#knownFullMs, nowMs);
  }

  /** Commits, and pushes what is there to every remote. Never throws but for a bug. */
  async save(options: SaveOptions = {}): Promise<Saved> {
    const { error } = await this.commit();
    const sent = await this.send(options);
    return { commit: error, pushes: sent.flatMap((one) => (one.what === 'retention' ? [] : (one.error ?? []))) };
  }

  /** Commits what changed; as a full backup when one is due. Never throws but for a bug. */
  async commit(): Promise<Committed> {
    let result: BackupResult | undefined;
    const error = await this.#attempt('commit', async () => {
      result = await this.#commit();
    });
    if (result !== undefined) return { result };
    return { error: error ?? new Error('a commit without a result') };
  }

  /** Pushes what is there to every remote, and sees to what follows a full backup. Never throws but for a bug. */
  async send({ pushSignal, forceCheck = false }: SaveOptions = {}): Promise<readonly Sent[]> {
    const { names, problem } = await this.#listRemotes();
    const sent: Sent[] = problem === undefined ? [] : [{ what: 'remotes', error: problem }];
    // An agent that can't be read at all was told of by its commit.
    if (problem !== undefined && !this.#failing.has('remotes')) return [];
    for (const remote of names) {
      // oxlint-disable-next-line no-await-in-loop -- the first copy is there soonest
      const error = await this.#attempt(`push ${remote}`, () => this.#push(remote, forceCheck, pushSignal), pushSignal);
      sent.push({ what: `push ${remote}`, remote, error });
    }
    const { afterFull, label } = this.#options;
    if (this.#isAfterFull && afterFull !== undefined && pushSignal?.aborted !== true) {
      this.#isAfterFull = false;
      sent.push({ what: 'retention', error: await this.#attempt('retention', () => afterFull(label), pushSignal) });
    }
    await this.#context.runs?.settle();
    return sent;
  }

  async #commit(): Promise<BackupResult> {
    const { label, tell, trigger = 'run' } = this.#options;
    const nowMs = this.#context.clock.now();
    const isFull = nowMs >= (await this.fullDueMs());
    const result = await backUp(this.#context, label, { kind: isFull ? 'full' : 'incremental', full: isFull, trigger });
    if (isFull) {
      this.#knownFullMs = nowMs;
      this.#isAfterFull = true;
    }
    if (!result.unchanged) tell({ event: 'saved', result });
    const losses = listLosses(result.skipped);
    const shown = JSON.stringify(losses.map(({ path, reason }) => [path, reason]));
    if (losses.length > 0 && shown !== this.#skipped) tell({ event: 'skipped', skipped: losses });
    this.#skipped = shown;
    return result;
  }

  async #push(remote: string, forceCheck: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { label, tell } = this.#options;
    const context = signal === undefined ? this.#context : { ...this.#context, signal };
    let result: ExchangeResult;
    try {
      result = await push(context, label, { remote, forceCheck });
    } catch (error) {
      if (!isMoltError(error, 'CONFLICT')) throw error;
      // Another machine saved to this branch: its commits are merged, as by hand.
      await pull(context, label, remote);
      result = await push(context, label, { remote });
    }
    if (result.segments > 0) tell({ event: 'pushed', result });
  }

  /** Lists the remotes to push to; the given one is added first if it is none yet. */
  async #listRemotes(): Promise<{
    readonly names: readonly string[];
    readonly problem: Error | undefined;
  }> {
    const { label, remote } = this.#options;
    let names: string[] = [];
    const problem = await this.#attempt('remotes', async () => {
      const { repository } = await resolveAgent(this.#context, label);
      const remotes = await listRemotes(this.#context.home, repository);
      names = remotes.map(({ name }) => name);
      const url = remote === undefined ? undefined : normalizeRemoteUrl(remote);
      if (url === undefined || remotes.some((one) => one.url === url)) return;
      let name = 'origin';
      for (let count = 2; names.includes(name); count += 1) name = `origin-${count}`;
      const { decision } = await addRemote(this.#context, label, { name, url, singleWriter: false });
      if (decision.verdict !== 'ok')
        throw new MoltError('REMOTE_REFUSED', `${url} can't be pushed to: ${decision.reasons.join('; ')}`, {
          hint: decision.hint,
        });
      names.push(name);
    });
    return { names, problem };
  }

  /** Does something and tells of its failure, once, and of its end; returns what it failed with. */
  async #attempt(what: string, work: () => Promise<void>, signal?: AbortSignal): Promise<Error | undefined> {
    const { tell } = this.#options;
    try {
      await work();
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error('something was thrown', { cause: thrown });
      // Asked to end: no failure, and nothing to tell.
      if (signal?.aborted === true && !isMoltError(signal.reason, 'REMOTE_UNREACHABLE')) return error;
      const shown = isMoltError(error) ? error.code : String(error);
      // The same trouble is told once.
      if (what === 'remotes' && this.#failing.get('commit') === shown) return error;
      if (this.#failing.get(what) !== shown) tell({ event: 'failed', what, error });
      this.#failing.set(what, shown);
      return error;
    }
    if (this.#failing.delete(what)) tell({ event: 'recovered', what });
    return undefined;
  }

  /** When the newest full backup was made, by its tag. Those of a clock that was ahead by days don't count. */
  async #findLastFullMs(nowMs: number): Promise<number> {
    await using open = await openAgent(this.#context, this.#options.label);
    const times = [...open.repository.refs.keys()].flatMap((ref) => {
      const [, year, month, day, hour, minute, second] = FULL_TAG.exec(ref) ?? [];
      return year === undefined ? [] : [Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)];
    });
    const past = times.filter((ms) => ms <= nowMs + DAY_MS);
    return past.length === 0 ? nowMs : Math.max(...past);
  }
}
