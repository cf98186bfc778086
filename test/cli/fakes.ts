// Streams and a host for running the program inside a test, where a real terminal or signal would be in the way.

import { PassThrough, Writable } from 'node:stream';
import type { Host } from '../../src/cli/program.ts';
import type { OutputStream } from '../../src/cli/output.ts';

/** A stream that keeps what is written to it. */
export interface RecordingStream extends Writable {
  readonly isTTY: boolean;
  readonly columns: number;
  text(): string;
}

/** Makes a stream that keeps what is written to it. */
export function recordingStream(isTTY = false): RecordingStream {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  return Object.assign(stream, { isTTY, columns: 80, text: () => Buffer.concat(chunks).toString('utf8') });
}

/** Makes a host without a terminal. */
export function fakeHost(
  argv: readonly string[],
  changes: Partial<Host> = {},
): Host & { stdout: OutputStream; stderr: OutputStream } {
  return {
    program: 'molt',
    version: '1.2.3',
    argv,
    env: { HOME: '/home/user' },
    cwd: '/home/user/here',
    stdin: new PassThrough(),
    stdout: recordingStream(),
    stderr: recordingStream(),
    clock: { now: () => 0 },
    random: { bytes: (length) => Buffer.alloc(length) },
    signal: new AbortController().signal,
    urgent: new AbortController().signal,
    browse: async () => {},
    ...changes,
  };
}
