// What systems are told to run the daemon by: judged by systemd itself, by a parser of property lists, and by a shell. What is installed and
// taken away is seen by small stand-ins for systemctl, launchctl and crontab, which keep what they are told.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { parse as parsePlist } from 'plist';
import { isMoltError } from '../../src/model/error.ts';
import {
  applyService,
  findServiceKind,
  isLingering,
  listInstalledServices,
  planService,
  planServiceRemoval,
  serviceSpec,
  type ServiceKind,
  type System,
} from '../../src/ops/service.ts';
import { addCronLines, removeCronLines, renderCronLines, renderPlist, renderUnit } from '../../src/ops/service-text.ts';
import { makeSystem } from './service-machine.ts';

function specFor(home: string, program = process.execPath) {
  return serviceSpec(home, '/home/user', [program, "/opt/it's here/50% $A/molt.cjs", 'daemon', '--home', home]);
}

/** Has systemd judge a unit; returns what it says against it. */
function verify(t: ExecutionContext, text: string, scope: 'user' | 'system'): { status: number | null; said: string } {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'molt-unit-')));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'molt-daemon.service');
  writeFileSync(path, text);
  const words = ['verify', '--man=no', ...(scope === 'user' ? ['--user'] : []), path];
  const { status, stdout, stderr, error } = spawnSync('systemd-analyze', words, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: dir, XDG_RUNTIME_DIR: dir },
  });
  t.is(error, undefined, 'systemd-analyze is there (Debian: apt-get install systemd)');
  return { status, said: `${stdout}${stderr}` };
}

test('systemd finds nothing wrong with the units, also for paths with spaces, quotes, percent and dollar signs', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'molt-node-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const odd = join(dir, 'a b %h $HOME node');
  symlinkSync(process.execPath, odd);
  for (const scope of ['user', 'system'] as const)
    for (const home of ['/home/user/.molt', '/home/it\'s "me" %u/a\\b $HOME/.molt'])
      for (const program of [process.execPath, odd])
        t.deepEqual(
          verify(t, renderUnit(specFor(home, program), scope), scope),
          { status: 0, said: '' },
          `${scope} ${home}`,
        );
  // The judge is awake.
  const broken = renderUnit(specFor('/home/user/.molt', '/nonexistent/node'), 'user').replace('Restart=', 'Restrt=');
  t.regex(verify(t, broken, 'user').said, /Restrt[^]*\/nonexistent\/node/);
});

test('the units begin with the user’s services, end by a signal to molt alone, and start again whatever happens', (t) => {
  const user = renderUnit(specFor('/home/user/.molt'), 'user');
  t.regex(user, /^WantedBy=default\.target$/m);
  t.regex(user, /^Restart=always$/m);
  t.regex(user, /^KillMode=mixed$/m);
  t.regex(
    user,
    /^ExecStart=:"\/.*node" "\/opt\/it's here\/50%% \$A\/molt\.cjs" "daemon" "--home" "\/home\/user\/\.molt"$/m,
  );
  t.regex(renderUnit(specFor('/home/user/.molt'), 'system'), /^WantedBy=multi-user\.target$/m);
});

test('what can’t be written into a unit or a crontab is refused', (t) => {
  const spec = specFor('/home/user/.molt');
  for (const refused of [
    () => renderUnit({ ...spec, home: '/home/a\nb' }, 'user'),
    () => renderUnit({ ...spec, command: ['/opt/"node"', 'daemon'] }, 'user'),
    () => renderPlist({ ...spec, command: ['/opt/node', 'a\u0001'] }, 'x', '/log'),
    () => renderCronLines({ ...spec, command: ['/opt/node', 'x'.repeat(1000)] }),
  ])
    t.true(isMoltError(t.throws(refused), 'USAGE'));
});

test('the launchd agent says what it should to a parser of property lists', (t) => {
  const spec = specFor('/Users/me & <you>/.molt');
  t.like(parsePlist(renderPlist(spec, 'dev.molt.molt-daemon', '/Users/me & <you>/.molt/daemon/log')), {
    Label: 'dev.molt.molt-daemon',
    ProgramArguments: [...spec.command],
    RunAtLoad: true,
    KeepAlive: true,
    ThrottleInterval: 30,
    Umask: 0o77,
    StandardOutPath: '/Users/me & <you>/.molt/daemon/log',
  });
});

test('a shell takes the crontab entry apart into the very words, and cron finds no percent sign in it', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom(...Array.from('aé%\'"\\ $`*;&|~=/')), minLength: 1, maxLength: 12 }), {
        maxLength: 4,
      }),
      (words) => {
        const lines = renderCronLines({ name: 'molt-daemon', home: '/h', command: ['printf', '%s\\0', ...words] });
        const [, entry = ''] = lines.split('\n');
        t.false(entry.includes('%'));
        const command = entry.replace(/^\*\/5 \* \* \* \* /, '').replace(/ >\/dev\/null 2>&1$/, '');
        t.deepEqual(execFileSync('/bin/sh', ['-c', command], { encoding: 'utf8' }).split('\0').slice(0, -1), [
          ...words,
          '--unless-running',
        ]);
      },
    ),
    { numRuns: 60 },
  );
});

test('a crontab’s other lines stay byte for byte, however often molt’s are added, changed and taken out', (t) => {
  const spec = specFor('/home/user/.molt');
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom(...Array.from('#m* \té\u00ff%\\')), maxLength: 20 }), {
        maxLength: 6,
      }),
      fc.array(fc.string({ unit: fc.constantFrom(...Array.from('#m* \té\u00ff%\\')), maxLength: 20 }), {
        maxLength: 6,
      }),
      (above, below) => {
        const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
        const added = addCronLines(text(above), spec);
        t.is(added, `${text(above)}${Buffer.from(renderCronLines(spec)).toString('latin1')}`);
        t.is(addCronLines(added, spec), added);
        // Lines that came below, and another path of Node: the entry is changed where it stands.
        const moved = specFor('/home/user/.molt', '/opt/node-26/bin/node');
        const changed = addCronLines(added + text(below), moved);
        t.true(changed.startsWith(text(above)) && changed.endsWith(text(below)) && changed.includes('node-26'));
        t.is(removeCronLines(changed, spec.name), text(above) + text(below));
        // Another folder's daemon is another's.
        t.is(removeCronLines(changed, specFor('/srv/molt').name), changed);
      },
    ),
  );
  const marked = addCronLines('', spec).split('\n')[0];
  t.is(removeCronLines(`${marked}\n5 4 * * * backup\n`, spec.name), '5 4 * * * backup\n');
});

for (const kind of ['systemd', 'launchd', 'cron'] as const) {
  test(`installing and removing by ${kind} can be repeated, and leaves nothing behind`, async (t) => {
    const system = makeSystem(t, ['systemctl', 'launchctl', 'crontab', 'loginctl']);
    const mine = '# mine: caf\u00c3\u00a9 \u00ff\n5 4 * * * backup --at 100\\%\n';
    system.set('systemd');
    system.set('crontab', mine);
    const spec = specFor('/home/user/.molt');
    t.deepEqual(await listInstalledServices(system, spec), []);
    const plan = await planService(system, kind, spec);
    t.false(plan.isDone);
    // A plan alone does nothing.
    t.false(existsSync(plan.file?.path ?? join(system.dir, 'nothing')));
    t.is(system.get('crontab'), mine);
    await applyService(system, plan);
    t.deepEqual(await listInstalledServices(system, spec), [kind]);
    t.true((await planService(system, kind, spec)).isDone);
    const before = system.told();
    await applyService(system, await planService(system, kind, spec));
    t.notRegex(system.told().slice(before.length), /restart|bootstrap/);
    // A newer Node elsewhere is taken up.
    const newer = specFor('/home/user/.molt', '/opt/node-26/bin/node');
    const change = await planService(system, kind, newer);
    t.false(change.isDone);
    await applyService(system, change);
    t.true((await planService(system, kind, newer)).isDone);
    await applyService(system, await planServiceRemoval(system, kind, newer));
    t.deepEqual(await listInstalledServices(system, spec), []);
    t.is(system.get('crontab'), mine);
    if (plan.file !== undefined) t.false(existsSync(plan.file.path));
    await applyService(system, await planServiceRemoval(system, kind, newer));
    t.is(system.get('crontab'), mine);
  });
}

test('systemd is told what it has to know, in that order', async (t) => {
  const system = makeSystem(t, ['systemctl', 'loginctl']);
  const spec = specFor('/home/user/.molt');
  await applyService(system, await planService(system, 'systemd', spec));
  await applyService(system, await planServiceRemoval(system, 'systemd', spec));
  t.deepEqual(
    system
      .told()
      .split('\n')
      .filter((line) => /reload|able |restart/.test(line)),
    [
      'systemctl --user daemon-reload',
      'systemctl --user enable molt-daemon.service',
      'systemctl --user restart molt-daemon.service',
      'systemctl --user disable --now molt-daemon.service',
      'systemctl --user daemon-reload',
    ],
  );
  t.is(await isLingering(system), false);
});

test('the means is the best one that the machine has', async (t) => {
  const kindOf = async (programs: readonly string[], works: readonly string[], changes: Partial<System> = {}) => {
    const system = makeSystem(t, programs, changes);
    for (const name of works) system.set(name);
    return findServiceKind(system);
  };
  const found: Promise<ServiceKind>[] = [
    kindOf(['systemctl', 'crontab'], ['systemd']),
    kindOf(['systemctl', 'crontab'], []),
    kindOf(['crontab'], []),
    // Who may not use cron has none.
    kindOf(['crontab'], ['unreadable']),
    kindOf([], []),
    kindOf(['launchctl', 'crontab'], [], { platform: 'darwin' }),
  ];
  t.deepEqual(await Promise.all(found), ['systemd', 'cron', 'cron', 'none', 'none', 'launchd']);
});

test('a crontab that can’t be read, or that somebody changes meanwhile, is left alone', async (t) => {
  const system = makeSystem(t, ['crontab']);
  const spec = specFor('/home/user/.molt');
  const plan = await planService(system, 'cron', spec);
  system.set('crontab', '5 4 * * * backup\n');
  t.true(isMoltError(await t.throwsAsync(applyService(system, plan)), 'CONFLICT'));
  t.is(system.get('crontab'), '5 4 * * * backup\n');
  system.set('unreadable');
  t.regex((await t.throwsAsync(planService(system, 'cron', spec)))?.message ?? '', /not allowed to use/);
});

test('a system that refuses says why, and the file of another folder’s daemon is another one', async (t) => {
  const system = makeSystem(t, []);
  const plan = await planService(system, 'systemd', specFor('/srv/molt'));
  t.regex(plan.name, /^molt-daemon-[0-9a-f]{8}\.service$/);
  const error = await t.throwsAsync(applyService(system, plan));
  t.true(isMoltError(error, 'IO'));
  t.regex(error?.message ?? '', /^systemctl --user daemon-reload failed: there is no such program/);
  t.true(isMoltError(await t.throwsAsync(planService(system, 'systemd-system', specFor('/srv/molt'))), 'USAGE'));
});
