// `molt export`: writes an agent's history into one file, or as a plain Git repository.

import { createWriteStream } from 'node:fs';
import { link, open as openFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import type { Writable } from 'node:stream';
import { isSystemError, MoltError } from '../../model/error.ts';
import { shortId } from '../../model/ids.ts';
import { systemFailure } from '../../model/system-error.ts';
import type { OpsContext } from '../../ops/context.ts';
import type { ExportResult } from '../../ops/bundle.ts';
import { openAgent, type OpenAgent } from '../../ops/open.ts';
import { defineCommand, type Context } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { formatCount, formatSize } from '../text.ts';

/** The export command. */
export const command = defineCommand({
  name: 'export',
  summary: 'write an agent’s history into one file, or as a Git repository',
  description:
    'A bundle is one file with the whole history, encrypted as it is here and opened by the same keys; molt import takes it in. With\n' +
    '--since it holds only what follows a commit, for whoever has that one.\n' +
    '--git writes a bare Git repository with the same ids: git clone DIR and git -C DIR log work. It is NOT encrypted. Names that Git\n' +
    'refuses stay escaped (.git is %2Egit), and what Git can’t hold (modes, times, empty folders) is in the file attributes.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {
    output: { type: 'string', alias: 'o', value: 'FILE', description: 'the bundle, a new file; - for standard output' },
    since: { type: 'string', value: 'REV', description: 'only what follows this commit', completes: 'revision' },
    git: {
      type: 'string',
      value: 'DIR',
      description: 'write a Git repository; the folder must not exist, or be empty',
    },
  },
  examples: [
    ['export my-agent -o my-agent.molt', 'write everything into one file'],
    ['export my-agent --since before-upgrade -o more.molt', 'write what came after that tag'],
    ['export my-agent -o - | ssh other molt import -', 'move an agent to another machine'],
    ['export my-agent --git my-agent.git', 'write a Git repository, and look at it with git -C my-agent.git log'],
  ],
  async run(context, { agent, options }) {
    const ops = makeOpsContext(context);
    const { output: file, git, since } = options;
    if ((file === undefined) === (git === undefined)) {
      throw new MoltError('USAGE', 'export needs one place to write to: -o FILE for a bundle, or --git DIR', {
        hint: `${context.program} export -o FILE`,
      });
    }
    if (git !== undefined && since !== undefined) throw new MoltError('USAGE', '--since goes with -o');
    await using open = await openAgent(ops, agent);
    if (git !== undefined) return await exportAsGit(context, ops, open, git);
    if (file === '-') return await exportToPipe(ops, open, since);
    const absolute = path.resolve(context.cwd, file ?? '');
    const result = await exportToFile(ops, open, absolute, since);
    context.reporter.pause();
    report(context, absolute, result);
  },
});

async function exportAsGit(context: Context, ops: OpsContext, open: OpenAgent, dir: string): Promise<void> {
  const { exportGit } = await import('../../ops/export-git.ts');
  const result = await exportGit(ops, open, { dir, expired: await open.repository.listExpired() });
  context.reporter.pause();
  context.output.result(result, () => {
    const what = `${formatCount(result.commits, 'commit')}, ${formatCount(result.objects, 'object')}, ${formatSize(result.sizeBytes)}`;
    return `${result.file}: ${what}, not encrypted`;
  });
}

function report(context: Context, file: string, { sizeBytes, commits, refs, since }: ExportResult): void {
  context.output.result({ file, sizeBytes, commits, refs, ...(since !== undefined && { since }) }, () => [
    `${file}: ${formatCount(commits, 'commit')}, ${formatSize(sizeBytes)}, encrypted`,
    ...(since === undefined ? [] : [`whoever imports it must have ${shortId(since)}`]),
  ]);
}

/** Writes under a temporary name first: a file of the name is whole, or not there. */
async function exportToFile(
  ops: OpsContext,
  open: OpenAgent,
  file: string,
  since: string | undefined,
): Promise<ExportResult> {
  const { exportBundle } = await import('../../ops/bundle.ts');
  const temp = `${file}.${process.pid}.tmp`;
  try {
    const stream = createWriteStream(temp, { flags: 'wx', mode: 0o600 });
    const result = await exportBundle(ops, open, { since, label: file, write: (bytes) => write(stream, bytes) });
    stream.end();
    await finished(stream);
    const handle = await openFile(temp, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temp, file);
    return result;
  } catch (error) {
    if (isSystemError(error, 'EEXIST'))
      throw new MoltError('EXISTS', `"${file}" is there already`, { hint: 'give another name, or move it away' });
    throw systemFailure(error, `cannot write "${file}"`, file);
  } finally {
    await rm(temp, { force: true });
  }
}

async function exportToPipe(ops: OpsContext, open: OpenAgent, since: string | undefined): Promise<void> {
  if (process.stdout.isTTY)
    throw new MoltError('USAGE', 'a bundle is no text for a terminal', { hint: 'send it into a pipe or file' });
  const { exportBundle } = await import('../../ops/bundle.ts');
  await exportBundle(ops, open, { since, label: 'standard output', write: (bytes) => write(process.stdout, bytes) });
}

async function write(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (stream.errored !== null) throw stream.errored;
  if (!stream.write(bytes)) await once(stream, 'drain');
}
