// A progress bar on a terminal. In a file of its own because cli-progress is CommonJS and loaded only once there is something
// to show: a bundle can load such a package lazily only behind a module of ours.

import cliProgress from 'cli-progress';
import type { OutputStream } from './output.ts';

/** A bar of one phase; a new phase needs a new bar. */
export interface ProgressBar {
  update(done: number, total: number, text: string): void;
  /** Takes the bar off the terminal. */
  stop(): void;
}

/** Starts a bar. */
export function startProgressBar(stream: OutputStream, total: number, text: string): ProgressBar {
  const bar = new cliProgress.SingleBar({
    stream,
    format: '{text} [{bar}] {percentage}%',
    barsize: 30,
    clearOnComplete: true,
    fps: 10,
    emptyOnZero: true,
  });
  bar.start(total, 0, { text });
  return {
    update(done, newTotal, newText) {
      bar.setTotal(newTotal);
      bar.update(Math.min(done, newTotal), { text: newText });
    },
    stop() {
      bar.stop();
    },
  };
}
