// Begins an agent: makes its repository with keys, the first full backup, and only then the label by which it is known.

import { realpath, rm, stat } from 'node:fs/promises';
import { detectProfile } from '../agent/profile.ts';
import { encodeRecoveryKey } from '../crypto/recovery-key.ts';
import type { RootKeys } from '../crypto/roots.ts';
import { createSlot, type SlotSecret } from '../crypto/slot.ts';
import { createKeyring, encodeKeyring, type Keyring } from '../format/keyring.ts';
import { MoltError } from '../model/error.ts';
import { keyringName } from '../repo/keyrings.ts';
import { claimStorage, newRepository, Repository } from '../repo/repository.ts';
import { DirectoryStorage } from '../storage/directory.ts';
import type { Storage } from '../storage/storage.ts';
import { commitAgent, type CommitResult } from './commit.ts';
import type { OpsContext } from './context.ts';
import { agentExists, checkLabel, type Agent } from './home.ts';

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
  const passphrase = await options.passphrase();
  const { roots, ...ids } = newRepository(context.random);
  const created: Agent = { ...agent, repository: ids.repositoryId };
  const recovery = context.random.bytes(32);
  await options.keepRecoveryKey(encodeRecoveryKey(recovery));
  const secrets: { secret: SlotSecret; label: string }[] = [
    ...(passphrase === undefined ? [] : [{ secret: { type: 'passphrase', passphrase } as const, label: 'passphrase' }]),
    { secret: { type: 'recovery', key: recovery }, label: 'recovery key from init' },
    { secret: { type: 'device', key: await context.home.makeDeviceKey(context.random) }, label: 'this machine' },
  ];
  const slots = [];
  for (const { secret, label } of secrets) {
    const slotOptions = { label, timeMs: context.clock.now(), random: context.random };
    const cost = context.argon2 === undefined ? {} : { argon2: context.argon2 };
    // oxlint-disable-next-line no-await-in-loop -- in turn, since each takes the memory that Argon2 asks for
    slots.push(await createSlot(roots, ids.repositoryId, secret, { ...slotOptions, ...cost }));
  }
  const keyring = createKeyring(roots, {
    repository: ids.repositoryId,
    generation: 1,
    slots,
    timeMs: context.clock.now(),
    random: context.random,
  });
  const dir = context.home.repositoryDir(ids.repositoryId);
  try {
    return await makeRepository(context, created, { dir, ids, roots, keyring });
  } catch (error) {
    // Without its label nobody would ever find the repository again.
    const isKnown = (await context.home.findAgent(created.label))?.repository === created.repository;
    if (!isKnown) await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Makes the repository and its first backup, and then the label. */
async function makeRepository(
  context: OpsContext,
  agent: Agent,
  made: { dir: string; ids: Parameters<typeof claimStorage>[1]; roots: RootKeys; keyring: Keyring },
): Promise<InitResult> {
  const storage = await DirectoryStorage.open(made.dir, { create: true });
  try {
    await writeFoundation(storage, made.ids, encodeKeyring(made.keyring));
    const repository = await Repository.open(storage, { roots: made.roots, generation: 1 }, context);
    const commit = await commitAgent(context, agent, repository, {
      kind: 'full',
      full: true,
      trigger: 'init',
      message: 'first full backup',
    });
    await context.home.addAgent(agent);
    return { agent, roots: commit.roots, fingerprint: repository.keys.fingerprint, commit };
  } finally {
    await storage.close();
  }
}

async function writeFoundation(
  storage: Storage,
  ids: Parameters<typeof claimStorage>[1],
  keyring: Buffer,
): Promise<void> {
  await claimStorage(storage, ids);
  await storage.createOnce(keyringName(1), [keyring]);
}

/** Checks everything that can be checked before anything is made. */
async function planAgent(context: OpsContext, options: InitOptions): Promise<Agent> {
  const { label } = options;
  checkLabel(label);
  if ((await context.home.findAgent(label)) !== undefined) throw agentExists(label);
  const stateDir = await realpath(options.stateDir).catch((cause: unknown) => {
    throw new MoltError('NOT_FOUND', `there is no state folder "${options.stateDir}"`, { cause, hint: 'give it with --state DIR' });
  });
  if (!(await stat(stateDir)).isDirectory()) {
    throw new MoltError('USAGE', `"${options.stateDir}" is not a folder`, { hint: 'give the folder that holds the agent\'s state' });
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
