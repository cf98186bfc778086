// What it takes to bring an agent back from its files: what they promise, what in them is bound to one place, and what a start would
// set off. Here are the words for it; each profile answers in its own way.

/** The folders of an agent's roots by key: `state`, `roots/<n>`. */
export type RootDirs = ReadonlyMap<string, string>;

/** Files that were put elsewhere than they were captured. Keys that only one side has are left alone. */
export interface Relocation {
  /** Where the roots were when they were captured, as the commit records it: absolute, on a machine that may be another one. */
  readonly from: RootDirs;
  /** Where they are now: absolute, without symlinks. The same as `from` for a restore in place. */
  readonly to: RootDirs;
}

/** A conversation, as its agent names it. */
export interface ExpectedSession {
  /** The agent inside the install, for OpenClaw `main`. */
  readonly agent: string;
  readonly key: string;
  readonly id: string;
}

/** A file that must be there with this content, unless it was written since. */
export interface ExpectedFile {
  /** As in the commit: `state/workspace/MEMORY.md`, `roots/1/MEMORY.md`. */
  readonly path: string;
  readonly sha256: string;
  readonly mtimeMs: number;
}

/** A folder that an agent works in. */
export interface ExpectedWorkspace {
  /** As in the commit: `state/workspace`, `roots/1`. */
  readonly path: string;
  /** Whether the agent's program has a note that it was set up. */
  readonly isSetUp: boolean;
}

/** What the files of a commit promise, and so what a restored agent is asked for. Plain data, in fixed orders. */
export interface Expectations {
  readonly sessions: readonly ExpectedSession[];
  /** The names of the scheduled jobs that the agent would see. */
  readonly cronJobs: readonly string[];
  readonly workspaces: readonly ExpectedWorkspace[];
  /** Long-term memory. */
  readonly memory: readonly ExpectedFile[];
  /** By path of the commit. */
  readonly schemaVersions: Readonly<Record<string, number>>;
}

/** A value that a pod wants in a file of the state folder; `{state}`, `{name}` and `{port:NAME}` are filled in already. */
export interface Binding {
  /** Relative to the state folder: a JSON, JSON5 or YAML file, told apart by its name. */
  readonly file: string;
  /** Names with dots between them: `gateway.port`. */
  readonly path: string;
  readonly value: unknown;
}

/** What to bind restored files to. */
export interface RebindOptions extends Relocation {
  /** By name in the pod: `http`. */
  readonly ports: Readonly<Record<string, number>>;
  /** A new secret by which clients show that they may speak to the agent; the old one stays unless given. */
  readonly token?: string | undefined;
  readonly bindings?: readonly Binding[] | undefined;
  /** Whether files of an unknown, newer schema are re-bound by what is known of older ones. */
  readonly isForced?: boolean | undefined;
}

/** One thing that re-binding changed. */
export interface RebindChange {
  /** A path of the commit: `state/openclaw.json`, `state/state/openclaw.sqlite`. */
  readonly path: string;
  /** For people: `gateway.port`, `cron_jobs.store_key`, `state_leases (dropped)`. Never a value. */
  readonly what: string;
  /** How many values or rows. */
  readonly count: number;
}

/** Something that a start of the restored agent would set off, or that it can't bring back. */
export interface Hazard {
  readonly kind: 'channel-login' | 'cron-due' | 'queued-delivery' | 'expired-token';
  /** A sentence without its full stop. */
  readonly text: string;
}

/** A program to ask for its version. */
export interface AgentCommand {
  /** Words, not for a shell; the first is the program. */
  readonly command: readonly string[];
  readonly cwd?: string | undefined;
  /** All that the program gets to see. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
