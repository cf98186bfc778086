// What a gateway that runs knows, asked through its own API as a client of OpenClaw's asks it.

import type { Endpoint } from './gateway.ts';

/** What must be the same wherever an agent was brought back; each list is sorted. */
export interface Knowledge {
  /** `KEY ID` of each session. */
  readonly sessions: readonly string[];
  readonly cronJobs: readonly string[];
  readonly agents: readonly string[];
}

/** What a gateway knows, and where. */
export interface Answers extends Knowledge {
  /** Workspace of each agent, in the order of `agents`. */
  readonly workspaces: readonly string[];
  /** The files in which memory search found "gunpowder tea". */
  readonly memory: readonly string[];
}

/** Asks a gateway for all of it. */
export async function askAll(endpoint: Endpoint): Promise<Answers> {
  const [{ sessions }, { jobs }, { agents }, { results }] = await call(endpoint, [
    ['sessions.list', { limit: 10_000 }],
    ['cron.list', { includeDisabled: true }],
    ['agents.list', {}],
    ['memory.search', { agentId: 'main', query: 'gunpowder tea' }],
  ]);
  const known = (agents as { id: string; workspace: string }[]).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return {
    sessions: sessions.map((one: { key: string; sessionId: string }) => `${one.key} ${one.sessionId}`).toSorted(),
    cronJobs: jobs.map((one: { name: string }) => one.name).toSorted(),
    agents: known.map((one) => one.id),
    workspaces: known.map((one) => one.workspace),
    memory: [...new Set<string>(results.map((one: { path: string }) => one.path))].toSorted(),
  };
}

/** Says something to an agent in a session of its own and returns what it answered. */
export async function takeTurn(
  { port, token }: Endpoint,
  session: string,
  text: string,
  signal?: AbortSignal,
): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'x-openclaw-session-key': session,
    },
    body: JSON.stringify({ model: 'openclaw/main', messages: [{ role: 'user', content: text }] }),
    ...(signal && { signal }),
  });
  const body = await response.text();
  if (response.status !== 200) throw new Error(`a turn was answered by ${response.status}: ${body}`);
  return JSON.parse(body).choices[0].message.content;
}

// oxlint-disable-next-line typescript/no-explicit-any -- OpenClaw's own documents
type Payload = any;

/** Calls methods of a gateway one after the other and returns what they gave. */
async function call({ port, token }: Endpoint, calls: readonly (readonly [string, object])[]): Promise<Payload[]> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  const waiting = new Map<string, PromiseWithResolvers<Payload>>();
  const challenge = Promise.withResolvers<void>();
  const fail = (reason: string): void => {
    const error = new Error(`the gateway at port ${port}: ${reason}`);
    challenge.reject(error);
    for (const { reject } of waiting.values()) reject(error);
  };
  socket.addEventListener('close', ({ code, reason }) => fail(`closed with ${code} ${reason}`));
  socket.addEventListener('error', () => fail('no connection'));
  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data));
    if (message.event === 'connect.challenge') challenge.resolve();
    if (message.type !== 'res') return;
    if (message.ok) waiting.get(message.id)?.resolve(message.payload);
    else waiting.get(message.id)?.reject(new Error(JSON.stringify(message.error)));
  });
  const request = async (method: string, params: object): Promise<Payload> => {
    const id = String(waiting.size + 1);
    const answer = Promise.withResolvers<Payload>();
    waiting.set(id, answer);
    socket.send(JSON.stringify({ type: 'req', id, method, params }));
    return await answer.promise;
  };
  try {
    await challenge.promise;
    await request('connect', {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' },
      role: 'operator',
      scopes: ['operator.read', 'operator.write', 'operator.admin'],
      caps: [],
      auth: { token },
    });
    const payloads: Payload[] = [];
    for (const [method, params] of calls) payloads.push(await request(method, params));
    return payloads;
  } finally {
    socket.close();
  }
}
