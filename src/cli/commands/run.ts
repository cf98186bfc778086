// `molt run`: the entry point of a container or of a session on a laptop. What the agent writes goes where molt writes; what molt itself
// tells goes to stderr.

import { constants } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { MoltError } from '../../model/error.ts';
import { withoutSecrets } from '../../model/secret-variables.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../ops/recovery-key-file.ts';
import type { RunEvent, RunOptions, RunPorts } from '../../ops/run.ts';
import { defineCommand, type Context } from '../command.ts';
import { parseDuration } from '../../model/duration.ts';
import { makeOpsContext } from '../ops-context.ts';
import { describeEvent, eventDocument } from '../run-text.ts';
import { waitByClock } from '../wait.ts';

const EVERY = '5m';
const LEAST_EVERY_MS = 1000;

/** The run command. */
export const command = defineCommand({
  name: 'run',
  summary: 'run an agent under care: restored if its state is missing, saved while it runs and at its end',
  description:
    'Starts COMMAND, or what the agent’s pod.json or profile says, and starts it again when it ends. Every five minutes it is\n' +
    'committed, daily as a full backup, and pushed. On SIGTERM or SIGINT the agent is stopped, saved, pushed, and molt ends\n' +
    'with its exit status; a second signal ends at once.\n' +
    'An agent whose state folder is missing or empty is restored first. One that is not on this machine is got from the\n' +
    'remote, or begun if the remote answers that it is empty. If the remote can’t be asked, nothing is started.',
  words: [{ name: 'agent', required: true, description: 'the agent' }],
  endsItself: true,
  rest: 'COMMAND…',
  options: {
    remote: {
      type: 'string',
      value: 'URL',
      description: 's3://… or file:///… to get it from and push to (MOLT_REMOTE)',
    },
    state: { type: 'string', value: 'DIR', description: 'where a new agent is to live (./AGENT)' },
    branch: {
      type: 'string',
      value: 'BRANCH',
      description: 'which line of history to get from the remote; main if left out',
    },
    every: { type: 'string', value: 'DURATION', description: `how often to commit (${EVERY})` },
    'daily-at': {
      type: 'string',
      value: 'HH:MM',
      description: 'when to make the full backup (02:00; --tz Asia/Jakarta)',
    },
    profile: {
      type: 'string',
      choices: ['auto', 'openclaw', 'generic'],
      description: 'what kind of agent a new one is (auto)',
    },
    'recovery-key-file': {
      type: 'string',
      value: 'FILE',
      description: 'where the recovery key of a new agent goes; else into molt’s folder',
    },
  },
  examples: [
    ['run my-agent', 'run an agent of this machine'],
    [
      'run my-agent --remote s3://my-bucket/my-agent --state /data -- my-agent --port 8080',
      'the entry point of a container',
    ],
    ['run my-agent --every 1m -- openclaw gateway run', 'commit every minute'],
  ],
  async run(context, { agent: label, options, rest }) {
    if (label === undefined) throw new MoltError('USAGE', 'run needs AGENT: which one');
    const everyMs = parseDuration('every', options.every ?? EVERY);
    if (everyMs < LEAST_EVERY_MS) throw new MoltError('USAGE', '--every takes a second or more');
    const { runAgent } = await import('../../ops/run.ts');
    const ops = makeOpsContext(context);
    const keyFile = resolve(
      context.cwd,
      options['recovery-key-file'] ?? join(context.home, `recovery-key-${label}.txt`),
    );
    let isKeyWritten = false;
    const wanted: RunOptions = {
      label,
      remote: options.remote ?? (context.env['MOLT_REMOTE'] || undefined),
      stateDir: options.state,
      branch: options.branch,
      everyMs,
      dailyAt: options['daily-at'],
      zone: context.givenZone,
      command: rest,
      ask: (question) => context.confirm(question),
      tell: makeTell(context, label),
      begin: {
        profile: profileOf(options.profile, rest),
        passphrase: () => context.secrets.newPassphrase(`agent "${label}"`),
        keepRecoveryKey: async (text) => {
          await writeRecoveryKeyFile(keyFile, text);
          isKeyWritten = true;
        },
      },
    };
    const { exit } = await runAgent(ops, wanted, portsOf(context)).catch(async (error: unknown) => {
      const isKept = (await ops.home.findAgent(label).catch(() => undefined)) !== undefined;
      if (isKeyWritten && !isKept) await dropRecoveryKeyFile(keyFile);
      throw error;
    });
    if (exit === undefined) return;
    context.exitWith(exit.signal === null ? (exit.status ?? 1) : 128 + (constants.signals[exit.signal] ?? 0));
  },
});

/** An agent of which nothing is there yet can't be recognised by its files. */
function profileOf(given: 'auto' | 'openclaw' | 'generic' | undefined, [program = '']: readonly string[]) {
  if (given !== undefined) return given;
  return basename(program) === 'openclaw' ? 'openclaw' : 'auto';
}

function makeTell({ output, reporter, clock }: Context, label: string): (event: RunEvent) => void {
  return (event) => {
    reporter.pause();
    const document = eventDocument(event, label, clock.now());
    output.event(document, describeEvent(event, label));
  };
}

function portsOf({ signal, urgent, clock }: Context): RunPorts {
  return {
    stop: signal,
    urgent,
    surroundings: withoutSecrets(process.env),
    wait: (ms, until) => waitByClock(clock, ms, until),
  };
}
