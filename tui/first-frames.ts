// The first frames. Loading ink and React takes longer than opening an agent: until they are there, the rows are written as they are.

import type { Browser } from '../src/ops/browser.ts';
import type { Store } from './app.ts';
import { screenLines } from './views/screen.ts';

const ENTER = '\u001b[?1049h';
const HIDE_CURSOR = '\u001b[?25l';
const LEAVE = '\u001b[?1049l\u001b[?25h';
const HOME = '\u001b[H';

/** Draws the screen whenever it changes, until it is handed over. */
export class FirstFrames implements Disposable {
  readonly #terminal: Pick<Browser, 'stdin' | 'stdout'>;
  readonly #store: Pick<Store, 'getState' | 'subscribe'>;
  readonly #unsubscribe: () => void;
  #drawn = '';
  #isOver = false;

  constructor(terminal: Pick<Browser, 'stdin' | 'stdout'>, store: Pick<Store, 'getState' | 'subscribe'>) {
    this.#terminal = terminal;
    this.#store = store;
    // Keys that are pressed already must not be written across the frame: they wait for ink.
    terminal.stdin.setRawMode(true);
    terminal.stdout.write(ENTER + HIDE_CURSOR);
    this.#draw();
    this.#unsubscribe = store.subscribe(() => this.#draw());
  }

  /** Leaves the terminal to ink, which draws over what it shows. Returns where ink is to write. */
  handOver(): NodeJS.WriteStream {
    this.#isOver = true;
    this.#unsubscribe();
    this.#terminal.stdout.write(HOME);
    return enteredAlready(this.#terminal.stdout);
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

/** A terminal that shows its other screen already: many clear it when they are told to again, and would be empty until ink has drawn. */
function enteredAlready(stdout: NodeJS.WriteStream): NodeJS.WriteStream {
  const write = (...values: Parameters<typeof stdout.write>): boolean => values[0] === ENTER || stdout.write(...values);
  return new Proxy(stdout, {
    get(target, name) {
      if (name === 'write') return write;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
