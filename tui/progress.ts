// What an operation under way tells of itself, as the interface shows it.

import type { Progress } from '../src/model/ports.ts';
import { formatSize } from '../src/model/text.ts';

/** Returns what a step is in words, and how far it is: a share from 0 to 1, undefined if nobody knows. */
export function describeProgress({ phase, doneBytes, totalBytes, doneFiles, totalFiles }: Progress): {
  readonly phase: string;
  readonly amount: string;
  readonly share: number | undefined;
} {
  const total = totalBytes === undefined ? '' : ` of ${formatSize(totalBytes)}`;
  const amount = doneBytes === undefined ? '' : `${formatSize(doneBytes)}${total}`;
  if (totalBytes !== undefined && totalBytes > 0) return { phase, amount, share: (doneBytes ?? 0) / totalBytes };
  const isCounted = totalFiles !== undefined && totalFiles > 0;
  return { phase, amount, share: isCounted ? (doneFiles ?? 0) / totalFiles : undefined };
}

/** Lets the steps of an operation through ten times a second, and each one that begins. */
export function throttle(report: (progress: Progress) => void): (progress: Progress) => void {
  let last: { phase: string; ms: number } | undefined;
  return (progress) => {
    const ms = performance.now();
    if (last?.phase === progress.phase && ms - last.ms < 100) return;
    last = { phase: progress.phase, ms };
    report(progress);
  };
}
