// The record of a pod in MOLT_HOME/pods/NAME/pod.json: its spec as this machine's user accepted it, and which generation of its
// state is the one that counts.

import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Fields } from '../format/fields.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { parsePodSpec, type PodPorts, type PodSpec, type PortPair } from '../pod/spec.ts';
import { readIfThere, type Home } from './home.ts';

/** A generation of a pod: where its state lies, and what it is reached by. */
export interface PodGeneration {
  readonly generation: number;
  /** Absolute. */
  readonly stateDir: string;
  readonly ports: PodPorts;
  /** What it was restored from, if it was. */
  readonly commit: string | undefined;
}

/** A pod as this machine knows it. */
export interface PodRecord extends PodGeneration {
  readonly name: string;
  /** The label of the agent that it runs. */
  readonly agent: string;
  /** As accepted on this machine. */
  readonly spec: PodSpec;
  readonly createdMs: number;
  /** A generation that was about to take over; whether it did, its supervisor noted. */
  readonly next: PodGeneration | undefined;
}

/** Returns the folder of a pod; absolute. */
export function podDir(home: Home, name: string): string {
  return join(home.dir, 'pods', name);
}

/** Returns the pod with this name, or undefined. @throws {MoltError} DAMAGED, NEWER_FORMAT */
export async function readPodRecord(home: Home, name: string): Promise<PodRecord | undefined> {
  const bytes = await readIfThere(fileOf(home, name));
  return bytes === undefined ? undefined : parseRecord(bytes, name);
}

/** Writes a pod's record. @throws EEXIST when it is there and may not be replaced */
export async function writePodRecord(
  home: Home,
  record: PodRecord,
  { replace }: { readonly replace: boolean },
): Promise<void> {
  await home.write(fileOf(home, record.name), encodeRecord(record), { replace });
}

/** Lists the names of the pods of this machine; a folder without a record is none yet. */
export async function listPodNames(home: Home): Promise<string[]> {
  const dir = join(home.dir, 'pods');
  try {
    const names = await readdir(dir);
    return names.filter((name) => !name.startsWith('.') && existsSync(fileOf(home, name))).toSorted();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw systemFailure(error, `cannot look into "${dir}"`, dir);
  }
}

function fileOf(home: Home, name: string): string {
  return join(podDir(home, name), 'pod.json');
}

function encodeRecord({ spec, ...record }: PodRecord): Buffer {
  const value = { molt: 'pod', version: 1, ...record, profile: spec.profile, spec: spec.given };
  return Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8');
}

function parseRecord(bytes: Buffer, name: string): PodRecord {
  const subject = `the record of pod "${name}"`;
  const hint = `bring pods/${name}/pod.json back from a copy of molt's folder, or move that folder away and restore the pod anew`;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new MoltError('DAMAGED', `${subject} is not JSON`, { hint, cause });
  }
  const fields = new Fields(value, subject);
  if (fields.integer('version') > 1) throw new MoltError('NEWER_FORMAT', `${subject} was written by a newer molt`);
  const profile = fields.text('profile', /^(openclaw|generic)$/) as 'openclaw' | 'generic';
  return {
    name,
    agent: fields.text('agent', /^\S+$/),
    spec: parsePodSpec(Object.fromEntries(fields.entries('spec')), { profile }),
    createdMs: fields.integer('createdMs'),
    ...parseGeneration(fields),
    next: fields.has('next')
      ? parseGeneration(new Fields(Object.fromEntries(fields.entries('next')), subject))
      : undefined,
  };
}

function parseGeneration(fields: Fields): PodGeneration {
  const ports = fields.entries('ports').map(([name, value]): [string, PortPair] => {
    const pair = new Fields(value, `port "${name}"`);
    return [name, { public: pair.integer('public'), private: pair.integer('private') }];
  });
  return {
    generation: fields.integer('generation'),
    stateDir: fields.text('stateDir', /^\//),
    ports: Object.fromEntries(ports),
    commit: fields.has('commit') ? fields.text('commit', /^[0-9a-f]{40}$/) : undefined,
  };
}
