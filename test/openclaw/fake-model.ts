// A language model that needs none: it speaks as much of OpenAI's API as OpenClaw asks for (chat, streamed or not, and embeddings), on
// loopback, and answers the same to the same.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

/** The recorded states were indexed with embeddings of this length. */
const DIMENSIONS = 32;

/** A running model. */
export interface FakeModel extends AsyncDisposable {
  readonly port: number;
  /** How many chats it answered. */
  readonly chats: number;
}

/** Starts a model on a free port of loopback. */
export async function startFakeModel(): Promise<FakeModel> {
  const counts = { chats: 0 };
  const server = createServer((request, response) => {
    answer(request, response, counts).catch((error: unknown) => {
      response.statusCode = 500;
      response.end(String(error));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get chats() {
      return counts.chats;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

interface ChatRequest {
  readonly model?: string;
  readonly stream?: boolean;
  readonly messages?: readonly { readonly role: string; readonly content?: unknown }[];
}

interface EmbeddingRequest {
  readonly model?: string;
  readonly input: string | readonly string[];
  readonly encoding_format?: string;
}

async function answer(request: IncomingMessage, response: ServerResponse, counts: { chats: number }): Promise<void> {
  switch (request.url?.split('?')[0]) {
    case '/v1/models':
      sendJson(response, { object: 'list', data: ['fake-1', 'fake-embed'].map((id) => ({ id, object: 'model' })) });
      return;
    case '/v1/embeddings':
      sendJson(response, embed((await json(request)) as EmbeddingRequest));
      return;
    case '/v1/chat/completions':
      counts.chats += 1;
      chat((await json(request)) as ChatRequest, response);
      return;
    default:
      response.statusCode = 404;
      sendJson(response, { error: { message: `no ${request.url}` } });
  }
}

function sendJson(response: ServerResponse, value: object): void {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
}

/** Answers what the user said last; what OpenClaw adds behind it under the user's name is left out. */
function chat({ messages = [], model = 'fake-1', stream = false }: ChatRequest, response: ServerResponse): void {
  const before = messages.findLastIndex(({ role }) => role === 'assistant');
  const said = messages.slice(before + 1).find(({ role }) => role === 'user');
  const asked = textOf(said?.content);
  const text = `Understood, and noted. (ref ${hash(asked).toString('hex').slice(0, 8)})`;
  const base = {
    id: `chatcmpl-${hash(JSON.stringify(messages)).toString('hex').slice(0, 24)}`,
    created: 1_767_225_600,
    model,
  };
  const usage = { prompt_tokens: messages.length, completion_tokens: 6, total_tokens: messages.length + 6 };
  if (!stream) {
    const choice = { index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' };
    sendJson(response, { ...base, object: 'chat.completion', choices: [choice], usage });
    return;
  }
  response.setHeader('content-type', 'text/event-stream');
  const send = (rest: object): void => {
    response.write(`data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', ...rest })}\n\n`);
  };
  send({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] });
  for (const content of text.match(/\S+\s*/g) ?? [])
    send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  send({ choices: [], usage });
  response.end('data: [DONE]\n\n');
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: unknown }) => (typeof part.text === 'string' ? part.text : '')).join('\n');
}

/** Returns for each text the normed count of its words, each word at two places that its hash gives. */
function embed({ input, model = 'fake-embed', encoding_format: encoding }: EmbeddingRequest): object {
  const data = [input].flat().map((text, index) => {
    const vector = new Float64Array(DIMENSIONS);
    for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? ['empty']) {
      const [first = 0, second = 0] = hash(word);
      add(vector, first, 1);
      add(vector, second, 0.5);
    }
    const length = Math.hypot(...vector);
    const normed = new Float32Array(vector.map((value) => value / length));
    const embedding = encoding === 'base64' ? Buffer.from(normed.buffer).toString('base64') : [...normed];
    return { object: 'embedding', index, embedding };
  });
  return { object: 'list', model, data, usage: { prompt_tokens: data.length, total_tokens: data.length } };
}

function add(vector: Float64Array, place: number, weight: number): void {
  const index = place % vector.length;
  vector[index] = (vector[index] ?? 0) + weight;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
