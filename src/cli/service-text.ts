// How the service that runs the daemon is shown, and which it would be here.

import { realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { sep } from 'node:path';
import { MoltError } from '../model/error.ts';
import type { ServiceKind, ServicePlan, System } from '../ops/service.ts';
import { serviceSpec } from '../ops/service.ts';
import type { Context } from './command.ts';

/** What each kind of service is called. */
export const SERVICE_NAMES: Readonly<Record<ServiceKind, string>> = {
  systemd: 'systemd user unit',
  'systemd-system': 'systemd unit',
  launchd: 'launchd agent',
  cron: 'crontab entry',
  none: 'no service',
};

/** Returns the machine and user of a command. */
export function systemOf({ env }: Context): System {
  return { platform: process.platform, uid: process.getuid?.() ?? -1, env, userHome: env['HOME'] || homedir() };
}

/**
 * Returns what the service runs: this very molt, by this very Node.
 * @throws {MoltError} USAGE when molt runs from a place that will not last
 */
export async function specOf(context: Context) {
  const script = await realpath(process.argv[1] ?? '');
  if (script.split(sep).includes('_npx'))
    throw new MoltError(
      'USAGE',
      'molt runs from npx’s cache, which is emptied now and then; a service needs it to stay',
      {
        hint: 'npm install -g molt, then install the schedule with that one',
      },
    );
  const { userHome } = systemOf(context);
  return serviceSpec(context.home, userHome, [process.execPath, script, 'daemon', '--home', context.home]);
}

/** Lists what a plan does, for people. */
export function* describePlan(plan: ServicePlan): Iterable<string> {
  const { file, crontab, commands } = plan;
  if (file?.text !== undefined) {
    yield `write ${file.path}:`;
    yield* indent(file.text);
  } else if (file !== undefined) yield `remove ${file.path}`;
  if (crontab !== undefined) {
    const [more, fewer] = [linesOf(crontab.after), linesOf(crontab.before)];
    const added = more.filter((line) => !fewer.includes(line));
    const removed = fewer.filter((line) => !more.includes(line));
    if (added.length > 0) yield 'add to your crontab:';
    yield* added.map((line) => `    ${line}`);
    if (removed.length > 0) yield 'take out of your crontab:';
    yield* removed.map((line) => `    ${line}`);
  }
  for (const { words } of commands) yield `run ${words.join(' ')}`;
}

/** Returns a plan as a plain value. */
export function planDocument(plan: ServicePlan, isDry: boolean) {
  const { kind, name, file, crontab, commands, isDone } = plan;
  return {
    kind,
    name,
    ...(file !== undefined && { file: file.path }),
    ...(isDry && file?.text !== undefined && { text: file.text }),
    ...(isDry && crontab !== undefined && { crontab: decode(crontab.after) }),
    commands: commands.map(({ words }) => words),
    changed: !isDone,
  };
}

function linesOf(crontab: string): string[] {
  return decode(crontab).split('\n');
}

function decode(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function* indent(text: string): Iterable<string> {
  for (const line of text.trimEnd().split('\n')) yield line === '' ? '' : `    ${line}`;
}
