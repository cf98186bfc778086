// What operations ask people meanwhile: passphrases, and whether to go on. One question at a time; the answer is in the state.

import { MoltError } from '../src/model/error.ts';
import type { Event } from './reduce.ts';
import type { State } from './state.ts';

/** Asks, and waits for the answers. */
export class Questions {
  readonly #dispatch: (event: Event) => void;
  /** Passphrases as they were given, by what they open. */
  readonly #secrets = new Map<string, string>();
  #waiting: ((text: string | undefined) => void) | undefined;
  #answered = 0;
  #isClosed = false;

  constructor(dispatch: (event: Event) => void) {
    this.#dispatch = dispatch;
  }

  /** Takes up an answer that was given since. */
  take({ answer }: State): void {
    if (answer === undefined || answer.id === this.#answered) return;
    this.#answered = answer.id;
    this.#answer(answer.text);
  }

  /** Nobody answers any more. */
  close(): void {
    this.#isClosed = true;
    this.#answer(undefined);
  }

  /** Returns the passphrase for what it opens. @throws {MoltError} INTERRUPTED when none is given */
  async askSecret(subject: string): Promise<string> {
    // Each operation opens the repository anew, and would ask again.
    const text = this.#secrets.get(subject) ?? (await this.#waitFor({ type: 'secret-wanted', subject }));
    if (text !== undefined) {
      this.#secrets.set(subject, text);
      return text;
    }
    throw new MoltError('INTERRUPTED', `no passphrase was given for ${subject}`, {
      hint: 'q leaves; set MOLT_PASSPHRASE, or give --passphrase-file FILE',
    });
  }

  /** Forgets passphrases that were wrong. Returns whether there were any. */
  forgetSecrets(): boolean {
    const hadSome = this.#secrets.size > 0;
    this.#secrets.clear();
    return hadSome;
  }

  async confirm(question: string): Promise<boolean> {
    return (await this.#waitFor({ type: 'asked', question })) === 'yes';
  }

  async #waitFor(event: Event): Promise<string | undefined> {
    if (this.#isClosed) return undefined;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#answer(undefined);
    this.#waiting = resolve;
    this.#dispatch(event);
    return promise;
  }

  #answer(text: string | undefined): void {
    this.#waiting?.(text);
    this.#waiting = undefined;
  }
}
