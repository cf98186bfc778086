// What a profile is: how to read one kind of agent. It says which of the five components a path belongs to, what is a secret,
// what is a cache to leave out, and which folders outside the state folder belong to the agent.

import type { Component } from '../model/component.ts';
import type { DiffHints } from '../model/diff-hints.ts';
import { MoltError } from '../model/error.ts';
import type { RowCounts } from '../model/row-counts.ts';
import { genericProfile } from './generic.ts';
import { isOpenClawState, openclawProfile } from './openclaw.ts';
import type {
  AgentCommand,
  Expectations,
  Hazard,
  RebindChange,
  RebindOptions,
  Relocation,
  RootDirs,
} from './revival.ts';

/** What a part of a root holds; each kind has its own rules. */
export type AreaKind = 'state' | 'workspace' | 'agent' | 'include';

/** A folder of a root that has rules of its own. */
export interface Area {
  /** Relative to the root; empty for the root itself. */
  readonly path: string;
  readonly kind: AreaKind;
}

/** A folder that is captured. Plain data, so that a commit can record it. */
export interface Root {
  /** Where it stands in the commit tree: `state`, or `roots/<n>`. */
  readonly key: string;
  /** Absolute, without symlinks. */
  readonly dir: string;
  /** Why it belongs to the agent, for people. */
  readonly reason: string;
  /** The root's own kind first, under the empty path, then the folders inside it that differ. */
  readonly areas: readonly Area[];
  /** If given, the root is only these files of the folder. */
  readonly only?: readonly string[];
}

/** A root as an earlier commit recorded it; only its key and folder are needed to keep its number. */
export type EarlierRoot = Pick<Root, 'key' | 'dir'> & Partial<Root>;

/** What a profile says about one path. */
export interface Classification {
  readonly component: Component;
  readonly secret: boolean;
  /** Left out, unless the user includes it. */
  readonly excluded: boolean;
  readonly why: string;
}

/** One line of a profile's table. The first line whose pattern matches decides. */
export interface PathRule {
  readonly area: AreaKind;
  /** Relative to the area: `*` stands for part of a name, `**` for any number of names; `a/**` matches `a` too. */
  readonly path: string;
  readonly component: Component;
  readonly secret?: boolean;
  readonly excluded?: boolean;
  readonly why: string;
}

/** What a commit records about the program whose state it holds. */
export interface ProfileDescription {
  readonly profile: string;
  /** The version of the agent's program that last wrote the state, if the files tell. */
  readonly programVersion?: string;
  /** The schema version (`PRAGMA user_version`) of each database that was found, by path relative to the state folder. */
  readonly schemaVersions: Readonly<Record<string, number>>;
}

/** What findRoots may need beside the state folder. */
export interface FindRootsOptions {
  /** The roots of the previous commit, whose numbers are kept. */
  readonly earlier?: readonly EarlierRoot[];
  /** What `~` stands for in the agent's configuration. */
  readonly home: string;
}

/** How to read one kind of agent. */
export interface Profile {
  readonly name: 'openclaw' | 'generic';
  readonly rules: readonly PathRule[];

  /** Says what a path is, given relative to its root with `/` between names; the empty path is the root itself. */
  classify(root: Root, path: string): Classification;

  /**
   * Finds the folders that make up the agent: the state folder first, then those outside it, in ascending order of their numbers.
   * A folder keeps the number that an earlier commit gave it, and a number is not given to another folder in the very next
   * commit. A folder that an earlier commit had and that the agent still names stays in the list even if it is gone at present,
   * so that scan can report it.
   * @throws {MoltError} NOT_FOUND when the state folder does not exist
   */
  findRoots(stateDir: string, options: FindRootsOptions): Promise<Root[]>;

  /** Returns what a commit records about the program whose state this is. */
  describe(stateDir: string): Promise<ProfileDescription>;

  /**
   * Reads what restored files promise, before they are re-bound and before anything runs on them.
   * @throws {MoltError} HOSTILE or DAMAGED when a file is not what its name says
   */
  readExpectations(relocation: Relocation): Promise<Expectations>;

  /** Returns the secret by which clients of a live agent show that they may speak to it, if it is one that `rebind` can set. */
  readToken(stateDir: string): Promise<string | undefined>;

  /**
   * Binds restored files, on which nothing runs yet, to where they are and to a pod's ports and token. Each file is changed whole or not
   * at all; doing it again changes nothing more.
   * @throws {MoltError} NEWER_FORMAT when the files are of a newer schema than is known, are moved, and it is not forced; HOSTILE when
   *   a link or a name would lead out of the folders; DAMAGED, USAGE (bindings), IO
   */
  rebind(options: RebindOptions): Promise<RebindChange[]>;

  /**
   * Asks the files of an agent, which may be running, for what they promised, in the way its own program will: returns what is not
   * there as sentences without their full stops. Nothing is written, and nothing is left beside a file.
   */
  check(dirs: RootDirs, expectations: Expectations): Promise<string[]>;

  /**
   * Counts the rows of a database that hold conversations and memory; undefined for a database of which the profile knows nothing.
   * It may be open elsewhere, and nothing is left beside it.
   * @param real where it lies
   * @param path in the commit tree
   * @param watched sessions that are counted however few events they have
   * @throws {MoltError} DAMAGED when it can't be read
   */
  countRows(real: string, path: string, watched: readonly string[]): Promise<RowCounts | undefined>;

  /** Returns what is known of a file that helps to compare it by meaning. `path` is that of the commit tree. */
  diffHints(path: string): DiffHints;

  /** Finds what a start of the restored agent would set off, before anything is re-bound. */
  findHazards(relocation: Relocation, nowMs: number): Promise<Hazard[]>;

  /**
   * Returns the version of the program that a pod would start; undefined if it doesn't tell.
   * @throws {MoltError} NOT_FOUND when there is no such program, INTERRUPTED
   */
  installedVersion(command: AgentCommand): Promise<string | undefined>;

  /**
   * Compares the version that a commit records with the one installed.
   * @throws {MoltError} NEWER_FORMAT when the commit was made by a newer one; it names both
   */
  checkVersion(recorded: string | undefined, installed: string | undefined): void;
}

/**
 * Returns the profile by which a state folder is read.
 * @param wanted `auto` takes openclaw where the folder looks like OpenClaw's, else generic
 */
export async function detectProfile(stateDir: string, wanted: 'auto' | 'openclaw' | 'generic'): Promise<Profile> {
  if (wanted === 'openclaw') return openclawProfile;
  if (wanted === 'generic') return genericProfile;
  return (await isOpenClawState(stateDir)) ? openclawProfile : genericProfile;
}

/**
 * Returns the profile that a commit or configuration names.
 * @throws {MoltError} USAGE when there is no such profile
 */
export function getProfile(name: string): Profile {
  if (name === 'openclaw') return openclawProfile;
  if (name === 'generic') return genericProfile;
  throw new MoltError('USAGE', `there is no profile "${name}"`, { hint: '--profile openclaw or --profile generic' });
}
