// Ports of this machine: finding one that is free. What is free now may be taken a moment later, so whoever listens still has to
// expect that.

import { createServer } from 'node:net';
import { MoltError } from '../model/error.ts';

/** Where pods are found: on this machine alone. */
export const POD_HOST = '127.0.0.1';

const LAST_PORT = 65_535;
/** More than anybody's pods on one machine. */
const MOST_TRIES = 2000;

/** Says whether a port can be listened on, on loopback and on all addresses: a program may want either. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port, POD_HOST)) && (await canListen(port, undefined));
}

function canListen(port: number, host: string | undefined): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ port, exclusive: true, ...(host !== undefined && { host }) }, () =>
    server.close(() => resolve(true)),
  );
  return promise;
}

/**
 * Returns the preferred port, or the next one that is free.
 * @param avoid ports that are promised to somebody
 * @throws {MoltError} IO when there is none
 */
export async function findFreePort(preferred: number, avoid: ReadonlySet<number> = new Set()): Promise<number> {
  const last = Math.min(LAST_PORT, preferred + MOST_TRIES);
  for (let port = preferred; port <= last; port += 1) {
    // oxlint-disable-next-line no-await-in-loop -- the first free one is wanted
    if (!avoid.has(port) && (await isPortFree(port))) return port;
  }
  throw new MoltError('IO', `no port from ${preferred} to ${last} is free`, {
    hint: 'give another one under "ports" in the pod’s pod.json',
  });
}
