// A real terminal for tests: tmux on a socket of its own. Tests press keys and wait for what the screen shows; nothing sleeps.

import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A terminal with one program in it. */
export class Terminal {
  readonly #socket = `molt-${randomBytes(4).toString('hex')}`;

  /**
   * @param command run by a shell in an empty environment but for these variables
   * @param size columns and rows
   */
  constructor(command: string, env: Readonly<Record<string, string>>, size: readonly [number, number]) {
    const [columns, rows] = size.map(String) as [string, string];
    const words = ['-f', '/dev/null', 'new-session', '-d', '-x', columns, '-y', rows, command];
    execFileSync('tmux', ['-L', this.#socket, ...words, ';', 'set', 'status', 'off'], { env: { ...env } });
  }

  /** Presses keys, by tmux's names of them: `Enter`, `Escape`, `C-c`, `x`. */
  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#tmux('send-keys', key);
  }

  /** Types a text. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text);
  }

  /** Returns the screen, as text or with its colours. */
  async screen(withColours = false): Promise<string> {
    return this.#tmux('capture-pane', '-p', ...(withColours ? ['-e'] : []));
  }

  /** Waits until the screen shows all of these. */
  async until(...shows: readonly (string | RegExp)[]): Promise<string> {
    let screen = '';
    const isThere = (wanted: string | RegExp): boolean =>
      typeof wanted === 'string' ? screen.includes(wanted) : wanted.test(screen);
    const startedMs = performance.now();
    do {
      screen = await this.screen();
      if (shows.every(isThere)) return screen;
    } while (performance.now() - startedMs < 60_000);
    throw new Error(`the screen never showed ${shows.map(String).join(', ')}:\n${screen}`);
  }

  /** Waits until the screen shows this no more. */
  async gone(text: string): Promise<void> {
    const startedMs = performance.now();
    do {
      if (!(await this.screen()).includes(text)) return;
    } while (performance.now() - startedMs < 60_000);
    throw new Error(`the screen went on showing ${text}`);
  }

  /** Makes the window larger or smaller. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', String(rows));
  }

  /** Returns one of tmux's variables: `alternate_on`, `cursor_flag`, `pane_pid`. */
  async ask(variable: string): Promise<string> {
    return (await this.#tmux('display-message', '-p', `#{${variable}}`)).trim();
  }

  /** Ends it and what runs in it. */
  async end(): Promise<void> {
    await this.#tmux('kill-server').catch(() => undefined);
  }

  async #tmux(...words: readonly string[]): Promise<string> {
    const { stdout } = await run('tmux', ['-L', this.#socket, ...words]);
    return stdout;
  }
}
