// What an interface that browses an agent is given: it stands beside the command line, which it must not know.

import type { RunEntry } from '../model/run-entry.ts';
import type { OpsContext } from './context.ts';

/** The outside of the interface. */
export interface Browser {
  /** Its reporter, unlock and signal are replaced by the interface's own. */
  readonly ops: OpsContext;
  /** The agent that is meant; undefined where none is named. */
  readonly label: string | undefined;
  /** `molt` or `moltghost`. */
  readonly program: string;
  /** IANA name, or an offset such as `+07:00`; undefined for what the system's own clocks show. */
  readonly zone: string | undefined;
  readonly colour: boolean;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  /** The program's commands. */
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  /** Aborted when the system asks to stop. */
  readonly signal: AbortSignal;
  /** Returns how keys are unlocked when `ask` is there to ask for a passphrase that is given nowhere else. */
  unlockWith(ask: (subject: string) => Promise<string>): OpsContext['unlock'];
  /** Reads from the backup log when the repository was last verified, or undefined. */
  findLastCheck(ops: OpsContext, label: string): Promise<RunEntry | undefined>;
}

/** Lets a user browse an agent until they leave. @throws {MoltError} what keeps the agent from being opened */
export type Browse = (browser: Browser) => Promise<void>;
