// How one file differs between two moments, by meaning: what `molt diff` prints, its --json holds and the terminal interface draws.
// Plain data: every text in it may come from an agent, so whoever shows it makes it printable; secrets are masked already unless they
// were asked for; long texts are shortened and long lists cut, and each list says how much more there is.

import type { Component } from './component.ts';

/** What happened to a thing that has an identity: a key, a row, a table. */
export type ItemChange = 'added' | 'removed' | 'changed';

/** What stands in place of a secret. It says nothing about the secret, not even its length. */
export const MASK = '********';

/** How a file differs, by its kind. `kind` tells which. */
export type SemanticDiff = SameDiff | TextDiffResult | ConfigDiff | ConversationDiff | DatabaseDiff | BinaryDiff;

/** Both sides have the same content: the file moved, or only its mode changed. */
export interface SameDiff {
  readonly kind: 'same';
}

/** A text, line by line, with the words that changed. */
export interface TextDiffResult {
  readonly kind: 'text';
  readonly format: 'markdown' | 'text';
  readonly addedLines: number;
  readonly removedLines: number;
  readonly hunks: readonly TextHunk[];
}

/** Neighbouring lines of which some changed. */
export interface TextHunk {
  /** The headings that the first change stands under, outermost first, without their marks; empty in plain text. */
  readonly section: readonly string[];
  /** The first line of each side, from 1; of an empty range the line before it, as in a unified diff. */
  readonly beforeStart: number;
  readonly beforeLines: number;
  readonly afterStart: number;
  readonly afterLines: number;
  readonly lines: readonly TextLine[];
}

/** One line. A changed line is a removed one and, after all removed ones of its block, an added one. */
export interface TextLine {
  readonly change: 'same' | 'added' | 'removed';
  /** Joined they are the line without its end. In a line that stands for another one `changed` marks the words that the other lacks. */
  readonly parts: readonly TextPart[];
  /** The file ends here without a newline. */
  readonly noNewline?: true;
}

/** A piece of a line. */
export interface TextPart {
  readonly text: string;
  readonly changed: boolean;
}

/** A configuration (JSON, JSON5, YAML, environment file), by key path. */
export interface ConfigDiff {
  readonly kind: 'config';
  readonly format: 'json' | 'json5' | 'yaml' | 'env';
  /** In the order of the newer side; empty when only spaces, comments or the order of keys changed. */
  readonly changes: readonly ConfigChange[];
  /** Changes that are not listed. */
  readonly more: number;
}

/** One value that was added, removed or changed. */
export interface ConfigChange {
  /** `skills.entries.tea-timer.enabled`, `agents[id=main].name`, `list[2]`, `models["fake/fake-1"]`; empty for the whole document. */
  readonly path: string;
  readonly change: ItemChange;
  /** The value as JSON, or MASK; not there for one that was added. */
  readonly before?: string;
  /** The same, not there for one that was removed. */
  readonly after?: string;
  /** The values are secrets. With `before` and `after` the mask on both sides they differ nevertheless. */
  readonly secret?: true;
}

/** A file of turns (JSONL). */
export interface ConversationDiff {
  readonly kind: 'conversation';
  readonly conversations: readonly ConversationChange[];
  /** Conversations that are not listed. */
  readonly more: number;
}

/** How one conversation went on, or was changed. */
export interface ConversationChange {
  /** What people know it by: its key (`agent:main:planning`) or its file's name. */
  readonly name: string;
  /** The id of the session, if it has one. */
  readonly id?: string;
  /** `extended`: there are only new turns, at its end. `rewritten`: turns before its end went, came or changed. */
  readonly change: 'added' | 'removed' | 'extended' | 'rewritten';
  /** What went, in its order. */
  readonly removed: readonly Turn[];
  /** What is new, in its order. */
  readonly added: readonly Turn[];
  /** Turns that are not listed. */
  readonly moreRemoved: number;
  readonly moreAdded: number;
  /** Records that are no turns (models, snapshots, bookkeeping) and came, went or changed. */
  readonly otherRecords: number;
}

/** One turn: who said what. */
export interface Turn {
  /** `user`, `assistant`, `tool`, `system`, or what the record calls it. */
  readonly role: string;
  /** What was said; shortened at a few thousand characters with `…`. */
  readonly text: string;
  /** What was called, with arguments shortened to a line. */
  readonly tools: readonly { readonly name: string; readonly arguments: string }[];
  /** ISO 8601 in UTC, if the record tells. */
  readonly time?: string;
}

/** A database (SQLite), by tables and rows, and by turns where it holds conversations. */
export interface DatabaseDiff {
  readonly kind: 'database';
  /** Tables that differ, by name. What is derived from others (full-text indexes) comes last and has counts only. */
  readonly tables: readonly TableDiff[];
  /** Tables that are not listed. */
  readonly moreTables: number;
  /** Conversations in it that differ. Their rows are counted in `tables`, not listed. */
  readonly conversations: readonly ConversationChange[];
  readonly moreConversations: number;
  /** Why it could not be compared to the end, in words; what is listed is right, what is not may be more. */
  readonly incomplete?: string;
}

/** How one table differs. */
export interface TableDiff {
  readonly name: string;
  /** `changed` also where only its definition is another. */
  readonly change: ItemChange;
  /** Rows that were added, removed and changed: exact, unless the diff is incomplete. */
  readonly added: number;
  readonly removed: number;
  readonly changed: number;
  /** Some of them, in key order. */
  readonly rows: readonly RowChange[];
  /** Why no rows are listed although some differ: turns are listed instead, or the table is derived from others. */
  readonly unlisted?: 'conversation' | 'derived';
  /** The table's definition, where it changed. */
  readonly definition?: { readonly before?: string; readonly after?: string };
}

/** One row. */
export interface RowChange {
  readonly change: ItemChange;
  /** The columns that identify the row, or `rowid`, with their values. */
  readonly key: readonly { readonly column: string; readonly value: string }[];
  /** All cells but the key of a row that was added or removed, without those that are NULL; of a changed one those that changed. */
  readonly cells: readonly CellChange[];
  /** Cells that are not listed. */
  readonly more: number;
}

/** One cell, or one value of a cell that holds JSON. */
export interface CellChange {
  readonly column: string;
  /** The key path inside a cell that holds JSON, as in ConfigChange. */
  readonly path?: string;
  /** The value as SQLite would write it (`'text'`, `12`, `NULL`), as JSON inside JSON, `<blob of 128 bytes>`, or MASK. */
  readonly before?: string;
  readonly after?: string;
  readonly secret?: true;
}

/** A file of which only size and type can be told. */
export interface BinaryDiff {
  readonly kind: 'binary';
  readonly before?: BinarySide;
  readonly after?: BinarySide;
  /** Why it is not compared by content: it is no text, or … */
  readonly reason: 'binary' | 'secret' | 'too large' | 'too different' | 'too complex';
}

/** One side of it. */
export interface BinarySide {
  readonly sizeBytes: number;
  /** `PNG image`, `gzip archive`, `SQLite database`, `text`, `data`, … */
  readonly type: string;
}

/** One file that differs between two moments. */
export interface ComparedFile {
  /** Escaped path in the commit tree. */
  readonly path: string;
  readonly component: Component;
  readonly change: 'added' | 'removed' | 'modified' | 'renamed';
  /** Where a renamed file was. */
  readonly from?: string;
  /** Both sides' modes, where they differ: `100644`. */
  readonly modes?: { readonly before: string; readonly after: string };
}
