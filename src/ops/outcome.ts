// What a failure leaves is a part of its message: whoever reads it knows what is safe and what to do next.

import { isMoltError, MoltError } from '../model/error.ts';
import { unforeseenFailure } from '../model/system-error.ts';
import type { OpsContext } from './context.ts';

const UNCHANGED = 'nothing was changed';

/**
 * Returns an error that says something more. A bug comes back as it is; then only a warning says it.
 * @param hint in the place of the error's own
 */
export function addOutcome(context: OpsContext, error: unknown, addition: string, hint?: string): unknown {
  const known = unforeseenFailure(asInterruption(context, error));
  if (!isMoltError(known)) {
    context.reporter.warn(addition);
    return error;
  }
  const better = hint ?? known.hint;
  const { code, message, details } = known;
  // One that quotes a log ends with its lines.
  const joint = message.includes('\n') ? '\n' : '; ';
  // What one step of it says of itself is not true of the whole.
  return new MoltError(code, `${message.replace(`; ${UNCHANGED}`, '')}${joint}${addition}`, {
    ...(better !== undefined && { hint: better }),
    details,
    cause: error,
  });
}

/** Returns an error that says that nothing was changed. */
export function addUnchanged(context: OpsContext, error: unknown): unknown {
  return error instanceof Error && error.message.includes(UNCHANGED) ? error : addOutcome(context, error, UNCHANGED);
}

/** Returns the same for what can come at any moment; other errors are refusals, and plain enough. */
export function addUnchangedIfCutOff(context: OpsContext, error: unknown): unknown {
  const known = unforeseenFailure(asInterruption(context, error));
  return isMoltError(known, 'INTERRUPTED', 'IO') ? addUnchanged(context, error) : error;
}

/** Returns the error of a restore whose agent runs again. */
export function addUnchecked(context: OpsContext, error: unknown, label: string): unknown {
  const outcome = `${label} is restored and runs; it was not asked for all that the moment holds`;
  return addOutcome(context, error, outcome, `molt pod health ${label} asks how it is`);
}

/** What was called with a signal fails with an error of its own when that is aborted. */
function asInterruption({ signal }: OpsContext, error: unknown): unknown {
  const isAbort = signal?.aborted === true && error instanceof Error && error.name === 'AbortError';
  return isAbort ? signal.reason : error;
}
