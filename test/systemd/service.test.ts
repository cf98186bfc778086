// The daemon as a user's service of a real systemd: installed, killed, stopped, and taken away again.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { startManager, until } from './manager.ts';

const MOLT = join(import.meta.dirname, '../../bin/molt.cjs');
const UNIT = 'molt-daemon.service';
const run = promisify(execFile);
const manager = await startManager();

test.after.always(() => manager?.stop());

(manager === undefined ? test.skip : test)(
  'the daemon runs as a user’s service, comes back when it is killed, and is taken away without a trace',
  async (t) => {
    if (manager === undefined) throw new Error('this is skipped');
    const { home, env } = manager;
    const molt = async (...words: string[]): Promise<string> =>
      (await run(process.execPath, [MOLT, ...words], { env: { ...env, MOLT_PASSPHRASE: 'a passphrase for tests' } }))
        .stdout;
    const state = join(home, 'agent');
    mkdirSync(state);
    const write = (text: string): void => writeFileSync(join(state, 'memory.md'), `${text}\n`);
    const isSaved = async (text: string): Promise<boolean> =>
      (await molt('cat', 'HEAD:state/memory.md').catch(() => '')) === `${text}\n`;
    write('first');
    await molt('init', 'bot', '--state', state, '--recovery-key-file', join(home, 'recovery'));
    const unit = join(home, '.config/systemd/user', UNIT);

    await molt('schedule', 'install', 'bot', '--every', '1m', '--dry-run');
    t.false(existsSync(unit), 'a dry run writes nothing');
    write('second');
    t.regex(await molt('schedule', 'install', 'bot', '--every', '1m', '--yes'), /systemd user unit/);
    t.is(await manager.show(UNIT, 'ActiveState'), 'active');
    t.is(await manager.show(UNIT, 'UnitFileState'), 'enabled');
    t.true(await until(() => isSaved('second')), 'it saves what changed');
    t.regex(await molt('schedule', 'status'), /The daemon runs: process \d+/);

    const pid = Number(await manager.show(UNIT, 'MainPID'));
    write('third');
    process.kill(pid, 'SIGKILL');
    t.true(await until(async () => (await manager.show(UNIT, 'NRestarts')) === '1'), 'systemd starts it again');
    t.true(await until(() => isSaved('third')), 'it goes on');
    t.not(Number(await manager.show(UNIT, 'MainPID')), pid);

    await run('systemctl', ['--user', 'stop', UNIT], { env });
    t.is(await manager.show(UNIT, 'Result'), 'success', 'it ends by itself when it is told to');
    t.regex(await molt('schedule', 'status'), /The daemon does not run/);
    await molt('schedule', 'install', 'bot', '--yes');
    t.is(await manager.show(UNIT, 'ActiveState'), 'active', 'installed again it runs again');

    t.regex(await molt('schedule', 'remove', 'bot', '--yes'), /removed the schedule of bot/);
    t.is(await manager.show(UNIT, 'ActiveState'), 'inactive');
    t.is(await manager.show(UNIT, 'LoadState'), 'not-found');
    t.false(existsSync(unit));
    t.true(await isSaved('third'), 'the backups stay');
  },
);
