// OpenClaw's record of one event of a conversation, as JSON in a row or on a line: of those that are turns, who said what.

import type { Turn } from '../model/semantic-diff.ts';

/** How long one event may be: OpenClaw's own bound. */
export const EVENT_MAX_BYTES = 4 << 20;
/** What begins any of them: other JSON need not be parsed. */
const MESSAGE = /"type"\s*:\s*"message"/;

/** Returns the turn that a record is, its text whole; undefined if it is none. */
export function parseTurnEvent(json: string): Turn | undefined {
  if (json.length > EVENT_MAX_BYTES || !MESSAGE.test(json)) return undefined;
  const event = parseObject(json);
  const message = event?.['type'] === 'message' ? asObject(event['message']) : undefined;
  if (event === undefined || message === undefined) return undefined;
  const { text, tools } = readContent(message['content']);
  const role = typeof message['role'] === 'string' ? message['role'] : 'unknown';
  const time = readTime(message['timestamp']) ?? readTime(event['timestamp']);
  return { role: role === 'toolResult' ? 'tool' : role, text, tools, ...(time !== undefined && { time }) };
}

/** Returns all that a turn says, tools and their arguments included, as search looks at it. */
export function turnText({ text, tools }: Pick<Turn, 'text' | 'tools'>): string {
  return [text, ...tools.map((tool) => `${tool.name} ${tool.arguments}`)].filter((part) => part !== '').join('\n');
}

function readContent(content: unknown): Pick<Turn, 'text' | 'tools'> {
  if (typeof content === 'string') return { text: content, tools: [] };
  const texts: string[] = [];
  const tools: Turn['tools'][number][] = [];
  for (const part of Array.isArray(content) ? content.map((one: unknown) => asObject(one)) : []) {
    if (typeof part?.['text'] === 'string') texts.push(part['text']);
    else if (typeof part?.['thinking'] === 'string') texts.push(part['thinking']);
    else if (part?.['type'] === 'toolCall')
      tools.push({ name: String(part['name']), arguments: plainArguments(part['arguments']) });
  }
  return { text: texts.join('\n'), tools };
}

/** Writes arguments so that a text among them stands there as it was said, not escaped. */
function plainArguments(value: unknown): string {
  if (typeof value === 'string') return value;
  const entries = Object.entries(asObject(value) ?? {});
  return entries.map(([name, one]) => `${name}: ${typeof one === 'string' ? one : JSON.stringify(one)}`).join(', ');
}

function readTime(value: unknown): string | undefined {
  const timeMs = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Math.abs(timeMs) <= 8.64e15 ? new Date(timeMs).toISOString() : undefined;
}

function parseObject(json: string): Record<string, unknown> | undefined {
  try {
    return asObject(JSON.parse(json));
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
