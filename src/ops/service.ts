// The service that runs the daemon in the background, by the system's own means. First it is planned, so that it can be shown; then done.

import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MoltError } from '../model/error.ts';
import { systemFailure } from '../model/system-error.ts';
import { writeWholeFile } from '../storage/whole-file.ts';
import { readIfThere } from './home.ts';
import { addCronLines, removeCronLines, renderPlist, renderUnit, type ServiceSpec } from './service-text.ts';

/** By what means the daemon runs: a unit of the user, a unit of the system (for root alone), an agent of launchd, a crontab, or by hand. */
export const SERVICE_KINDS = ['systemd', 'systemd-system', 'launchd', 'cron', 'none'] as const;
export type ServiceKind = (typeof SERVICE_KINDS)[number];

/** The machine and its user. */
export interface System {
  readonly platform: NodeJS.Platform;
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home folder. */
  readonly userHome: string;
}

/** What is to be done to have the daemon run, or run no longer. */
export interface ServicePlan {
  readonly kind: ServiceKind;
  /** The unit, the launchd agent, or what the crontab's lines are marked with. */
  readonly name: string;
  /** The file to write, or with undefined to remove; not the crontab. */
  readonly file: { readonly path: string; readonly text: string | undefined } | undefined;
  /** As bytes (latin1). */
  readonly crontab: { readonly before: string; readonly after: string } | undefined;
  /** What is run then; those marked may fail, where there is nothing to end. */
  readonly commands: readonly { readonly words: readonly string[]; readonly mayFail?: boolean }[];
  /** A folder of molt's that must be there before. */
  readonly logDir?: string;
  /** Nothing is to be done. */
  readonly isDone: boolean;
}

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const RUN_TIMEOUT_MS = 60_000;

/** Returns what runs the daemon of a home. */
export function serviceSpec(home: string, userHome: string, command: ServiceSpec['command']): ServiceSpec {
  const isUsual = home === join(userHome, '.molt');
  const hash = createHash('sha256').update(home).digest('hex').slice(0, 8);
  return { name: isUsual ? 'molt-daemon' : `molt-daemon-${hash}`, command, home };
}

/** Finds the best means that this machine has. */
export async function findServiceKind(system: System): Promise<ServiceKind> {
  if (system.platform === 'darwin') return 'launchd';
  if (system.platform === 'linux') {
    if ((await run(system, ['systemctl', '--user', 'show-environment']))?.status === 0) return 'systemd';
    if (system.uid === 0 && (await run(system, ['systemctl', 'show-environment']))?.status === 0)
      return 'systemd-system';
  }
  return (await findCrontab(system)) === undefined ? 'none' : 'cron';
}

/** Plans how the daemon is had run. @throws {MoltError} USAGE when the means are not of this machine or user */
export async function planService(system: System, kind: ServiceKind, spec: ServiceSpec): Promise<ServicePlan> {
  const plan = { kind, name: nameOf(kind, spec), file: undefined, crontab: undefined, commands: [], isDone: false };
  switch (kind) {
    case 'none':
      return { ...plan, isDone: true };
    case 'systemd':
    case 'systemd-system': {
      if (kind === 'systemd-system' && system.uid !== 0)
        throw new MoltError('USAGE', 'only root has units of the system', { hint: '--with systemd' });
      const file = { path: fileOf(system, kind, spec), text: renderUnit(spec, scopeOf(kind)) };
      const systemctl = systemctlOf(kind);
      const isActive = (await run(system, [...systemctl, 'is-active', '--quiet', plan.name]))?.status === 0;
      const isEnabled = (await run(system, [...systemctl, 'is-enabled', '--quiet', plan.name]))?.status === 0;
      const commands = ['daemon-reload', 'enable', 'restart'].map((verb) => ({
        words: [...systemctl, verb, ...(verb === 'daemon-reload' ? [] : [plan.name])],
      }));
      return { ...plan, file, commands, isDone: isActive && isEnabled && (await holds(file)) };
    }
    case 'launchd': {
      const file = {
        path: fileOf(system, kind, spec),
        text: renderPlist(spec, plan.name, join(spec.home, 'daemon', 'log')),
      };
      const domain = `gui/${system.uid}`;
      const isLoaded = (await run(system, ['launchctl', 'print', `${domain}/${plan.name}`]))?.status === 0;
      const commands = [
        { words: ['launchctl', 'bootout', `${domain}/${plan.name}`], mayFail: true },
        { words: ['launchctl', 'bootstrap', domain, file.path] },
      ];
      return { ...plan, file, commands, logDir: join(spec.home, 'daemon'), isDone: isLoaded && (await holds(file)) };
    }
    case 'cron': {
      const before = await getCrontab(system);
      const after = addCronLines(before, spec);
      return { ...plan, crontab: { before, after }, isDone: before === after };
    }
  }
}

/** Finds by what means the daemon of a home was installed; all of them, if there are several. */
export async function listInstalledServices(system: System, spec: ServiceSpec): Promise<ServiceKind[]> {
  const found: ServiceKind[] = [];
  for (const kind of ['systemd', 'systemd-system', 'launchd'] as const)
    if ((await readIfThere(fileOf(system, kind, spec))) !== undefined) found.push(kind);
  const crontab = await findCrontab(system);
  if (crontab !== undefined && removeCronLines(crontab, spec.name) !== crontab) found.push('cron');
  return found;
}

/** Plans how an installed service is taken away. */
export async function planServiceRemoval(system: System, kind: ServiceKind, spec: ServiceSpec): Promise<ServicePlan> {
  const plan = { kind, name: nameOf(kind, spec), file: undefined, crontab: undefined, commands: [], isDone: false };
  switch (kind) {
    case 'none':
      return { ...plan, isDone: true };
    case 'systemd':
    case 'systemd-system': {
      const systemctl = systemctlOf(kind);
      return {
        ...plan,
        file: { path: fileOf(system, kind, spec), text: undefined },
        commands: [
          { words: [...systemctl, 'disable', '--now', plan.name], mayFail: true },
          { words: [...systemctl, 'daemon-reload'], mayFail: true },
        ],
      };
    }
    case 'launchd':
      return {
        ...plan,
        file: { path: fileOf(system, kind, spec), text: undefined },
        commands: [{ words: ['launchctl', 'bootout', `gui/${system.uid}/${plan.name}`], mayFail: true }],
      };
    case 'cron': {
      const before = await getCrontab(system);
      return { ...plan, crontab: { before, after: removeCronLines(before, spec.name) } };
    }
  }
}

/** Does what was planned. @throws {MoltError} IO, CONFLICT when the crontab was changed meanwhile */
export async function applyService(system: System, plan: ServicePlan): Promise<void> {
  const { file, crontab, commands } = plan;
  if (plan.isDone) return;
  // launchd opens the log before the daemon makes its folder.
  if (plan.logDir !== undefined) await mkdir(plan.logDir, { recursive: true, mode: 0o700 });
  if (crontab !== undefined) {
    if ((await getCrontab(system)) !== crontab.before)
      throw new MoltError('CONFLICT', 'the crontab was changed meanwhile; it stays as it is now', {
        hint: 'try again',
      });
    await runOrThrow(system, ['crontab', '-'], crontab.after);
  }
  const isRemoval = file !== undefined && file.text === undefined;
  if (file?.text !== undefined) await writeServiceFile(file.path, file.text);
  for (const { words, mayFail = false } of commands) {
    // Once it is stopped and before the system reads its units again.
    // oxlint-disable-next-line no-await-in-loop -- in this order
    if (isRemoval && words === commands.at(-1)?.words && commands.length > 1) await rm(file.path, { force: true });
    // oxlint-disable-next-line no-await-in-loop -- the same
    if (mayFail) await run(system, words);
    // oxlint-disable-next-line no-await-in-loop -- the same
    else await runOrThrow(system, words);
  }
  if (isRemoval) await rm(file.path, { force: true });
}

/** Says whether services of this user go on when nobody is logged in; undefined where that can't be told. */
export async function isLingering(system: System): Promise<boolean | undefined> {
  const shown = await run(system, ['loginctl', 'show-user', String(system.uid), '--property=Linger', '--value']);
  return shown?.status === 0 ? shown.stdout.trim() === 'yes' : undefined;
}

function nameOf(kind: ServiceKind, { name }: ServiceSpec): string {
  if (kind === 'launchd') return `dev.molt.${name}`;
  return kind.startsWith('systemd') ? `${name}.service` : name;
}

function fileOf(system: System, kind: 'systemd' | 'systemd-system' | 'launchd', spec: ServiceSpec): string {
  const name = nameOf(kind, spec);
  if (kind === 'systemd-system') return join('/etc/systemd/system', name);
  if (kind === 'launchd') return join(system.userHome, 'Library/LaunchAgents', `${name}.plist`);
  return join(system.env['XDG_CONFIG_HOME'] || join(system.userHome, '.config'), 'systemd/user', name);
}

function scopeOf(kind: 'systemd' | 'systemd-system'): 'user' | 'system' {
  return kind === 'systemd' ? 'user' : 'system';
}

function systemctlOf(kind: 'systemd' | 'systemd-system'): readonly string[] {
  return kind === 'systemd' ? ['systemctl', '--user'] : ['systemctl'];
}

async function holds({ path, text }: { readonly path: string; readonly text: string }): Promise<boolean> {
  return (await readIfThere(path))?.toString('utf8') === text;
}

/** Writes a file among others that are not molt's: its folder may be there, with rights of its own. */
async function writeServiceFile(path: string, text: string): Promise<void> {
  const dir = dirname(path);
  try {
    await mkdir(dir, { recursive: true });
    await writeWholeFile(path, Buffer.from(text, 'utf8'), { tempDir: dir, replace: true });
  } catch (error) {
    throw systemFailure(error, `cannot write "${path}"`, path);
  }
}

/** Returns the user's crontab, or undefined where there is no cron. */
async function findCrontab(system: System): Promise<string | undefined> {
  const shown = await run(system, ['crontab', '-l']);
  if (shown === undefined) return undefined;
  if (shown.status === 0) return shown.stdout;
  return /no crontab|no such file|can't open/i.test(shown.stderr) ? '' : undefined;
}

/** @throws {MoltError} IO where it can't be read: to write one then would lose what is in it */
async function getCrontab(system: System): Promise<string> {
  const crontab = await findCrontab(system);
  if (crontab !== undefined) return crontab;
  const shown = await run(system, ['crontab', '-l']);
  throw new MoltError('IO', `the crontab can't be read: ${shown?.stderr.trim() || 'there is no crontab command'}`, {
    hint: 'run molt daemon by other means, and install with --with none',
  });
}

async function runOrThrow(system: System, words: readonly string[], stdin?: string): Promise<void> {
  const ran = await run(system, words, stdin);
  if (ran?.status === 0) return;
  const why = ran === undefined ? 'there is no such program' : ran.stderr.trim() || `status ${ran.status}`;
  throw new MoltError('IO', `${words.join(' ')} failed: ${why}`, {
    hint: 'the schedule is kept all the same: molt daemon serves it in the foreground, and installing again tries this again',
  });
}

/** Runs a program of the system; undefined where there is none. Bytes pass as they are (latin1): a crontab needs no encoding. */
async function run({ env }: System, [program = '', ...words]: readonly string[], stdin = ''): Promise<Ran | undefined> {
  const { promise, resolve } = Promise.withResolvers<Ran | undefined>();
  const child = execFile(
    program,
    words,
    { env: { ...env, LC_ALL: 'C' }, encoding: 'latin1', timeout: RUN_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 },
    (error, stdout, stderr) => {
      const isThere = error === null || error.code !== 'ENOENT';
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve(isThere ? { status, stdout, stderr } : undefined);
    },
  );
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin, 'latin1');
  return promise;
}
