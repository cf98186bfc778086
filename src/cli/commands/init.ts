// `molt init`: makes an agent's repository and its first full backup.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { initAgent, type InitResult } from '../../ops/init.ts';
import { dropRecoveryKeyFile, writeRecoveryKeyFile } from '../../ops/recovery-key-file.ts';
import { defineCommand, type Context } from '../command.ts';
import { formatComponents, formatTotal, reportSkipped } from '../commit-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatDuration, formatSize, formatTable } from '../text.ts';

/** The init command. */
export const command = defineCommand({
  name: 'init',
  summary: "make an agent's repository and its first full backup",
  description:
    'The agent may run meanwhile. Its backups are encrypted; a passphrase (asked for, or given by MOLT_PASSPHRASE or\n--passphrase-file) or the recovery key opens them, and on this machine a key file in MOLT_HOME does without either.\nPatterns are those of .gitignore, counted from the state folder.',
  words: [{ name: 'agent', required: true, description: 'what to call it' }],
  options: {
    state: { type: 'string', value: 'DIR', description: "the folder that holds the agent's state" },
    profile: {
      type: 'string',
      choices: ['auto', 'openclaw', 'generic'],
      description: 'what kind of agent it is (auto)',
    },
    pod: { type: 'string', value: 'FILE', description: 'pod.json: how the agent is run' },
    include: { type: 'strings', value: 'PATTERN', description: 'take what the profile leaves out' },
    exclude: { type: 'strings', value: 'PATTERN', description: 'leave this out' },
    recipient: {
      type: 'strings',
      value: 'PUBKEY',
      description: 'let in who has the private half of this key; no passphrase is then asked for',
    },
    'recovery-key-file': {
      type: 'string',
      value: 'FILE',
      description: 'write the recovery key to a new file instead of showing it',
    },
  },
  examples: [
    ['init my-agent --state ~/.openclaw', 'begin with an OpenClaw agent'],
    ['init my-agent --state ~/bot --exclude "*.log"', 'begin with any other folder, without its logs'],
    ['init my-agent --state /data --passphrase-file pass --recovery-key-file recovery.txt', 'begin in a script'],
  ],
  async run(context, { agent, options }) {
    const { output, cwd, secrets, reporter } = context;
    if (agent === undefined) throw new MoltError('USAGE', 'init needs AGENT: what to call it');
    const stateDir = options.state ?? missingState(context, agent);
    const { include, exclude } = options;
    const file = options['recovery-key-file'];
    const keyFile = file === undefined ? undefined : resolve(cwd, file);
    let recoveryKey: string | undefined;
    const ops = makeOpsContext(context);
    const made = await initAgent(ops, {
      label: agent,
      stateDir: resolve(cwd, stateDir),
      profile: options.profile ?? 'auto',
      podFile: options.pod === undefined ? undefined : resolve(cwd, options.pod),
      include,
      exclude,
      recipients: options.recipient,
      passphrase: async () => {
        if (options.recipient.length > 0) return secrets.findPassphrase();
        reporter.pause();
        return secrets.newPassphrase(`agent "${agent}"`);
      },
      keepRecoveryKey: async (text) => {
        if (keyFile !== undefined) await writeRecoveryKeyFile(keyFile, text);
        recoveryKey = text;
      },
    }).catch(async (error: unknown) => {
      const isKept = (await ops.home.findAgent(agent).catch(() => undefined)) !== undefined;
      if (keyFile !== undefined && recoveryKey !== undefined && !isKept) await dropRecoveryKeyFile(keyFile);
      throw error;
    });
    const shown = file === undefined ? recoveryKey : undefined;
    output.result(initDocument(made, shown), () => describeInit(context, made, { shown, file }));
    reportSkipped(output, made.commit.skipped);
  },
});

function missingState({ env, program }: Context, agent: string): never {
  const usual = join(env['HOME'] ?? '', '.openclaw');
  const dir = env['HOME'] !== undefined && existsSync(usual) ? '~/.openclaw' : 'DIR';
  throw new MoltError('USAGE', "init needs --state DIR: the folder that holds the agent's state", {
    hint: `${program} init ${agent} --state ${dir}`,
  });
}

function initDocument({ agent, roots, fingerprint, commit }: InitResult, recoveryKey: string | undefined): object {
  return {
    agent: agent.label,
    repository: agent.repository,
    stateDir: agent.stateDir,
    roots,
    profile: agent.profile,
    commit: commit.id,
    fingerprint,
    ...(recoveryKey === undefined ? {} : { recoveryKey }),
    files: commit.files,
    bytes: commit.bytes,
    skipped: commit.skipped,
    durationMs: commit.durationMs,
  };
}

function* describeInit(
  { output, program, home }: Context,
  { agent, roots, fingerprint, commit }: InitResult,
  key: { readonly shown: string | undefined; readonly file: string | undefined },
): Iterable<string> {
  const { label } = agent;
  const took = `${formatSize(commit.bytes.stored)} stored in ${formatDuration(commit.durationMs)}`;
  yield `${output.style('bold', label)} is saved: ${formatTotal(commit.components)} in its first full backup, ${took}.`;
  yield* formatComponents(commit.components);
  yield '';
  const elsewhere = roots.filter(({ key: root }) => root !== 'state');
  yield* formatTable([
    ['State', agent.stateDir, `read as ${agent.profile}`],
    ...elsewhere.map(({ dir, reason }, index) => [index === 0 ? 'Also saved' : '', dir, reason]),
    ['Commit', shortId(commit.id), `tagged ${commit.tag}`],
    ['Kept in', home, 'encrypted'],
    ['Fingerprint', fingerprint, ''],
  ]);
  yield '';
  if (key.shown === undefined) {
    yield `The recovery key is in ${key.file} and nowhere else. Move it off this machine: it opens every backup of ${label}.`;
  } else {
    yield 'Recovery key:';
    yield '';
    yield `    ${output.style('bold', key.shown)}`;
    yield '';
    yield output.style('yellow', 'Write it down now, and keep it off this machine. It is not shown again.');
  }
  yield 'Should this machine be lost, only this key or the passphrase opens the backups; without both nobody can.';
  yield '';
  yield 'Next:';
  yield* formatTable([
    [`  ${program} commit ${label}`, 'save what changed since'],
    [`  ${program} status ${label}`, 'see what changed'],
    [`  ${program} log ${label}`, 'see what was saved'],
  ]);
}
