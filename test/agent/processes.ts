// Other processes that have a database open while a test captures it.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { TestFn } from 'ava';

/** Starts a script beside this one; it is killed when the test file is done, if it still runs then. */
export function processes(test: TestFn): (script: string, args: readonly string[]) => ChildProcess {
  const children = new Set<ChildProcess>();
  test.after.always(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  return (script, args) => {
    const child = fork(new URL(script, import.meta.url).pathname, args);
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
}

/** A process that does to a database what it is told. */
export class Actor {
  readonly path: string;
  readonly #child: ChildProcess;

  private constructor(path: string, child: ChildProcess) {
    this.path = path;
    this.#child = child;
  }

  static async start(spawn: ReturnType<typeof processes>, path: string): Promise<Actor> {
    const child = spawn('sqlite-actor.ts', [path]);
    await answer(child);
    return new Actor(path, child);
  }

  /** Runs statements. */
  async run(statements: string): Promise<void> {
    await this.#ask(statements, '');
  }

  /** Runs statements again and again until it is killed; they have run once when this returns. */
  async repeat(statements: string): Promise<void> {
    await this.#ask(statements, 'repeat');
  }

  /** Runs one statement and returns its first row. */
  async row(statement: string): Promise<Record<string, unknown>> {
    return (await this.#ask('', statement))[0] ?? {};
  }

  /** Closes the connection, as the last thing the process does. */
  async close(): Promise<void> {
    await this.#ask('', 'close');
    await this.kill();
  }

  async kill(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }

  async #ask(statements: string, last: string): Promise<Record<string, unknown>[]> {
    const answered = answer(this.#child);
    this.#child.send({ statements, last });
    return answered;
  }
}

function answer(child: ChildProcess): Promise<Record<string, unknown>[]> {
  return new Promise((done, failed) => {
    const gone = (code: number | null): void => failed(new Error(`the process ended with ${code}`));
    child.once('exit', gone);
    child.once('message', (message) => {
      child.off('exit', gone);
      done(message as Record<string, unknown>[]);
    });
  });
}
