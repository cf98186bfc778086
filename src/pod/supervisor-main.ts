// The process behind a pod that was started by `molt pod start`: it supervises one pod, tells its starter by IPC how that went, and
// goes on by itself.

import { plainError, type PlainError } from './control.ts';
import type { PodPlace } from './provider.ts';
import type { FilledPod } from './spec.ts';
import { supervise, type Supervised } from './supervisor.ts';

/** What its starter sends: first what to supervise; later, perhaps, that it is not wanted after all. */
export type StarterMessage =
  | {
      readonly do: 'supervise';
      readonly place: PodPlace;
      readonly pod: FilledPod;
      readonly surroundings: Readonly<Record<string, string>>;
    }
  | { readonly do: 'stop' };

/** What it answers, once. */
export interface StarterAnswer {
  readonly error?: PlainError;
}

let supervised: Supervised | undefined;

/** Ends everything and then this process, which has nothing left to do. */
function end(): void {
  supervised?.stop().catch(fail);
}

function fail(error: unknown): void {
  process.exitCode = 1;
  answer({ error: plainError(error) });
}

function answer(message: StarterAnswer): void {
  // A starter that was killed does not hear it.
  if (process.connected) process.send?.(message, () => process.disconnect());
}

process.on('message', (message: StarterMessage) => {
  if (message.do === 'stop') {
    end();
    return;
  }
  const { place, pod, surroundings } = message;
  process.title = `molt pod ${place.name}`;
  supervise({ place, pod, surroundings, output: 'log' })
    .then(async (begun) => {
      supervised = begun;
      await begun.healthy;
      answer({});
    })
    .catch(fail);
});

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);
// A bug must not leave an agent behind that nobody supervises.
process.on('uncaughtException', (error) => {
  fail(error);
  end();
});
