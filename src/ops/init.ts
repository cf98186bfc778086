// Begins an agent: makes its repository with keys, the first full backup, and only then the label by which it is known.

import { realpath, rm, stat } from 'node:fs/promises';
import { detectProfile } from '../agent/profile.ts';
import { parsePublicKey } from '../crypto/identity.ts';
import { encodeRecoveryKey } from '../crypto/recovery-key.ts';
import type { RootKeys } from '../crypto/roots.ts';
import { createSlot, type SlotSecret } from '../crypto/slot.ts';
import { createKeyring, encodeKeyring } from '../format/keyring.ts';
import { isSystemError, MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { keyringName } from '../repo/keyrings.ts';
import { claimStorage, newRepository, Repository } from '../repo/repository.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import type { Storage } from '../storage/storage.ts';
import { commitAgent, type CommitResult } from './commit.ts';
import type { OpsContext } from './context.ts';
import { agentExists, checkLabel, type Agent } from './home.ts';
import { rememberFingerprint } from './trust.ts';
import { recordRun, type RunNote } from './record-run.ts';
import { beginRepository } from './unfinished.ts';

/** What to begin. */
export interface InitOptions {
  readonly label: string;
  readonly stateDir: string;
  readonly profile: 'auto' | 'openclaw' | 'generic';
  readonly podFile?: string | undefined;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Returns the passphrase of the new repository, or undefined to have none; asked after everything else was checked. */
  readonly passphrase: () => Promise<string | undefined>;
  /** Public keys that get access from the beginning. */
  readonly recipients?: readonly string[];
  /** Takes the printed recovery key before anything depends on it; what it throws stops init with nothing made. */
  readonly keepRecoveryKey: (text: string) => Promise<void>;
}

/** What came of it. */
export interface InitResult {
  readonly agent: Agent;
  readonly roots: readonly { readonly key: string; readonly dir: string; readonly reason: string }[];
  readonly fingerprint: string;
  readonly commit: CommitResult;
}

/**
 * Makes an agent's repository and its first full backup. The label is written last: an init that fails leaves no agent.
 * @throws {MoltError} EXISTS, NOT_FOUND, USAGE, or what capture throws
 */
export async function initAgent(context: OpsContext, options: InitOptions): Promise<InitResult> {
  const agent = await planAgent(context, options);
  const recipients = (options.recipients ?? []).map(parsePublicKey);
  const passphrase = await options.passphrase();
  const { roots, ...ids } = newRepository(context.random);
  const created: Agent = { ...agent, repository: ids.repositoryId };
  const recovery = context.random.bytes(32);
  await options.keepRecoveryKey(encodeRecoveryKey(recovery));
  const secrets = await nameSecrets(context, { passphrase, recovery, recipients });
  await context.home.sweep(Date.now());
  const dir = context.home.repositoryDir(ids.repositoryId);
  const unfinished = await beginRepository(context.home.dir, ids.repositoryId).catch((error: unknown) => {
    throw systemFailure(error, `cannot write to "${context.home.dir}"`, context.home.dir);
  });
  try {
    const result = await recordRun(
      context,
      { verb: 'backup', label: created.label, detail: 'full' },
      (quiet, note) => makeRepository(quiet, created, { dir, ids, roots, secrets }, note),
      ({ commit: { id, bytes } }) => ({ commit: id, bytes }),
    );
    await unfinished.end();
    return result;
  } catch (error) {
    // Without its label nobody would ever find the repository again.
    const isKnown = (await context.home.findAgent(created.label))?.repository === created.repository;
    if (!isKnown) await rm(dir, { recursive: true, force: true });
    await unfinished.end();
    throw error;
  }
}

/** A secret that will open the repository, and what its slot is called. */
export interface NamedSecret {
  readonly secret: SlotSecret;
  readonly label: string;
}

/** Returns the secrets that a new repository is opened by, this machine's among them. */
export async function nameSecrets(
  context: OpsContext,
  given: {
    readonly passphrase: string | undefined;
    readonly recovery: Buffer;
    readonly recipients?: readonly Buffer[];
  },
): Promise<NamedSecret[]> {
  const { passphrase, recovery, recipients = [] } = given;
  return [
    ...(passphrase === undefined ? [] : [{ secret: { type: 'passphrase', passphrase } as const, label: 'passphrase' }]),
    { secret: { type: 'recovery', key: recovery }, label: 'recovery key from init' },
    { secret: { type: 'device', key: await context.home.makeDeviceKey(context.random) }, label: 'this machine' },
    ...recipients.map((publicKey) => ({ secret: { type: 'recipient', publicKey } as const, label: 'recipient' })),
  ];
}

/** Makes the repository and its first backup, and then the label. */
async function makeRepository(
  context: OpsContext,
  agent: Agent,
  made: { dir: string; ids: Parameters<typeof claimStorage>[1]; roots: RootKeys; secrets: readonly NamedSecret[] },
  note: RunNote,
): Promise<InitResult> {
  const storage = await DirectoryStorage.open(made.dir, { create: true });
  try {
    await claimStorage(storage, made.ids);
    // Stretching the passphrase takes as long as reading a small agent: both go on at once, and the label waits for both.
    const [keys, commit] = await Promise.allSettled([
      writeKeyring(context, storage, agent, made),
      commitFirst(context, storage, agent, made.roots),
    ]);
    if (keys.status === 'rejected') throw keys.reason;
    if (commit.status === 'rejected') throw commit.reason;
    if (made.secrets.some(({ secret }) => secret.type === 'recipient')) {
      await rememberFingerprint(context.home, agent.repository, made.roots);
    }
    await context.home.addAgent(agent);
    const { keys: opened, result } = commit.value;
    note.opened({ agent, repository: { keys: opened } });
    return { agent, roots: result.roots, fingerprint: opened.fingerprint, commit: result };
  } finally {
    await storage.close();
  }
}

/** Writes the first keyring of a new repository. */
export async function writeKeyring(
  context: OpsContext,
  storage: Storage,
  agent: Agent,
  made: { readonly roots: RootKeys; readonly secrets: readonly NamedSecret[] },
): Promise<void> {
  const { random, clock, argon2 } = context;
  const slots = [];
  for (const { secret, label } of made.secrets) {
    const options = { label, timeMs: clock.now(), random, ...(argon2 !== undefined && { argon2 }) };
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    slots.push(await createSlot(made.roots, agent.repository, secret, options));
  }
  const options = { repository: agent.repository, generation: 1, slots, timeMs: clock.now(), random };
  const written = await storage.createOnce(keyringName(1), [encodeKeyring(createKeyring(made.roots, options))]);
  if (!written) throw new MoltError('EXISTS', `${storage.label} holds a keyring already`);
}

async function commitFirst(
  context: OpsContext,
  storage: Storage,
  agent: Agent,
  roots: RootKeys,
): Promise<{ keys: Repository['keys']; result: CommitResult }> {
  const repository = await Repository.open(storage, { roots, generation: 1 }, context);
  const options = { kind: 'full', full: true, trigger: 'init', message: 'first full backup' } as const;
  return { keys: repository.keys, result: await commitAgent(context, agent, repository, options) };
}

/** Checks everything that can be checked before anything is made. */
async function planAgent(context: OpsContext, options: InitOptions): Promise<Agent> {
  const { label } = options;
  checkLabel(label);
  if ((await context.home.findAgent(label)) !== undefined) throw agentExists(label);
  const stateDir = await realpath(options.stateDir).catch((cause: unknown) => {
    if (!isSystemError(cause, 'ENOENT', 'ENOTDIR'))
      throw systemFailure(cause, `cannot look into "${options.stateDir}"`, options.stateDir);
    throw new MoltError('NOT_FOUND', `there is no state folder "${options.stateDir}"`, {
      cause,
      hint: 'give it with --state DIR',
    });
  });
  if (!(await stat(stateDir)).isDirectory()) {
    throw new MoltError('USAGE', `"${options.stateDir}" is not a folder`, {
      hint: "give the folder that holds the agent's state",
    });
  }
  const home = await realpath(context.home.dir).catch(() => context.home.dir);
  if (stateDir === home || stateDir.startsWith(`${home}/`)) {
    throw new MoltError('USAGE', `"${options.stateDir}" lies inside molt's own folder, which is never captured`);
  }
  const profile = await detectProfile(stateDir, options.profile);
  return {
    label,
    repository: '' as Agent['repository'],
    branch: 'main',
    stateDir,
    profile: profile.name,
    include: options.include,
    exclude: options.exclude,
    pod: options.podFile === undefined ? undefined : await (await import('./pod-file.ts')).readPodFile(options.podFile),
    createdMs: context.clock.now(),
  };
}
