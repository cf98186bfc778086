// Collects the turns that a version of a database brought, for the index of search. A few are kept word for word; where there are many, as
// when a conversation of years is saved for the first time, filters stand for stretches of a conversation.

import { foldText } from '../diff/fold.ts';
import { turnText } from '../diff/search-units.ts';
import type { PlacedTurn } from '../model/turn.ts';
import { encodeTurn, encodeTurns, type SearchRow } from './search-rows.ts';
import { Trigrams } from './trigrams.ts';

/** Beyond so much text of one version turns are kept by filters. */
const WORDS_MOST_CHARACTERS = 64 << 10;
/** What one filter stands for: so much text, and so many places of a conversation, all of which are read where it passes. */
const GROUP_CHARACTERS = 64 << 10;
const GROUP_PLACES = 1024;
/** Conversations whose groups are being filled at the same time; each takes 64 kB. */
const MOST_GROUPS = 64;

type Content = Pick<SearchRow, 'kind' | 'content'>;

interface Group {
  first: number;
  last: number;
  characters: number;
  readonly trigrams: Trigrams;
}

/** Turns on their way into the index. */
export class TurnCollector {
  readonly #add: (content: Content) => void;
  #few: { readonly session: string; readonly seq: number; readonly text: string }[] = [];
  #characters = 0;
  readonly #groups = new Map<string, Group>();

  /** @param add takes what is kept */
  constructor(add: (content: Content) => void) {
    this.#add = add;
  }

  add(turn: PlacedTurn): void {
    const text = foldText(turnText(turn));
    if (text === '') return;
    const { session, seq } = turn;
    this.#characters += text.length;
    this.#few.push({ session, seq, text });
    if (this.#characters <= WORDS_MOST_CHARACTERS) return;
    for (const one of this.#few) this.#group(one.session, one.seq, one.text);
    this.#few = [];
  }

  /** Takes what is left. */
  finish(): void {
    for (const { session, seq, text } of this.#few) this.#add(encodeTurn(session, seq, text));
    this.#flush();
  }

  #group(session: string, seq: number, text: string): void {
    let group = this.#groups.get(session);
    const isNear =
      group !== undefined && Math.abs(seq - group.first) < GROUP_PLACES && Math.abs(seq - group.last) < GROUP_PLACES;
    if (group !== undefined && (!isNear || group.characters >= GROUP_CHARACTERS)) {
      this.#add(encodeTurns(session, group));
      group = undefined;
    }
    if (group === undefined && !this.#groups.has(session) && this.#groups.size >= MOST_GROUPS) this.#flush();
    group ??= { first: seq, last: seq, characters: 0, trigrams: new Trigrams() };
    this.#groups.set(session, group);
    group.first = Math.min(group.first, seq);
    group.last = Math.max(group.last, seq);
    group.characters += text.length;
    group.trigrams.add(text);
  }

  #flush(): void {
    for (const [session, group] of this.#groups) this.#add(encodeTurns(session, group));
    this.#groups.clear();
  }
}
