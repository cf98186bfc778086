// Starts the interface on a terminal, and leaves the terminal as it was, however it ends.

import { render } from 'ink';
import { createElement } from 'react';
import type { Browser } from '../src/ops/browser.ts';
import { App } from './app.ts';
import { Session } from './session.ts';

/** Keys are answered at once; more frames than these no eye sees. */
const MOST_FRAMES = 60;

/** Lets a user browse an agent until they leave. */
export async function browse(browser: Browser): Promise<void> {
  const { stdin, stdout, signal } = browser;
  const session = new Session(browser, { columns: stdout.columns, rows: stdout.rows });
  const app = render(createElement(App, { store: session }), {
    stdin,
    stdout,
    alternateScreen: true,
    incrementalRendering: true,
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
    maxFps: MOST_FRAMES,
  });
  const leave = (): void => app.unmount();
  const unsubscribe = session.subscribe(() => {
    if (session.getState().isLeaving) leave();
  });
  signal.addEventListener('abort', leave, { once: true });
  try {
    void session.start();
    await app.waitUntilExit();
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', leave);
    app.unmount();
    await session.close();
  }
  signal.throwIfAborted();
  // What the screen told is told once more where it stays.
  if (session.failure !== undefined) throw session.failure;
}
