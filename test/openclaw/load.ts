// Users who talk to an agent all the time, several at once, while something else happens to it.

import { takeTurn } from './ask.ts';
import type { Endpoint } from './gateway.ts';

/** Something that was said and answered. */
export interface Turn {
  readonly session: string;
  readonly said: string;
  readonly answer: string;
}

/** Running conversations. */
export class Load {
  /** All turns that were answered, in the order of their answers. */
  readonly turns: Turn[] = [];
  readonly #abort = new AbortController();
  readonly #talks: Promise<void>[];
  #waiting: { readonly count: number; readonly resolve: () => void } | undefined;

  /** Begins as many conversations at once, each in a session of its own. */
  constructor(endpoint: Endpoint, name: string, conversations: number) {
    this.#talks = Array.from({ length: conversations }, (_, index) =>
      this.#talk(endpoint, `agent:main:${name}-${index + 1}`),
    );
    for (const talk of this.#talks) talk.catch(() => this.#abort.abort());
  }

  /** Waits until so many more turns were answered. */
  async more(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { count: this.turns.length + count, resolve };
    await Promise.race([promise, Promise.all(this.#talks)]);
  }

  /** Lets each conversation end with its turn; throws if one failed. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#talks);
  }

  async #talk(endpoint: Endpoint, session: string): Promise<void> {
    for (let turn = 1; !this.#abort.signal.aborted; turn += 1) {
      const said = `${session}, turn ${turn}: what did we say before?`;
      const answer = await takeTurn(endpoint, session, said);
      this.turns.push({ session, said, answer });
      if (this.#waiting !== undefined && this.turns.length >= this.#waiting.count) this.#waiting.resolve();
    }
  }
}
