// A proxy before an S3 server, in a process of its own, that gives every object its simulated age: what an answer says of when an object
// was written becomes as long ago as it is by the simulated clock. All else passes as it is; the server's own time too, by which requests
// are signed.
// usage: forked with the server's port; sends its own port, and takes ticks: the real and the simulated time of each, in milliseconds.

import { createServer, request, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { simulatedTime, type Tick } from './store.ts';

const SECOND_MS = 1000;
const [upstream = ''] = process.argv.slice(2);
const ticks: Tick[] = [];

/** Returns the time to answer for a time of the server, which knows seconds: the latest it can have been, so that nothing is too old. */
function aged(serverMs: number): number {
  const now = ticks.at(-1);
  if (now === undefined) return serverMs;
  const latestMs = Math.floor(serverMs / SECOND_MS) * SECOND_MS + SECOND_MS - 1;
  return Date.now() - (now.nowMs - simulatedTime(ticks, latestMs));
}

function answer(message: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET', url, headers } = message;
  const onward = request({ host: '127.0.0.1', port: Number(upstream), method, path: url, headers }, (reply) => {
    void relay(reply, response).catch(() => response.destroy());
  });
  onward.on('error', () => response.destroy());
  message.pipe(onward);
}

async function relay(reply: IncomingMessage, response: ServerResponse): Promise<void> {
  response.statusCode = reply.statusCode ?? 502;
  const { 'last-modified': modified, ...headers }: IncomingHttpHeaders = reply.headers;
  for (const [name, value = ''] of Object.entries(headers)) response.setHeader(name, value);
  if (modified !== undefined) response.setHeader('last-modified', new Date(aged(Date.parse(modified))).toUTCString());
  if (headers['content-type']?.startsWith('application/xml') !== true) {
    reply.pipe(response);
    return;
  }
  const text = (await buffer(reply)).toString('utf8');
  // As long as it was: the length in the headers stays right.
  response.end(text.replaceAll(/(?<=<LastModified>)[^<]+/g, (time) => new Date(aged(Date.parse(time))).toISOString()));
}

const server = createServer(answer);
process.on('message', (tick: Tick) => void ticks.push(tick));
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
