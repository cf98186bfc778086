// One file on two sides, compared by what it is: database, conversation, configuration, Markdown, text, or else its size and type.

import { describeType, TYPE_HEAD_BYTES } from '../diff/binary.ts';
import { detectKind, decodeText, KIND_HEAD_BYTES } from '../diff/kind.ts';
import { diffText } from '../diff/text.ts';
import type { DiffHints } from '../model/diff-hints.ts';
import type { BinaryDiff, BinarySide, SemanticDiff } from '../model/semantic-diff.ts';
import { BlobReader, listDiffering } from '../repo/blob-reader.ts';

/** A file on one side; undefined if it isn't there. */
export type FileContent = BlobReader | { readonly sizeBytes: number } | undefined;

/** What is to be compared. */
export interface FilePair {
  /** In the commit tree, where the file is now. */
  readonly path: string;
  readonly before: FileContent;
  readonly after: FileContent;
  /** The profile marks the file as a secret. */
  readonly isSecret: boolean;
  readonly hints: DiffHints;
}

/** How to compare. */
export interface FileOptions {
  readonly showSecrets: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Larger files are not compared by lines or values, nor longer ends of conversations. */
const MAX_TEXT_BYTES = 8 << 20;
const MARKDOWN = /\.(?:md|markdown|mdx)$/i;
const CONVERSATION = /\.(?:jsonl|ndjson)(?:\.|$)/i;
const PRIVATE_KEY = /^\s*-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/;

/** Compares a file. @throws the signal's reason; {MoltError} DAMAGED and its kin when content can't be read */
export async function compareFile(pair: FilePair, options: FileOptions): Promise<SemanticDiff> {
  const { before, after, path } = pair;
  options.signal?.throwIfAborted();
  if (
    (before !== undefined && !(before instanceof BlobReader)) ||
    (after !== undefined && !(after instanceof BlobReader))
  )
    return describeBinary(before, after, 'too large');
  const heads = await Promise.all([before, after].map((reader) => readHead(reader, KIND_HEAD_BYTES)));
  const kinds = heads.map((head) => head && detectKind(head, path));
  if (kinds.every((kind) => kind === undefined || kind === 'sqlite')) {
    const { diffDatabase } = await import('../diff/database.ts');
    const differing = before && after && listDiffering(before, after);
    const { hints } = pair;
    const database = await diffDatabase({ before, after, differing }, { ...options, hints });
    return database ?? describeBinary(before, after, 'too complex');
  }
  if (kinds.some((kind) => kind === 'binary' || kind === 'sqlite')) return describeBinary(before, after, 'binary');
  return compareTexts(pair, { before, after }, options);
}

interface Readers {
  readonly before: BlobReader | undefined;
  readonly after: BlobReader | undefined;
}

async function compareTexts(pair: FilePair, readers: Readers, options: FileOptions): Promise<SemanticDiff> {
  const { before, after } = readers;
  if (CONVERSATION.test(pair.path)) {
    const conversation = await compareConversation(pair, readers, options);
    if (conversation !== undefined) return conversation;
  }
  if (Math.max(before?.sizeBytes ?? 0, after?.sizeBytes ?? 0) > MAX_TEXT_BYTES)
    return describeBinary(before, after, 'too large');
  const bytes = { before: await readAll(before), after: await readAll(after) };
  options.signal?.throwIfAborted();
  const texts = { before: bytes.before && decodeText(bytes.before), after: bytes.after && decodeText(bytes.after) };
  if ((bytes.before && texts.before) === undefined && bytes.before !== undefined)
    return describeBinary(before, after, 'binary');
  if ((bytes.after && texts.after) === undefined && bytes.after !== undefined)
    return describeBinary(before, after, 'binary');
  const config = await compareConfig(pair, texts, options);
  if (config !== undefined) return config;
  const isKey = [texts.before, texts.after].some((text) => text !== undefined && PRIVATE_KEY.test(text));
  if ((pair.isSecret || isKey) && !options.showSecrets) return describeBinary(before, after, 'secret');
  const none = Buffer.alloc(0);
  const lines = diffText(bytes.before ?? none, bytes.after ?? none);
  if (lines.omitted !== undefined) return describeBinary(before, after, lines.omitted);
  const { markWords } = await import('../diff/markdown.ts');
  const format = MARKDOWN.test(pair.path) ? 'markdown' : 'text';
  return markWords(lines, { format, showSecrets: options.showSecrets, after: texts.after ?? '' });
}

/** Compares the ends of two versions of a conversation, from the first line on that may differ; undefined if it has no turns. */
async function compareConversation(
  { path }: FilePair,
  { before, after }: Readers,
  options: FileOptions,
): Promise<SemanticDiff | undefined> {
  const first = before && after ? (listDiffering(before, after)[0]?.start ?? 0) : 0;
  // The line in which the first difference lies began somewhere in what both have in common.
  const from = before && after ? Math.max(0, first - MAX_TEXT_BYTES / 2) : 0;
  const [olds, nows] = [await readFrom(before, from), await readFrom(after, from)];
  if (olds === undefined || nows === undefined) return undefined;
  const start = from === 0 ? 0 : olds.lastIndexOf('\n', first - from - 1) + 1;
  if (from > 0 && start === 0) return undefined;
  const { compareLines, describeConversation } = await import('../diff/conversation.ts');
  const name = path.slice(path.lastIndexOf('/') + 1).replace(/\.(?:jsonl|ndjson).*$/i, '');
  const conversation = describeConversation(
    { name, isBefore: before !== undefined, isAfter: after !== undefined },
    compareLines(olds.subarray(start).toString('utf8'), nows.subarray(start).toString('utf8')),
    options,
  );
  return conversation && { kind: 'conversation', conversations: [conversation], more: 0 };
}

/** Reads a file from an offset; undefined if that is too much. */
async function readFrom(reader: BlobReader | undefined, offsetBytes: number): Promise<Buffer | undefined> {
  if (reader === undefined) return Buffer.alloc(0);
  const lengthBytes = Math.max(0, reader.sizeBytes - offsetBytes);
  return lengthBytes > MAX_TEXT_BYTES ? undefined : reader.read(Math.min(offsetBytes, reader.sizeBytes), lengthBytes);
}

async function compareConfig(
  { path, isSecret, hints }: FilePair,
  { before, after }: { readonly before: string | undefined; readonly after: string | undefined },
  { showSecrets }: FileOptions,
): Promise<SemanticDiff | undefined> {
  const { diffConfig, findConfigFormat } = await import('../diff/config.ts');
  const format = findConfigFormat(path);
  if (format === undefined) return undefined;
  // Unless it is known better, all of a file that is marked as a secret is one, and an environment file is there to hold secrets.
  const secrets = hints.secrets ?? { all: isSecret || format === 'env' };
  return diffConfig(before, after, format, { showSecrets, secrets });
}

async function readAll(reader: BlobReader | undefined): Promise<Buffer | undefined> {
  return reader?.read(0, reader.sizeBytes);
}

async function readHead(reader: BlobReader | undefined, lengthBytes: number): Promise<Buffer | undefined> {
  return reader?.read(0, Math.min(reader.sizeBytes, lengthBytes));
}

/** Returns what is left to say of a file that is not compared by content. */
export async function describeBinary(
  before: FileContent,
  after: FileContent,
  reason: BinaryDiff['reason'],
): Promise<BinaryDiff> {
  const [old, now] = [await describeSide(before), await describeSide(after)];
  return {
    kind: 'binary',
    ...(old !== undefined && { before: old }),
    ...(now !== undefined && { after: now }),
    reason,
  };
}

async function describeSide(content: FileContent): Promise<BinarySide | undefined> {
  if (content === undefined) return undefined;
  const head = content instanceof BlobReader ? await readHead(content, TYPE_HEAD_BYTES) : undefined;
  return { sizeBytes: content.sizeBytes, type: head === undefined ? 'unknown' : describeType(head) };
}
