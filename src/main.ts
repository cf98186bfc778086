// Where the program meets the machine: the real clock, environment, streams and signals. Everything else gets them as arguments.
// `--version` is answered before anything else is loaded.

import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import path from 'node:path';
import packageJson from '../package.json' with { type: 'json' };

const argv = process.argv.slice(2);
const program = path.basename(process.argv[1] ?? '').startsWith('moltghost') ? 'moltghost' : 'molt';

if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
  process.stdout.write(`${program} ${packageJson.version}\n`);
} else {
  await start();
}

async function start(): Promise<void> {
  if (process.pid === 1) {
    const { leaveFirstPlace } = await import('./cli/first-process.ts');
    leaveFirstPlace();
  }
  const [{ runProgram }, { MoltError }] = await Promise.all([import('./cli/program.ts'), import('./model/error.ts')]);
  const controller = new AbortController();
  const urgent = new AbortController();
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      // Asked twice: end at once, by the signal itself, as if it had never been caught.
      urgent.abort(new MoltError('INTERRUPTED', 'interrupted', { details: { signal } }));
      for (const name of signals) process.removeListener(name, stop);
      process.kill(process.pid, signal);
      // The system protects its first process from signals that it does not catch.
      if (process.pid === 1) process.exit(128 + constants.signals[signal]);
      return;
    }
    controller.abort(new MoltError('INTERRUPTED', 'interrupted', { details: { signal } }));
  };
  for (const name of signals) process.on(name, stop);
  process.exitCode = await runProgram({
    program,
    version: packageJson.version,
    argv,
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    clock: { now: () => Date.now() },
    random: { bytes: (length) => randomBytes(length) },
    signal: controller.signal,
    urgent: urgent.signal,
    browse: async (browser) => (await import('../tui/start.ts')).browse(browser),
  });
  for (const name of signals) process.removeListener(name, stop);
  // Work that did not stop when asked must not keep an interrupted program alive; what had to be undone is undone.
  if (controller.signal.aborted) setTimeout(() => process.exit(), 1000).unref();
}
