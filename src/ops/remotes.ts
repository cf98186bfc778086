// The remotes of a repository: what is kept of them in MOLT_HOME, and how one is opened.
//
//     remotes/<repository id>/<name>.json         URL, rules that the probe found, lock
//     views/<repository id>/<name>/state.json     what was last seen of the remote, and what was sent and fetched
//     views/<repository id>/<name>/objects/       the tail of the remote's log, its keyrings and caches; derived

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Fields, HEX_20, HEX_32 } from '../format/fields.ts';
import { isMoltError, isSystemError, MoltError } from '../model/error.ts';
import type { GitId, RepositoryId } from '../model/ids.ts';
import { findNearest } from '../model/nearest.ts';
import { systemFailure } from '../model/system-error.ts';
import { KeptEnds } from '../repo/kept-ends.ts';
import { RemoteView, UNSEEN, type ViewState } from '../repo/remote-view.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import { openRemoteStorage } from '../storage/open-remote.ts';
import { parseRemoteUrl } from '../storage/remote-url.ts';
import type { ObjectLock, RemoteOptions, RemoteRules } from '../storage/remote.ts';
import type { OpsContext } from './context.ts';
import { readIfThere, type Home } from './home.ts';
import type { KeyringBase } from './keyring-generations.ts';

/** A remote as this machine knows it. */
export interface Remote {
  readonly name: string;
  /** Without credentials. */
  readonly url: string;
  /** What the probe found; a remote that was cloned from is only probed before it is first written to. */
  readonly rules: RemoteRules;
  readonly isProbed: boolean;
  readonly lock: ObjectLock | undefined;
  readonly addedMs: number;
}

/** A place in a log, by which it is recognised. */
export interface LogPlace {
  readonly seq: number;
  readonly hash: string;
}

/** What is remembered of a remote between commands. Losing it costs requests, and a question about keys that were changed; never data. */
export interface RemoteState extends ViewState {
  /** Up to here the remote has everything of the local log. */
  readonly sent: LogPlace | undefined;
  /** Up to here everything of the remote's log is here. */
  readonly fetched: LogPlace | undefined;
  /** The remote's branches and tags as they were last seen. */
  readonly refs: ReadonlyMap<string, GitId>;
  /** The newest of the remote's keyrings that the one here follows from. */
  readonly keys: KeyringBase | undefined;
}

/** A remote that is open. */
export interface OpenRemote extends AsyncDisposable {
  readonly remote: Remote;
  readonly view: RemoteView;
  readonly state: RemoteState;
  /** The newest of the remote's keyrings that the one here follows from, as far as it is known now. */
  readonly keys: KeyringBase | undefined;
  /** Remembers what is known now. */
  save(known: Pick<RemoteState, 'sent' | 'fetched' | 'refs'>): Promise<void>;
  /** Remembers which keyring both sides have in common; at once, because a change of the keys may come next. */
  saveKeys(keys: KeyringBase | undefined): Promise<void>;
}

const NOTHING: RemoteState = {
  ...UNSEEN,
  sent: undefined,
  fetched: undefined,
  refs: new Map(),
  keys: undefined,
};
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const SLOT_IDS = /^[0-9a-f]{32}( [0-9a-f]{32})*$/;
const LOCK_MODES = /^(governance|compliance)$/;
const RULES = /^(conditional|oldest-version|single-writer)$/;

/** @throws {MoltError} USAGE when a text can't be a remote's name */
export function checkRemoteName(name: string): void {
  if (NAME.test(name)) return;
  throw new MoltError(
    'USAGE',
    `"${name}" can't be a remote's name: letters, digits, dots, dashes and underscores, up to 63`,
  );
}

/** Lists the remotes of a repository by name. */
export async function listRemotes(home: Home, repository: RepositoryId): Promise<Remote[]> {
  const dir = join(home.dir, 'remotes', repository);
  let files: string[];
  try {
    files = await readdir(dir);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw systemFailure(error, `cannot look into "${dir}"`, dir);
  }
  const names = files.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  const remotes = await Promise.all(names.toSorted().map((name) => findRemote(home, repository, name)));
  return remotes.filter((remote) => remote !== undefined);
}

/** Returns a remote, or undefined. @throws {MoltError} DAMAGED when its file can't be read */
export async function findRemote(home: Home, repository: RepositoryId, name: string): Promise<Remote | undefined> {
  if (!NAME.test(name)) return undefined;
  const path = remoteFile(home, repository, name);
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  const fields = new Fields(parseJson(bytes, path), `"${path}"`);
  return {
    name,
    url: fields.text('url', /^[a-z0-9]+:/),
    rules: {
      createOnce: fields.text('createOnce', RULES) as RemoteRules['createOnce'],
      versioned: fields.integer('versioned') === 1,
    },
    isProbed: fields.integer('probed') === 1,
    lock: fields.has('lockDays')
      ? { mode: fields.text('lockMode', LOCK_MODES) as ObjectLock['mode'], days: fields.integer('lockDays', 1) }
      : undefined,
    addedMs: fields.integer('added', Number.MIN_SAFE_INTEGER),
  };
}

/**
 * Returns the remote that is meant: the named one, else the only one, else `origin`.
 * @throws {MoltError} NOT_FOUND or AMBIGUOUS, listing those there are
 */
export async function resolveRemote(home: Home, repository: RepositoryId, name: string | undefined): Promise<Remote> {
  const remotes = await listRemotes(home, repository);
  const names = remotes.map((remote) => remote.name);
  if (remotes.length === 0 && name === undefined) {
    throw new MoltError('NOT_FOUND', 'this agent has no remote yet', {
      hint: 'molt remote add NAME URL, such as molt remote add origin s3://bucket/my-agent',
    });
  }
  const found = remotes.find((remote) => remote.name === (name ?? 'origin'));
  if (found !== undefined) return found;
  const [only, ...others] = remotes;
  if (name === undefined && only !== undefined && others.length === 0) return only;
  if (name === undefined) {
    throw new MoltError('AMBIGUOUS', `which remote? there are ${names.join(', ')}`, {
      hint: 'name one, or push to all of them with --all',
    });
  }
  const there =
    names.length === 0 ? 'there are none' : `there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`;
  const nearest = findNearest(name, names);
  throw new MoltError('NOT_FOUND', `there is no remote "${name}"; ${there}`, {
    hint: nearest === undefined ? 'molt remote add NAME URL' : `did you mean ${nearest}`,
  });
}

/** Keeps a remote. @throws {MoltError} EXISTS unless it replaces the one of its name */
export async function keepRemote(
  home: Home,
  repository: RepositoryId,
  remote: Remote,
  { replace } = { replace: false },
): Promise<void> {
  checkRemoteName(remote.name);
  const { url, rules, isProbed, lock, addedMs } = remote;
  const value = {
    url,
    createOnce: rules.createOnce,
    versioned: rules.versioned ? 1 : 0,
    probed: isProbed ? 1 : 0,
    ...(lock !== undefined && { lockMode: lock.mode, lockDays: lock.days }),
    added: addedMs,
  };
  const bytes = Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`, 'utf8');
  await home.write(remoteFile(home, repository, remote.name), bytes, { replace }).catch((error: unknown) => {
    throw isSystemError(error, 'EEXIST') ? remoteExists(remote.name) : error;
  });
}

/** Returns the error for a name that is taken. */
export function remoteExists(name: string): MoltError {
  return new MoltError('EXISTS', `there is a remote "${name}" already`, {
    hint: `give another name, or molt remote remove ${name}`,
  });
}

/** Forgets a remote and what was seen of it. What it holds stays. */
export async function forgetRemote(home: Home, repository: RepositoryId, name: string): Promise<void> {
  await rm(remoteFile(home, repository, name), { force: true });
  await rm(viewDir(home, repository, name), { recursive: true, force: true });
}

/** Forgets all remotes of a repository. */
export async function forgetRemotes(home: Home, repository: RepositoryId): Promise<void> {
  for (const folder of ['remotes', 'views'])
    // oxlint-disable-next-line no-await-in-loop -- two
    await rm(join(home.dir, folder, repository), { recursive: true, force: true });
}

/** Opens a remote; sends no request yet. */
export async function openRemote(context: OpsContext, repository: RepositoryId, remote: Remote): Promise<OpenRemote> {
  const { home, clock } = context;
  const dir = viewDir(home, repository, remote.name);
  const state = await loadState(home, repository, remote.name);
  const cache = await DirectoryStorage.open(join(dir, 'objects'), { create: true });
  const storage = await openRemoteStorage(remote.url, remoteOptionsOf(context, remote));
  const view = new RemoteView(storage, { cache, clock, state });
  let { keys } = state;
  return {
    remote,
    view,
    state,
    get keys() {
      return keys;
    },
    save: (known) => saveState(home, repository, remote.name, { ...view.state, ...known, keys }),
    async saveKeys(known) {
      if (known === undefined || isDeepStrictEqual(known, keys)) return;
      keys = known;
      await saveState(home, repository, remote.name, { ...state, keys });
    },
    async [Symbol.asyncDispose]() {
      await view.close();
    },
  };
}

/** Opens what is kept of a remote's segments for its prunes. */
export async function openKeptEnds(home: Home, repository: RepositoryId, name: string): Promise<KeptEnds> {
  const dir = join(viewDir(home, repository, name), 'ends');
  return KeptEnds.open(await DirectoryStorage.open(dir, { create: true }));
}

/** Forgets what was seen of a remote, so that it is looked at anew; but not which keys both sides had. */
export async function forgetView(home: Home, repository: RepositoryId, name: string): Promise<void> {
  const { keys } = await loadState(home, repository, name);
  await rm(viewDir(home, repository, name), { recursive: true, force: true });
  if (keys !== undefined) await saveState(home, repository, name, { ...NOTHING, keys });
}

async function saveState(home: Home, repository: RepositoryId, name: string, state: RemoteState): Promise<void> {
  const bytes = Buffer.from(`${encodeState(state)}\n`, 'utf8');
  await home.write(join(viewDir(home, repository, name), 'state.json'), bytes, { replace: true });
}

/** Returns how a remote is opened. */
export function remoteOptionsOf({ clock, signal, remoteOptions }: OpsContext, { rules, lock }: Remote): RemoteOptions {
  return {
    ...remoteOptions,
    rules,
    clock,
    ...(lock !== undefined && { lock }),
    ...(signal !== undefined && { signal }),
  };
}

/** Returns what is remembered of a remote; nothing if that can't be read. */
export async function loadState(home: Home, repository: RepositoryId, name: string): Promise<RemoteState> {
  const bytes = await readIfThere(join(viewDir(home, repository, name), 'state.json'));
  if (bytes === undefined) return NOTHING;
  try {
    return parseState(bytes);
  } catch (error) {
    if (isMoltError(error, 'DAMAGED')) return NOTHING;
    throw error;
  }
}

/** Checks a URL and returns it in its shortest spelling. @throws {MoltError} USAGE */
export function normalizeRemoteUrl(url: string): string {
  return parseRemoteUrl(url).url;
}

function encodeState({ tip, lookedMs, sent, fetched, refs, keys }: RemoteState): string {
  return JSON.stringify({
    tip,
    ...(lookedMs !== undefined && { looked: lookedMs }),
    ...(sent !== undefined && { sent }),
    ...(fetched !== undefined && { fetched }),
    refs: Object.fromEntries(refs),
    ...(keys !== undefined && { keys: { ...keys, slots: keys.slots.join(' ') } }),
  });
}

function parseState(bytes: Buffer): RemoteState {
  const fields = new Fields(parseJson(bytes, 'the state of a remote'), 'the state of a remote');
  const place = (key: string): LogPlace | undefined => {
    const found = fields.has(key) ? new Fields(fields.value(key), key) : undefined;
    return found && { seq: found.integer('seq'), hash: found.text('hash', HEX_32) };
  };
  const looked = fields.has('looked') ? new Fields(fields.value('looked'), 'looked') : undefined;
  const refs = fields.entries('refs').map(([name, id]): [string, GitId] => {
    if (typeof id !== 'string' || !HEX_20.test(id))
      throw new MoltError('DAMAGED', 'the state of a remote has a bad ref');
    return [name, id as GitId];
  });
  return {
    tip: place('tip') ?? UNSEEN.tip,
    lookedMs: looked && {
      store: looked.integer('store', Number.MIN_SAFE_INTEGER),
      local: looked.integer('local', Number.MIN_SAFE_INTEGER),
    },
    sent: place('sent'),
    fetched: place('fetched'),
    refs: new Map(refs),
    keys: fields.has('keys') ? parseKeys(new Fields(fields.value('keys'), 'keys')) : undefined,
  };
}

function parseKeys(fields: Fields): KeyringBase {
  return {
    generation: fields.integer('generation', 1),
    hash: fields.text('hash', HEX_32),
    epoch: fields.integer('epoch', 1),
    slots: fields.text('slots', SLOT_IDS).split(' '),
    ...(fields.has('sending') && { sending: fields.text('sending', HEX_32) }),
  };
}

function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new MoltError('DAMAGED', `${what} is not JSON`, { cause });
  }
}

function remoteFile(home: Home, repository: RepositoryId, name: string): string {
  return join(home.dir, 'remotes', repository, `${name}.json`);
}

function viewDir(home: Home, repository: RepositoryId, name: string): string {
  return join(home.dir, 'views', repository, name);
}
