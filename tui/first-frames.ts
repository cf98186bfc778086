// The first frames. Loading ink and React takes longer than opening an agent: until they are there, the rows are written as they are.

import type { Store } from './app.ts';
import { screenLines } from './views/screen.ts';

const ENTER = '\u001b[?1049h\u001b[?25l\u001b[H';
const LEAVE = '\u001b[?1049l\u001b[?25h';
const HOME = '\u001b[H';

/** The terminal, as it is before ink has it. */
export interface Terminal {
  readonly stdin: Pick<NodeJS.ReadStream, 'setRawMode'>;
  readonly stdout: Pick<NodeJS.WriteStream, 'write'>;
}

/** Draws the screen whenever it changes, until it is handed over. */
export class FirstFrames implements Disposable {
  readonly #terminal: Terminal;
  readonly #store: Pick<Store, 'getState' | 'subscribe'>;
  readonly #unsubscribe: () => void;
  #drawn = '';
  #isOver = false;

  constructor(terminal: Terminal, store: Pick<Store, 'getState' | 'subscribe'>) {
    this.#terminal = terminal;
    this.#store = store;
    // Keys that are pressed already must not be written across the frame: they wait for ink.
    terminal.stdin.setRawMode(true);
    terminal.stdout.write(ENTER);
    this.#draw();
    this.#unsubscribe = store.subscribe(() => this.#draw());
  }

  /** Leaves the terminal to ink, which takes it as it is and draws over what it shows. */
  handOver(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unsubscribe();
    this.#terminal.stdout.write(HOME);
  }

  /** Gives the terminal back, if it was not handed over. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unsubscribe();
    this.#terminal.stdout.write(LEAVE);
    this.#terminal.stdin.setRawMode(false);
  }

  #draw(): void {
    const rows = screenLines(this.#store.getState()).join('\r\n');
    if (rows === this.#drawn) return;
    this.#drawn = rows;
    this.#terminal.stdout.write(HOME + rows);
  }
}
