// The front is plain TCP that waits for an agent, and lets one take over from another between two connections.

import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { Front } from '../../src/pod/front.ts';
import { freePort } from './agent.ts';

/** Listens like an agent; `serve` gets each connection. */
async function serve(t: ExecutionContext, handle: (socket: Socket) => unknown): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    void handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function openFront(t: ExecutionContext, holdMs = 60_000): Promise<Front> {
  const front = await Front.open(await freePort(), { holdMs });
  t.teardown(() => front.close());
  return front;
}

function call(front: Front): Socket {
  return connect({ port: front.port, host: '127.0.0.1', allowHalfOpen: true });
}

test('what is said goes through both ways, and one half may end long before the other', async (t) => {
  const front = await openFront(t);
  const port = await serve(t, async (socket) => {
    // Answers only when the client has said all.
    const said = await text(socket);
    socket.end(`heard ${said.length}`);
  });
  front.pointTo(port);
  const client = call(front);
  client.end('x'.repeat(1_000_000));
  t.is(await text(client), 'heard 1000000');
});

test('an agent that ends its half still hears its client', async (t) => {
  const front = await openFront(t);
  const heard = Promise.withResolvers<string>();
  const port = await serve(t, (socket) => {
    socket.end('goodbye');
    heard.resolve(text(socket));
  });
  front.pointTo(port);
  const client = call(front);
  t.is(await text(client), 'goodbye');
  client.end('thanks');
  t.is(await heard.promise, 'thanks');
});

test('a connection waits for an agent that is not there yet', async (t) => {
  const front = await openFront(t);
  const client = call(front);
  client.end('early');
  await once(client, 'connect');
  front.pointTo(await serve(t, async (socket) => socket.end(`got ${await text(socket)}`)));
  t.is(await text(client), 'got early');
});

test('a connection that waited too long is refused', async (t) => {
  const front = await openFront(t, 30);
  const client = call(front);
  const [error] = await once(client, 'error');
  t.is(error.code, 'ECONNRESET');
});

test('an agent that does not listen is refused soon', async (t) => {
  const front = await openFront(t);
  front.pointTo(await freePort());
  const client = call(front);
  const [error] = await once(client, 'error');
  t.is(error.code, 'ECONNRESET');
});

test('an end without a goodbye is passed on', async (t) => {
  const front = await openFront(t);
  const ended = Promise.withResolvers<void>();
  const port = await serve(t, (socket) => {
    socket.on('close', () => ended.resolve());
    socket.resume();
  });
  front.pointTo(port);
  const client = call(front);
  await once(client, 'connect');
  client.write('half a requ');
  client.resetAndDestroy();
  await ended.promise;
  t.pass();
});

test('two hundred clients at once are all served', async (t) => {
  const front = await openFront(t);
  front.pointTo(await serve(t, async (socket) => socket.end(`you said ${await text(socket)}`)));
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const client = call(front);
      client.end(String(index));
      return text(client);
    }),
  );
  t.deepEqual(
    answers,
    answers.map((_, index) => `you said ${index}`),
  );
});

test('a new agent gets new connections; who had an answer is let go, who waits for one gets it', async (t) => {
  const front = await openFront(t);
  const asked = Promise.withResolvers<Socket>();
  const old = await serve(t, (socket) => {
    socket.on('data', (data) => {
      if (String(data) === 'quick') socket.write('done');
      else asked.resolve(socket);
    });
    socket.on('end', () => socket.end());
  });
  const next = await serve(t, (socket) => socket.end('new'));
  front.pointTo(old);
  const idle = call(front);
  idle.write('quick');
  t.is(String((await once(idle, 'data'))[0]), 'done');
  const waiting = call(front);
  waiting.write('slow');
  const slow = await asked.promise;
  front.pointTo(next);
  t.is(await text(call(front)), 'new');
  const drained = front.drain(old, 60_000);
  t.is(await text(idle), '');
  idle.end();
  slow.write('at last');
  t.is(await text(waiting), 'at last');
  waiting.end();
  await drained;
  t.pass();
});

test('a port that is taken is named', async (t) => {
  const front = await openFront(t);
  await t.throwsAsync(Front.open(front.port), {
    code: 'UNHEALTHY',
    message: `port ${front.port} is taken by another program`,
  });
});
