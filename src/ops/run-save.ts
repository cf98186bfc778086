// Saves an agent again and again while it runs: commits it, makes the daily full, and pushes to its remotes. What fails is told once,
// tried again the next time, and told when it works again; it never stops the agent.

import type { SkippedPath } from '../model/entry.ts';
import { isMoltError, MoltError } from '../model/error.ts';
import { nextDaily, type Daily } from '../policy/daily.ts';
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
  readonly daily: Daily;
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

const FULL_TAG = /^refs\/tags\/full\/(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z/;

/** Saves one agent; one call at a time. */
export class Saver {
  readonly #context: OpsContext;
  readonly #options: SaverOptions;
  /** What fails at present, with the code or message that was told. */
  readonly #failing = new Map<string, string>();
  #skipped = '';
  #fullDueMs: number | undefined;

  /** @param context without a signal that would end a commit halfway */
  constructor(context: OpsContext, options: SaverOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** When the next full backup is due; milliseconds. */
  async fullDueMs(): Promise<number> {
    this.#fullDueMs ??= await nextDaily(await this.#lastFullMs(), this.#options.daily);
    return this.#fullDueMs;
  }

  /** Commits, and pushes what is there to every remote. Never throws but for a bug. */
  async save({ pushSignal, forceCheck = false }: SaveOptions = {}): Promise<Saved> {
    const commit = await this.#attempt('commit', () => this.#commit());
    const remotes = await this.#listRemotes();
    const pushes: (Error | undefined)[] = [...remotes.problems];
    for (const name of remotes.names) {
      // oxlint-disable-next-line no-await-in-loop -- the first copy is there soonest
      pushes.push(await this.#attempt(`push ${name}`, () => this.#push(name, forceCheck, pushSignal), pushSignal));
    }
    await this.#context.runs?.settle();
    return { commit, pushes: pushes.filter((error) => error !== undefined) };
  }

  async #commit(): Promise<void> {
    const { label, daily, tell } = this.#options;
    const nowMs = this.#context.clock.now();
    const isFull = nowMs >= (await this.fullDueMs());
    const result = await backUp(this.#context, label, {
      kind: isFull ? 'full' : 'incremental',
      full: isFull,
      trigger: 'run',
    });
    if (isFull) this.#fullDueMs = await nextDaily(nowMs, daily);
    if (!result.unchanged) tell({ event: 'saved', result });
    const losses = listLosses(result.skipped);
    const shown = JSON.stringify(losses.map(({ path, reason }) => [path, reason]));
    if (losses.length > 0 && shown !== this.#skipped) tell({ event: 'skipped', skipped: losses });
    this.#skipped = shown;
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
    readonly problems: readonly (Error | undefined)[];
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
    return { names, problems: [problem] };
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
      if (this.#failing.get(what) !== shown) tell({ event: 'failed', what, error });
      this.#failing.set(what, shown);
      return error;
    }
    if (this.#failing.delete(what)) tell({ event: 'recovered', what });
    return undefined;
  }

  /** When the newest full backup was made, by its tag. */
  async #lastFullMs(): Promise<number> {
    await using open = await openAgent(this.#context, this.#options.label);
    const times = [...open.repository.refs.keys()].flatMap((ref) => {
      const [, year, month, day, hour, minute, second] = FULL_TAG.exec(ref) ?? [];
      return year === undefined ? [] : [Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)];
    });
    return times.length === 0 ? this.#context.clock.now() : Math.max(...times);
  }
}
