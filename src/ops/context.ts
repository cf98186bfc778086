// What an operation runs with. Operations return data and report progress; they never print and never ask but through this.

import type { SlotSecret } from '../crypto/slot.ts';
import type { Argon2Cost } from '../crypto/argon2.ts';
import type { Clock, Random, Reporter, RunLog } from '../model/ports.ts';
import type { RunTrigger } from '../model/run-entry.ts';
import type { RemoteOptions } from '../storage/remote.ts';
import type { Home } from './home.ts';

/** The outside of an operation. */
export interface OpsContext {
  readonly home: Home;
  readonly clock: Clock;
  readonly random: Random;
  readonly reporter: Reporter;
  /** The folder that relative paths count from, and in which an agent may be left unnamed. */
  readonly cwd: string;
  /** What `~` stands for in an agent's configuration. */
  readonly userHome: string;
  /** The zone of times without one, as the user gave it; UTC unless given. */
  readonly zone?: string;
  /** Gives a secret that opens a repository when the device key does not; asked at most once a repository. */
  readonly unlock: (subject: string) => Promise<SlotSecret>;
  /** What else may open a repository, before `unlock` is asked. */
  readonly access?: Access;
  /** The cost of new passphrase slots; only tests make it cheap. */
  readonly argon2?: Argon2Cost;
  /** How remotes are spoken to: deadlines, pauses, rates. */
  readonly remoteOptions?: Pick<RemoteOptions, 'timing' | 'limitBytesPerSecond' | 'maxRequestsAtOnce'>;
  /** Aborted when the user or the system asks to stop. */
  readonly signal?: AbortSignal;
  /** Takes a note of what is run; without one none is taken. */
  readonly runs?: RunLog;
  /** What sets runs off; a person unless given. */
  readonly trigger?: RunTrigger;
}

/** What the user pointed at to open a repository with. */
export interface Access {
  /** The file of a private key, for recipient slots. */
  readonly identityFile?: string | undefined;
  /** The command of an exec slot that this machine does not know yet. */
  readonly execCommand?: string | undefined;
  /** The fingerprint that init or the last rotation printed. */
  readonly fingerprint?: string | undefined;
}
