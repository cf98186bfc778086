// How the command line shows commits and what is in them; several commands share it.

import type { Component, ComponentSize } from '../model/component.ts';
import { COMPONENTS } from '../model/component.ts';
import type { SkippedPath } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';
import { displayPath } from '../model/name.ts';
import { listLosses } from '../ops/backup.ts';
import type { CommitSummary } from '../ops/history.ts';
import type { Output } from './output.ts';
import { formatCount, formatSize, formatTable } from './text.ts';

/** Returns the JSON of one commit in a list. */
export function summaryDocument({
  id,
  kind,
  time,
  sizeBytes,
  message,
  tags,
  parents,
  trigger,
  files,
  expired,
}: CommitSummary): object {
  return { id, kind, time, sizeBytes, message, tags, parents, trigger, files, expired };
}

/** Returns the first line of a message with the commit's tags that a person gave it. */
export function formatSubject(
  output: Output,
  { message, tags, kind, expired }: Pick<CommitSummary, 'message' | 'tags' | 'kind' | 'expired'>,
): string {
  const [subject = ''] = message.split('\n', 1);
  const named = tags.filter((tag) => !tag.startsWith(`${kind}/`));
  const marks = [
    ...named.map((tag) => output.style('yellow', `(${tag})`)),
    expired ? output.style('dim', 'expired') : '',
  ];
  return [subject, ...marks].filter((part) => part !== '').join(' ');
}

/** Returns a table of component sizes, without those that are empty. */
export function formatComponents(components: readonly ComponentSize[]): string[] {
  const rows = components
    .filter(({ files }) => files > 0)
    .map(({ name, files, sizeBytes }) => [`  ${name}`, formatCount(files, 'file'), formatSize(sizeBytes)]);
  return formatTable(rows, [1, 2]);
}

/** Returns how much an agent is: `226 files, 3.4MB`. */
export function formatTotal(components: readonly ComponentSize[]): string {
  const files = components.reduce((sum, component) => sum + component.files, 0);
  const sizeBytes = components.reduce((sum, component) => sum + component.sizeBytes, 0);
  return `${formatCount(files, 'file')}, ${formatSize(sizeBytes)}`;
}

/** Returns changed paths grouped by component, in the components' order. */
export function formatChanges(
  output: Output,
  changed: readonly {
    readonly path: string;
    readonly component: Component;
    readonly change: string;
    readonly from?: string;
  }[],
): string[] {
  const colours = { added: 'green', removed: 'red', modified: 'yellow', renamed: 'cyan' } as const;
  const rows = COMPONENTS.flatMap((component) =>
    changed
      .filter((change) => change.component === component)
      .map(({ path, change, from }) => {
        const name = from === undefined ? displayPath(path) : `${displayPath(from)} -> ${displayPath(path)}`;
        const colour = change in colours ? colours[change as keyof typeof colours] : 'dim';
        return [`  ${component}`, output.style(colour, change), name];
      }),
  );
  return formatTable(rows);
}

/** Returns why a path was skipped, in one line. */
export function formatReason({ reason }: SkippedPath): string {
  return reason.replace(/\s+/g, ' ');
}

/**
 * Warns of what a commit skipped. What holds no data, such as a socket, is worth no mail from cron.
 * @throws {MoltError} PARTIAL when the agent has something that the commit lacks
 */
export function reportSkipped(output: Output, skipped: readonly SkippedPath[]): void {
  const losses = listLosses(skipped);
  for (const skip of skipped) {
    const { path, kept } = skip;
    const text = `${displayPath(path)} was skipped: ${formatReason(skip)}${kept ? '; its last saved version is kept' : ''}`;
    if (losses.includes(skip)) output.warn(text);
    else output.note(text);
  }
  if (losses.length === 0) return;
  const what =
    losses.length === 1 ? '1 path is not in it as it is now' : `${losses.length} paths are not in it as they are now`;
  throw new MoltError('PARTIAL', `saved, but ${what}`, {
    hint: 'make what is named above readable, and commit again',
    details: { skipped: losses },
  });
}
