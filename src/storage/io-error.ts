// Turns what the operating system refused into an error that a person can act on: what, where, why, what now.

import { MoltError } from '../model/error.ts';
import { explainRefusal } from '../model/system-error.ts';

/** What was being done when the system refused. */
export interface IoContext {
  /** The verb, as in "cannot write". */
  readonly verb: 'open' | 'write' | 'read' | 'look up' | 'list' | 'delete' | 'lock';
  /** The object's name or the prefix; undefined when the whole storage is meant. */
  readonly object?: string;
  /** The storage's label. */
  readonly place: string;
  /** What is true of the storage now, as in "nothing was changed". */
  readonly outcome?: string;
}

/** Returns the MoltError (IO) that tells a person about a system error; any other error comes back as it is. */
export function ioError(error: unknown, context: IoContext): unknown {
  const { verb, object, place } = context;
  const refusal = explainRefusal(error, place);
  if (refusal === undefined) return error;
  const what = object === undefined ? place : `"${object}" in ${place}`;
  const outcome = context.outcome === undefined ? '' : `; ${context.outcome}`;
  return new MoltError('IO', `cannot ${verb} ${what}: ${refusal.why}${outcome}`, {
    hint: refusal.hint ?? `check that the disk or share that holds ${place} is mounted and answers, then try again`,
    details: { systemCode: refusal.systemCode, ...(object === undefined ? {} : { object }) },
    cause: error,
  });
}
