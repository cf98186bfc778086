// Progress of a running operation: a bar on a terminal, now and then a line elsewhere, nothing where nobody wants it.

import type { Clock, Progress, Reporter } from '../model/ports.ts';
import type { Output, OutputStream } from './output.ts';
import type { ProgressBar } from './progress-bar.ts';
import { formatCount, formatDuration, formatSize } from './text.ts';

/** A reporter that can be told that there is nothing more to come. */
export interface CliReporter extends Reporter {
  /** Takes what is left of the progress off the terminal; more progress may follow. */
  pause(): void;
}

// A short operation shows nothing, neither a flashing bar nor lines in a cron mail.
const QUIET_START_MS = 1000;
const LINE_EVERY_MS = 5000;
const BAR_EVERY_MS = 100;
// A rate of less is a guess.
const RATE_AFTER_MS = 1000;

/** Returns the reporter that fits the output: with --quiet and --json only warnings pass, and to JSON not even those. */
export function createReporter(output: Output, stderr: OutputStream, clock: Clock): CliReporter {
  const { quiet, json } = output.mode;
  if (quiet || json) return { progress() {}, warn: output.warn.bind(output), pause() {} };
  return stderr.isTTY === true ? barReporter(output, stderr, clock) : lineReporter(output, clock);
}

/** Says whether progress is of a step that begins: another one, or the same once more. */
function begins(progress: Progress, before: Progress | undefined): boolean {
  return progress.phase !== before?.phase || (progress.doneBytes ?? 0) < (before.doneBytes ?? 0);
}

/**
 * Returns what a step is, in words: `read 120MB of 477MB, 300 of 2800 files`.
 * @param elapsedMs how long the step has taken; then its rate is told, and how much longer it will take
 */
export function describeProgress(progress: Progress, elapsedMs = 0): string {
  const { phase, doneBytes, totalBytes, doneFiles, totalFiles } = progress;
  const parts: string[] = [];
  if (doneBytes !== undefined) {
    parts.push(formatSize(doneBytes) + (totalBytes === undefined ? '' : ` of ${formatSize(totalBytes)}`));
  }
  if (doneFiles !== undefined) {
    parts.push(
      totalFiles === undefined ? formatCount(doneFiles, 'file') : `${doneFiles} of ${formatCount(totalFiles, 'file')}`,
    );
  }
  if (doneBytes !== undefined && doneBytes > 0 && elapsedMs >= RATE_AFTER_MS) {
    const perMs = doneBytes / elapsedMs;
    parts.push(`${formatSize(perMs * 1000)}/s`);
    const leftMs = ((totalBytes ?? doneBytes) - doneBytes) / perMs;
    if (leftMs >= 1000) parts.push(`${formatDuration(leftMs)} left`);
  }
  return [phase, parts.join(', ')].filter((part) => part !== '').join(' ');
}

function lineReporter(output: Output, clock: Clock): CliReporter {
  const startMs = clock.now();
  let lastMs = -Infinity;
  let before: Progress | undefined;
  let phaseMs = startMs;
  let shown = '';
  return {
    progress(progress) {
      const now = clock.now();
      if (begins(progress, before)) phaseMs = now;
      before = progress;
      const { phase } = progress;
      if (now - startMs < QUIET_START_MS) return;
      if (phase === shown && now - lastMs < LINE_EVERY_MS) return;
      shown = phase;
      lastMs = now;
      output.note(describeProgress(progress, now - phaseMs));
    },
    warn: output.warn.bind(output),
    pause() {},
  };
}

function barReporter(output: Output, stderr: OutputStream, clock: Clock): CliReporter {
  const startMs = clock.now();
  let lastMs = -Infinity;
  let phase = '';
  let before: Progress | undefined;
  let phaseMs = startMs;
  let bar: ProgressBar | undefined;
  let start: typeof import('./progress-bar.ts').startProgressBar | undefined;
  let loading = false;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    progress(progress) {
      const now = clock.now();
      if (begins(progress, before)) phaseMs = now;
      before = progress;
      const changed = progress.phase !== phase;
      if (now - startMs < QUIET_START_MS || (!changed && now - lastMs < BAR_EVERY_MS)) return;
      phase = progress.phase;
      lastMs = now;
      if (start === undefined) {
        if (loading) return;
        loading = true;
        void import('./progress-bar.ts').then((module) => {
          start = module.startProgressBar;
        });
        return;
      }
      const [done, total] = amounts(progress);
      if (changed) stop();
      const text = describeProgress(progress, now - phaseMs);
      bar ??= start(stderr, total, text);
      bar.update(done, total, text);
    },
    warn(message) {
      stop();
      output.warn(message);
    },
    pause: stop,
  };
}

/** Returns done and total of what best measures a step; an unknown total leaves the bar empty. */
function amounts({ doneBytes, totalBytes, doneFiles, totalFiles }: Progress): [done: number, total: number] {
  if (doneBytes !== undefined && totalBytes !== undefined) return [doneBytes, totalBytes];
  if (doneFiles !== undefined && totalFiles !== undefined) return [doneFiles, totalFiles];
  return [0, 1];
}
