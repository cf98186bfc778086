// Which ports pods get. A pod keeps what it was promised, whether it runs or not; what its agent alone listens on may change.

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MoltError } from '../model/error.ts';
import { tryLock } from '../pod/lock.ts';
import { findFreePort, isPortFree } from '../pod/ports.ts';
import { isFronted, type PodPorts, type PodSpec, type PortPair } from '../pod/spec.ts';
import type { Home } from './home.ts';
import { listPodNames, readPodRecord, type PodRecord } from './pod-record.ts';

/** Choosing ports takes milliseconds. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 20;

/**
 * Keeps pods that are made at the same time from being promised the same ports.
 * @throws {MoltError} LOCKED when it takes too long
 */
export async function lockPorts(home: Home): Promise<Disposable> {
  const untilMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLock(join(home.dir, 'locks', 'ports'));
    if (lock !== undefined) return lock;
    if (performance.now() > untilMs) {
      throw new MoltError('LOCKED', 'another molt is choosing ports for a pod; nothing was changed', {
        hint: 'try again when it has ended',
      });
    }
    // oxlint-disable-next-line no-await-in-loop -- looking again after a while
    await delay(RETRY_MS);
  }
}

/** Returns ports for another generation of a pod: the public ones stay, and private ones are new where molt fronts them. */
export async function choosePrivatePorts(home: Home, { ports, spec }: PodRecord): Promise<PodPorts> {
  if (!isFronted(spec)) return ports;
  const avoid = await promisedPorts(home);
  const chosen: [string, PortPair][] = [];
  for (const [name, pair] of Object.entries(ports)) {
    // oxlint-disable-next-line no-await-in-loop -- each must be another one than those before
    const own = await findFreePort(pair.public + 1, avoid);
    avoid.add(own);
    chosen.push([name, { public: pair.public, private: own }]);
  }
  return Object.fromEntries(chosen);
}

/** Returns the ports that pods of this machine have, whether they run or not. */
async function promisedPorts(home: Home): Promise<Set<number>> {
  const names = await listPodNames(home);
  const records = await Promise.all(names.map((name) => readPodRecord(home, name).catch(() => undefined)));
  const pairs = records.flatMap((record) =>
    [record?.ports, record?.next?.ports].flatMap((one) => Object.values(one ?? {})),
  );
  return new Set(pairs.flatMap((pair) => [pair.public, pair.private]));
}

/**
 * Returns ports for a new pod: those of its spec, or the next free ones that no other pod has. Under `lockPorts` until its record is
 * written.
 */
export async function choosePorts(home: Home, spec: PodSpec): Promise<PodPorts> {
  const taken = await promisedPorts(home);
  const ports: [string, PortPair][] = [];
  for (const { name, port } of spec.ports) {
    // oxlint-disable-next-line no-await-in-loop -- each must be another one than those before
    const pair = await choosePair(port, isFronted(spec), taken);
    ports.push([name, pair]);
  }
  return Object.fromEntries(ports);
}

async function choosePair(port: number, isFronted: boolean, taken: Set<number>): Promise<PortPair> {
  const open = await findFreePort(port, taken);
  taken.add(open);
  const own = isFronted ? await findFreePort(open + 1, taken) : open;
  taken.add(own);
  return { public: open, private: own };
}

/**
 * Sees to it that the ports of a stopped pod can be listened on: a public one has to be free, and a private one that somebody took is
 * replaced.
 * @throws {MoltError} UNHEALTHY
 */
export async function replaceTakenPorts(home: Home, record: PodRecord): Promise<PodRecord> {
  const ports: [string, PortPair][] = [];
  const avoid = await promisedPorts(home);
  for (const [name, pair] of Object.entries(record.ports)) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other, as they were given
    if (!(await isPortFree(pair.public))) throw portTaken(record, pair.public);
    let own = pair.private;
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (own !== pair.public && !(await isPortFree(own))) {
      if (record.spec.bindings.some(({ value }) => value.includes(`{port:${name}}`))) throw portTaken(record, own);
      // oxlint-disable-next-line no-await-in-loop -- the same
      own = await findFreePort(own + 1, avoid);
      avoid.add(own);
    }
    ports.push([name, { public: pair.public, private: own }]);
  }
  const isSame = ports.every(([name, pair]) => record.ports[name]?.private === pair.private);
  return isSame ? record : { ...record, ports: Object.fromEntries(ports) };
}

function portTaken({ name }: PodRecord, port: number): MoltError {
  return new MoltError('UNHEALTHY', `port ${port} of pod "${name}" is taken by another program; nothing was started`, {
    hint: `end what listens there (ss -ltnp "sport = :${port}" shows it), then molt pod start ${name}`,
    details: { port },
  });
}
