// Conversations as turns: who said what. Records of OpenClaw, OpenAI and Anthropic are read, and what is like them.

import { diffArrays } from 'diff';
import type { ConversationChange, Turn } from '../model/semantic-diff.ts';
import { maskText } from './secrets.ts';
import { shorten } from './shorten.ts';

/** How to show turns. */
export interface TurnOptions {
  readonly showSecrets: boolean;
  /** Turns beyond these are only counted; 200 on each side unless given. */
  readonly maxTurns?: number;
  /** Nothing is shortened, what was thought is told too, and arguments are written as text, not as JSON: what search looks at. */
  readonly isWhole?: true;
}

const MOST_TURNS = 200;
const MOST_TEXT_CHARACTERS = 4000;
const MOST_ARGUMENT_CHARACTERS = 200;
/** Longer records are not parsed. */
const MOST_RECORD_CHARACTERS = 4 << 20;
const MOST_LINE_EDITS = 1000;
const MOST_PARTS = 200;

type Fields = Readonly<Record<string, unknown>>;

/** Reads a record: its turn, or undefined if it is something else. @param text JSON */
export function parseTurn(text: string, options: TurnOptions): Turn | undefined {
  if (text.length > MOST_RECORD_CHARACTERS) return undefined;
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isFields(record)) return undefined;
  const message = isFields(record['message']) ? record['message'] : record;
  const role = [message['role'], message['sender'], message['author'], message['from'], record['role']].find(
    (name) => typeof name === 'string' && name !== '',
  );
  const content = message['content'] ?? message['text'] ?? message['message'] ?? message['body'];
  if (typeof role !== 'string' || (content === undefined && message['tool_calls'] === undefined)) return undefined;
  const said: string[] = [];
  const tools: Turn['tools'][number][] = [];
  readContent(content, said, tools, options);
  readToolCalls(message['tool_calls'], tools, options);
  const tool = message['toolName'] ?? message['name'];
  const text_ = said.join('\n');
  const time = timeOf(record['timestamp'] ?? message['timestamp'] ?? record['ts'] ?? record['created_at']);
  return {
    role: roleOf(role),
    text: show(
      isToolRole(role) && typeof tool === 'string' ? `${tool}: ${text_}` : text_,
      MOST_TEXT_CHARACTERS,
      options,
    ),
    tools,
    ...(time !== undefined && { time }),
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isToolRole(role: string): boolean {
  return /^tool|^function$/i.test(role);
}

function roleOf(role: string): string {
  if (isToolRole(role)) return 'tool';
  if (/^(?:human|user)$/i.test(role)) return 'user';
  return /^(?:ai|assistant|model|bot)$/i.test(role) ? 'assistant' : shorten(role, 40);
}

function readContent(content: unknown, said: string[], tools: Turn['tools'][number][], options: TurnOptions): void {
  if (typeof content === 'string') said.push(content);
  else if (Array.isArray(content))
    for (const part of content.slice(0, MOST_PARTS)) readPart(part, said, tools, options);
  else if (isFields(content)) readPart(content, said, tools, options);
}

function readPart(part: unknown, said: string[], tools: Turn['tools'][number][], options: TurnOptions): void {
  if (typeof part === 'string') {
    said.push(part);
    return;
  }
  if (!isFields(part)) return;
  const { type, text, name } = part;
  if (type === 'thinking' || type === 'reasoning' || type === 'redacted_thinking') {
    if (options.isWhole === true && typeof part['thinking'] === 'string') said.push(part['thinking']);
    return;
  }
  if (typeof text === 'string') said.push(text);
  else if (type === 'toolCall' || type === 'tool_use' || type === 'tool_call' || type === 'function_call')
    tools.push({ name: nameOf(name), arguments: showArguments(part['arguments'] ?? part['input'], options) });
  else if (type === 'tool_result') {
    const inner: string[] = [];
    readResult(part['content'], inner);
    said.push(...inner);
  } else said.push(`[${nameOf(type, 'content')}]`);
}

/** A tool's result holds parts of its own, one level deep. */
function readResult(content: unknown, said: string[]): void {
  if (typeof content === 'string') said.push(content);
  if (!Array.isArray(content)) return;
  for (const part of content.slice(0, MOST_PARTS))
    if (isFields(part))
      said.push(typeof part['text'] === 'string' ? part['text'] : `[${nameOf(part['type'], 'content')}]`);
}

function readToolCalls(calls: unknown, tools: Turn['tools'][number][], options: TurnOptions): void {
  if (!Array.isArray(calls)) return;
  for (const call of calls.slice(0, MOST_PARTS)) {
    const called = isFields(call) && isFields(call['function']) ? call['function'] : call;
    if (isFields(called))
      tools.push({ name: nameOf(called['name']), arguments: showArguments(called['arguments'], options) });
  }
}

function nameOf(value: unknown, fallback = 'tool'): string {
  return typeof value === 'string' ? shorten(value, 80) : fallback;
}

function showArguments(value: unknown, options: TurnOptions): string {
  if (options.isWhole === true && isFields(value)) {
    const entries = Object.entries(value);
    return entries.map(([name, one]) => `${name}: ${typeof one === 'string' ? one : JSON.stringify(one)}`).join(', ');
  }
  const text = typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
  return show(text, MOST_ARGUMENT_CHARACTERS, options).replaceAll('\n', ' ');
}

function show(text: string, most: number, { showSecrets, isWhole }: TurnOptions): string {
  const shown = showSecrets ? text : maskText(text);
  return isWhole === true ? shown : shorten(shown, most);
}

function timeOf(value: unknown): string | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  // Numbers are milliseconds, or seconds if they would be before 1973.
  const time = new Date(typeof value === 'number' && value < 1e11 ? value * 1000 : value);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** The records that differ between two versions of a conversation, each as JSON. */
export interface RecordChanges {
  readonly removed: readonly string[];
  readonly added: readonly string[];
  /** Nothing but what was added at the end is new. */
  readonly isExtended: boolean;
}

/** Finds which lines of two versions of a JSONL file differ: the least of them, unless that are too many to look for. */
export function compareLines(before: string, after: string): RecordChanges {
  const [olds, nows] = [linesOf(before), linesOf(after)];
  let start = 0;
  while (start < olds.length && olds[start] === nows[start]) start += 1;
  let end = 0;
  while (end < Math.min(olds.length, nows.length) - start && olds.at(-1 - end) === nows.at(-1 - end)) end += 1;
  const gone = olds.slice(start, olds.length - end);
  const come = nows.slice(start, nows.length - end);
  const isExtended = gone.length === 0 && end === 0;
  if (gone.length === 0 || come.length === 0) return { removed: gone, added: come, isExtended };
  const parts = diffArrays(gone, come, { maxEditLength: MOST_LINE_EDITS });
  // Too many edits to find the least: then all of it went and came.
  if (parts === undefined) return { removed: gone, added: come, isExtended };
  return {
    removed: parts.flatMap(({ removed, value }) => (removed ? value : [])),
    added: parts.flatMap(({ added, value }) => (added ? value : [])),
    isExtended,
  };
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

/** What is known of a conversation beside its records. */
export interface ConversationName {
  readonly name: string;
  readonly id?: string | undefined;
  /** It is there on each side. */
  readonly isBefore: boolean;
  readonly isAfter: boolean;
}

/** Returns how a conversation changed, with its turns; undefined if none of its records that differ is a turn. */
export function describeConversation(
  { name, id, isBefore, isAfter }: ConversationName,
  records: RecordChanges,
  options: TurnOptions,
): ConversationChange | undefined {
  const removed = readTurns(records.removed, options);
  const added = readTurns(records.added, options);
  if (removed.count + added.count === 0) return undefined;
  const change = !isBefore ? 'added' : !isAfter ? 'removed' : records.isExtended ? 'extended' : 'rewritten';
  return {
    name,
    ...(id !== undefined && { id }),
    change,
    removed: removed.turns,
    added: added.turns,
    moreRemoved: removed.count - removed.turns.length,
    moreAdded: added.count - added.turns.length,
    otherRecords: removed.others + added.others,
  };
}

function readTurns(records: readonly string[], options: TurnOptions): { turns: Turn[]; count: number; others: number } {
  const most = options.maxTurns ?? MOST_TURNS;
  const turns: Turn[] = [];
  let count = 0;
  let others = 0;
  for (const record of records) {
    const turn = parseTurn(record, options);
    if (turn === undefined) others += 1;
    else {
      count += 1;
      // Of many the newest are shown: what is new in a conversation is at its end.
      turns.push(turn);
      if (turns.length > most) turns.shift();
    }
  }
  return { turns, count, others };
}
