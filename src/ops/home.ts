// MOLT_HOME: where agents, their repositories and this machine's device key live. Everything in it is 0600 or 0700.
//
//     device.key                          opens repositories unattended
//     agents/<label>.json                 an agent: repository, branch, state folder, rules
//     repositories/<repository id>/       a storage
//     cache/<repository id>/<label>       stat cache, sealed; derived
//     cache/<repository id>/.search/      the index of search, sealed; derived (search-index.ts)
//     trust/<repository id>/              fingerprint of the root, exec-<slot id>: commands that this machine's user gave, pod-<hash>: accepted pods
//     remotes/<repository id>/<name>.json URL and rules of a remote (remotes.ts)
//     views/<repository id>/<name>/       what was last seen of a remote, and ends/ of its segments; derived
//     restores/<label>.json               the last restore in place, and the commit of what was there before
//     restores/<label>.stopped            while a restore in place owes the agent a start (stopped-note.ts)
//     schedules/<label>.json              when an agent is saved, as its user wants it (schedule.ts)
//     daemon/agents/<label>.json          what the daemon did of it; derived
//     daemon/beat.json, under-way         the daemon that runs, or ran last, and the agent that it is at; derived
//     daemon.env                          what the daemon is to know of its user's environment; theirs
//     locks/daemon                        keeps two daemons apart; empty
//     locks/<hash of a folder>            keeps a restore in place and commits apart; empty
//     locks/run-<label>, restore-<label>  keep two runs, and two restores in place, of one agent apart; empty
//     locks/pod-<name>, locks/ports       keep two operations on one pod, and two that choose ports, apart; empty
//     pods/<name>/pod.json                a pod: its spec as accepted here, and the generation of its state that counts (pod-record.ts)
//     pods/<name>/gen-<n>/                a generation: state/ and roots/<n>/ as they were restored; bound to this place
//     pods/<name>/log, log.1              what its agent wrote
//     pods/<name>/supervisor.json, .lock  its supervisor while it runs (src/pod/supervisor.ts); derived
//     alerts.json                         where alerts go; may hold a secret (alert-settings.ts)
//     alerts/<time>-<mark>.json           alerts that could not be delivered yet
//     watch/<repository id>/<label>.json  what was there at the last commit, to notice losses (watch-note.ts); derived
//     seen/<repository id>.json           the newest that was seen of a repository; derived
//     runs/<repository id>/               the backup log of this machine, sealed, and entries that wait for it (src/catalog/)
//     unfinished/                         what is being made, so that a later process can remove what a killed one left
//     tmp/                                plaintext copies of databases during a commit; files that don't have their names yet

import { readFile, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { encodeDeviceKey, parseDeviceKey } from '../crypto/device-key.ts';
import { Fields, HEX_16, HEX_20 } from '../format/fields.ts';
import { MoltError, isSystemError } from '../model/error.ts';
import type { GitId, RepositoryId } from '../model/ids.ts';
import type { Random } from '../model/ports.ts';
import { systemFailure } from '../model/system-error.ts';
import { writeWholeFile } from '../storage/whole-file.ts';
import { keepRepository, sweepUnfinished } from './unfinished.ts';

/** An agent as this machine knows it: a label for repository, branch and state folder. */
export interface Agent {
  readonly label: string;
  readonly repository: RepositoryId;
  /** Without `refs/heads/`. */
  readonly branch: string;
  /** Absolute. */
  readonly stateDir: string;
  readonly profile: 'openclaw' | 'generic';
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** The user's pod.json as it was given, or undefined: then one is made from the profile. */
  readonly pod: Readonly<Record<string, unknown>> | undefined;
  readonly createdMs: number;
  /** The incarnation of each branch that its files are of, or were when it left the branch; the first where there is none. */
  readonly incarnations?: Readonly<Record<string, Incarnation>> | undefined;
  /** Incarnations of branches, met on remotes, that its pushes were refused for. */
  readonly fences?: Readonly<Record<string, Incarnation>> | undefined;
}

/** One life of a branch: each restore that puts an agent's own place back to a moment begins another one (incarnation.ts). */
export interface Incarnation {
  readonly number: number;
  /** The tag that stands for it: two machines may have given one number to two. */
  readonly id: GitId;
  readonly timeMs: number;
  readonly why: 'in-place' | 'deploy';
}

/** Returns the ref of the agent's branch. */
export function branchRef(agent: Agent): string {
  return `refs/heads/${agent.branch}`;
}

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** @throws {MoltError} USAGE when a text can't be an agent's label */
export function checkLabel(label: string): void {
  if (LABEL.test(label) && !label.endsWith('.json')) return;
  throw new MoltError(
    'USAGE',
    `"${label}" can't be an agent's name: letters, digits, dots, dashes and underscores, up to 63`,
  );
}

/** The folder of agents on this machine. */
export class Home {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = resolve(dir);
  }

  get tempDir(): string {
    return join(this.dir, 'tmp');
  }

  repositoryDir(id: RepositoryId): string {
    return join(this.dir, 'repositories', id);
  }

  cacheFile(agent: Agent): string {
    return join(this.dir, 'cache', agent.repository, agent.label);
  }

  /** No label begins with a dot. */
  searchDir(id: RepositoryId): string {
    return join(this.dir, 'cache', id, '.search');
  }

  trustFile(id: RepositoryId, name: string): string {
    return join(this.dir, 'trust', id, name);
  }

  /** Lists the agents by label. */
  async listAgents(): Promise<Agent[]> {
    const names = await namesIn(join(this.dir, 'agents'));
    const labels = names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
    const agents = await Promise.all(labels.toSorted().map((label) => this.findAgent(label)));
    return agents.filter((agent) => agent !== undefined);
  }

  /** Returns an agent, or undefined. @throws {MoltError} DAMAGED when its file can't be read */
  async findAgent(label: string): Promise<Agent | undefined> {
    if (!LABEL.test(label)) return undefined;
    const bytes = await readIfThere(this.#agentFile(label));
    return bytes === undefined ? undefined : parseAgent(bytes, label);
  }

  /** Adds an agent. @throws {MoltError} EXISTS */
  async addAgent(agent: Agent): Promise<void> {
    checkLabel(agent.label);
    if ((await this.findAgent(agent.label)) !== undefined) throw agentExists(agent.label);
    await this.write(this.#agentFile(agent.label), encodeAgent(agent), { replace: false }).catch((error: unknown) => {
      throw isSystemError(error, 'EEXIST') ? agentExists(agent.label) : error;
    });
  }

  /** Writes an agent that is there anew. */
  async updateAgent(agent: Agent): Promise<void> {
    await this.write(this.#agentFile(agent.label), encodeAgent(agent), { replace: true });
  }

  /** Forgets an agent's label; its repository stays. */
  async removeAgent(label: string): Promise<void> {
    const agent = await this.findAgent(label);
    // Else it might be taken for one whose init was killed before it had its label.
    if (agent !== undefined) await keepRepository(this.dir, agent.repository);
    await rm(this.#agentFile(label), { force: true });
  }

  /** Removes what killed processes left unfinished. Whatever stands in the way of that is no failure. */
  async sweep(nowMs: number): Promise<void> {
    await sweepUnfinished(this.dir, nowMs, async (id) =>
      (await this.listAgents()).some(({ repository }) => repository === id),
    );
  }

  /** Returns this machine's device key, or undefined if there is none. */
  async findDeviceKey(): Promise<Buffer | undefined> {
    const path = join(this.dir, 'device.key');
    const bytes = await readIfThere(path);
    if (bytes === undefined) return undefined;
    try {
      return parseDeviceKey(bytes.toString('utf8'));
    } catch (cause) {
      throw new MoltError('DAMAGED', `"${path}" does not hold a device key`, {
        hint: 'bring it back from a copy, or move it away: a passphrase or recovery key opens without it',
        cause,
      });
    }
  }

  /** Returns this machine's device key; makes it if there is none. */
  async makeDeviceKey(random: Random): Promise<Buffer> {
    const known = await this.findDeviceKey();
    if (known !== undefined) return known;
    const key = random.bytes(32);
    try {
      await this.write(join(this.dir, 'device.key'), Buffer.from(encodeDeviceKey(key), 'utf8'), { replace: false });
    } catch (error) {
      const other = isSystemError(error, 'EEXIST') ? await this.findDeviceKey() : undefined;
      if (other === undefined) throw error;
      return other;
    }
    return key;
  }

  /**
   * Writes a small file of this home, 0600, its folders 0700: it is there whole, or as it was before, whatever happens meanwhile.
   * @throws EEXIST when it is there and may not be replaced; {MoltError} IO
   */
  async write(path: string, bytes: Buffer, { replace }: { readonly replace: boolean }): Promise<void> {
    try {
      await writeWholeFile(path, bytes, { tempDir: this.tempDir, replace });
    } catch (error) {
      throw isSystemError(error, 'EEXIST') ? error : systemFailure(error, `cannot write "${path}"`, this.dir);
    }
  }

  #agentFile(label: string): string {
    return join(this.dir, 'agents', `${label}.json`);
  }
}

/** Returns the error for a label that is taken. */
export function agentExists(label: string): MoltError {
  return new MoltError('EXISTS', `there is an agent "${label}" already`, {
    hint: 'choose another name, or see molt agents',
  });
}

/** Reads a file, or returns undefined if there is none. */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw systemFailure(error, `cannot read "${path}"`, path);
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw systemFailure(error, `cannot look into "${dir}"`, dir);
  }
}

function encodeAgent(agent: Agent): Buffer {
  return Buffer.from(`${JSON.stringify({ molt: 'agent', version: 1, ...agent }, undefined, 2)}\n`, 'utf8');
}

function parseAgent(bytes: Buffer, label: string): Agent {
  const name = `the file of agent "${label}"`;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new MoltError('DAMAGED', `${name} is not JSON`, {
      hint: `bring agents/${label}.json back from a copy of molt's folder`,
      cause,
    });
  }
  const fields = new Fields(value, name);
  if (fields.integer('version') > 1) throw new MoltError('NEWER_FORMAT', `${name} was written by a newer molt`);
  return {
    label,
    repository: fields.text('repository', HEX_16) as RepositoryId,
    branch: fields.text('branch', /^\S+$/),
    stateDir: fields.text('stateDir', /^\//),
    profile: fields.text('profile', /^(openclaw|generic)$/) as Agent['profile'],
    include: fields.texts('include'),
    exclude: fields.texts('exclude'),
    pod: fields.has('pod') ? Object.fromEntries(fields.entries('pod')) : undefined,
    createdMs: fields.integer('createdMs'),
    ...(fields.has('incarnations') && { incarnations: parseIncarnations(fields, 'incarnations', name) }),
    ...(fields.has('fences') && { fences: parseIncarnations(fields, 'fences', name) }),
  };
}

function parseIncarnations(fields: Fields, key: string, name: string): Record<string, Incarnation> {
  const entries = fields.entries(key).map(([branch, value]): [string, Incarnation] => {
    const said = new Fields(value, `${key} of ${name}`);
    return [
      branch,
      {
        number: said.integer('number', 1),
        id: said.text('id', HEX_20) as GitId,
        timeMs: said.integer('timeMs', Number.MIN_SAFE_INTEGER),
        why: said.text('why', /^(in-place|deploy)$/) as Incarnation['why'],
      },
    ];
  });
  return Object.fromEntries(entries);
}
