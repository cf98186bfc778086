// A proxy before an S3 server, in a process of its own: counts requests and, if asked, answers each some milliseconds later.
// usage: proxy.ts <upstream port> <delay ms>; prints its port. GET /__counts answers the counts so far by method, and begins anew.

import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const [upstream = '', delay = '0'] = process.argv.slice(2);
let counts: Record<string, number> = {};

const server = createServer((message, response) => void answer(message, response));

async function answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = 'GET', url = '/', headers } = message;
  if (url === '/__counts') {
    response.end(JSON.stringify(counts));
    counts = {};
    return;
  }
  counts[method] = (counts[method] ?? 0) + 1;
  if (Number(delay) > 0) await pause(Number(delay));
  const onward = request({ host: '127.0.0.1', port: Number(upstream), method, path: url, headers }, (reply) => {
    response.writeHead(reply.statusCode ?? 502, reply.rawHeaders);
    reply.pipe(response);
  });
  onward.on('error', () => response.destroy());
  message.pipe(onward);
}

server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
