// The text of a commit: what the user said, then trailers that lists are made from without reading more.

import type { CommitKind } from '../format/segment.ts';
import type { ComponentSize } from '../model/component.ts';

/** How many files of a commit differ from its parent's. */
export interface FileCounts {
  readonly added: number;
  readonly modified: number;
  readonly removed: number;
  readonly kept: number;
}

/** What stands in a commit's message. */
export interface CommitText {
  /** First line, and more if the user wrote more. */
  readonly message: string;
  readonly kind: CommitKind;
  /** What set it off: `cli`, `init`, `schedule`, `run`. */
  readonly trigger: string;
  /** When it was captured, in milliseconds since the Unix epoch. */
  readonly timeMs: number;
  readonly counts: FileCounts;
  readonly components: readonly ComponentSize[];
}

/** Returns the commit message. */
export function encodeCommitText(text: CommitText): string {
  const { counts } = text;
  const components = text.components.map(({ name, files, sizeBytes }) => `${name}=${files}/${sizeBytes}`).join(' ');
  const message = text.message.replaceAll('\r\n', '\n').trimEnd();
  return [
    `${message}\n`,
    `Molt-Kind: ${text.kind}`,
    `Molt-Trigger: ${text.trigger}`,
    `Molt-Time: ${new Date(text.timeMs).toISOString()}`,
    `Molt-Files: +${counts.added} ~${counts.modified} -${counts.removed} =${counts.kept}`,
    `Molt-Components: ${components}\n`,
  ].join('\n');
}

/** Reads a commit message; what a stranger's commit lacks is left at its default. */
export function parseCommitText(text: string, fallbackMs: number): CommitText {
  const { said, trailers } = splitTrailers(text);
  const kind = trailers.get('Kind');
  const counts = /^\+(\d+) ~(\d+) -(\d+) =(\d+)$/.exec(trailers.get('Files') ?? '') ?? [];
  const time = Date.parse(trailers.get('Time') ?? '');
  return {
    message: said,
    kind: kind === 'full' || kind === 'manual' || kind === 'safety' ? kind : 'incremental',
    trigger: trailers.get('Trigger') ?? 'unknown',
    timeMs: Number.isNaN(time) ? fallbackMs : time,
    counts: {
      added: Number(counts[1] ?? 0),
      modified: Number(counts[2] ?? 0),
      removed: Number(counts[3] ?? 0),
      kept: Number(counts[4] ?? 0),
    },
    components: parseComponents(trailers.get('Components') ?? ''),
  };
}

/** Splits a message into what was said and its last lines of the form `Molt-Word: value`, by their words. */
export function splitTrailers(text: string): {
  readonly said: string;
  readonly trailers: ReadonlyMap<string, string>;
} {
  const trailers = new Map<string, string>();
  const lines = text.trimEnd().split('\n');
  let end = lines.length;
  for (; end > 0; end -= 1) {
    const match = /^Molt-([A-Za-z]+): (.*)$/.exec(lines[end - 1] ?? '');
    if (match?.[1] === undefined) break;
    trailers.set(match[1], match[2] ?? '');
  }
  return { said: lines.slice(0, end).join('\n').trim(), trailers };
}

function parseComponents(text: string): ComponentSize[] {
  return [...text.matchAll(/(\w+)=(\d+)\/(\d+)/g)].map(([, name, files, sizeBytes]) => ({
    name: (name ?? 'custom') as ComponentSize['name'],
    files: Number(files),
    sizeBytes: Number(sizeBytes),
  }));
}
