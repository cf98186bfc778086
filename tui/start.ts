// Starts the interface on a terminal, and leaves the terminal as it was, however it ends.

import type { Browser } from '../src/ops/browser.ts';
import { FirstFrames } from './first-frames.ts';
import { Session } from './session.ts';

/** Who opens for so long waits for something; keys are answered from then on. */
const OPENING_MS = 300;

/** Lets a user browse an agent until they leave. */
export async function browse(browser: Browser): Promise<void> {
  const { stdin, stdout, signal } = browser;
  const session = new Session(browser, { columns: stdout.columns, rows: stdout.rows });
  try {
    using frames = new FirstFrames(browser, session);
    void session.start();
    await untilShown(session, signal);
    const { mount } = await import('./app.ts');
    if (!signal.aborted) {
      await mount(session, { stdin, stdout: frames.handOver(), signal });
    }
  } finally {
    await session.close();
  }
  signal.throwIfAborted();
  // What the screen told is told once more where it stays.
  if (session.failure !== undefined) throw session.failure;
}

/** Waits for the first screen that tells something, or that asks. */
async function untilShown(session: Session, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, OPENING_MS);
  signal.addEventListener('abort', () => resolve(), { once: true });
  const unsubscribe = session.subscribe(() => {
    const { shown, fatal, overlay } = session.getState();
    if (shown !== undefined || fatal !== undefined || overlay !== undefined) resolve();
  });
  await promise;
  clearTimeout(timer);
  unsubscribe();
}
