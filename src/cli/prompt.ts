// Questions on a terminal. They go to stderr, so that a command's result can be piped while it asks.

import { createInterface } from 'node:readline/promises';
import { MoltError } from '../model/error.ts';
import type { OutputStream } from './output.ts';

/** A stream that may be a keyboard. */
export type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** Where questions are asked. */
export interface PromptStreams {
  readonly stdin: InputStream;
  readonly stderr: OutputStream;
  readonly signal: AbortSignal;
}

/** Asks the user; every method rejects with INTERRUPTED if the user gives up. */
export interface Prompt {
  /** Asks for a text that is not shown. Without `check` any text is taken; `check` returns what is wrong with it, or true. */
  hidden(message: string, check?: (answer: string) => true | string): Promise<string>;
  /** Asks for yes or no; only a clear yes is true, or this very word if one has to be typed. */
  yes(question: string, typed?: string): Promise<boolean>;
}

/** Returns a prompt, or undefined where there is no terminal to ask on. */
export function findPrompt(streams: PromptStreams): Prompt | undefined {
  const { stdin, stderr, signal } = streams;
  if (stdin.isTTY !== true || stderr.isTTY !== true) return undefined;
  return {
    async hidden(message, check) {
      const { default: password } = await import('@inquirer/password');
      const config = { message, toggleMask: false, ...(check === undefined ? {} : { validate: check }) };
      return password(config, { input: stdin, output: stderr, signal }).catch(rethrowInterrupted);
    },
    async yes(question, typed) {
      const lines = createInterface({ input: stdin, output: stderr });
      const controller = new AbortController();
      lines.once('SIGINT', () => controller.abort());
      lines.once('close', () => controller.abort());
      try {
        const ending = typed === undefined ? '[y/N]' : `Type ${typed} to go on:`;
        const answer = await lines.question(`${question} ${ending} `, {
          signal: AbortSignal.any([signal, controller.signal]),
        });
        if (typed !== undefined) return answer.trim() === typed;
        return /^\s*y(es)?\s*$/i.test(answer);
      } catch (error) {
        return rethrowInterrupted(error);
      } finally {
        lines.close();
      }
    },
  };
}

function rethrowInterrupted(error: unknown): never {
  if (error instanceof Error && ['ExitPromptError', 'AbortPromptError', 'AbortError'].includes(error.name)) {
    throw new MoltError('INTERRUPTED', 'interrupted');
  }
  throw error;
}
