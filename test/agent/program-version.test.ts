// The version of an agent's program, asked from real programs.

import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import test from 'ava';
import { genericProfile } from '../../src/agent/generic.ts';
import { openclawProfile } from '../../src/agent/openclaw.ts';
import { compareVersions } from '../../src/agent/program-version.ts';
import { tempFolders } from './support.ts';

const tempFolder = tempFolders(test);

function program(script: string): { command: string[]; env: Record<string, string> } {
  const dir = join(tempFolder(), 'bin');
  mkdirSync(dir);
  writeFileSync(join(dir, 'openclaw'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, 'openclaw'), 0o755);
  return { command: ['openclaw', 'gateway', 'run'], env: { PATH: [dir, '/usr/bin', '/bin'].join(delimiter) } };
}

test('a program is found by the path that it is given, and asked for its version', async (t) => {
  const said = program('test "$*" = --version && echo "OpenClaw 2026.9.6 (eb377ac)"');
  t.is(await openclawProfile.installedVersion(said), '2026.9.6');
});

test('it sees nothing of its surroundings but what it is given', async (t) => {
  process.env['MOLT_TEST_SECRET'] = 'x';
  t.is(await openclawProfile.installedVersion(program('test -z "$MOLT_TEST_SECRET" && echo 2026.9.6')), '2026.9.6');
});

test('one that fails, says something else or never ends doesn’t tell', async (t) => {
  t.is(await openclawProfile.installedVersion(program('echo 2026.9.6; exit 1')), undefined);
  t.is(await openclawProfile.installedVersion(program('echo hello')), undefined);
  t.is(await openclawProfile.installedVersion({ ...program('sleep 600'), timeoutMs: 100 }), undefined);
});

test('one that isn’t there is named', async (t) => {
  const absent = { command: ['/nowhere/openclaw'], env: {} };
  await t.throwsAsync(openclawProfile.installedVersion(absent), {
    code: 'NOT_FOUND',
    message: /"\/nowhere\/openclaw" is not installed/,
  });
});

test('asking can be interrupted', async (t) => {
  const asked = openclawProfile.installedVersion({ ...program('sleep 600'), signal: AbortSignal.timeout(50) });
  await t.throwsAsync(asked, { code: 'INTERRUPTED' });
});

test('a commit of a newer OpenClaw than the one installed is refused, and both are named', (t) => {
  t.throws(() => openclawProfile.checkVersion('2026.9.6', '2026.5.28'), {
    code: 'NEWER_FORMAT',
    message: /2026\.9\.6.*2026\.5\.28/,
  });
  t.notThrows(() => openclawProfile.checkVersion('2026.5.28', '2026.9.6'));
  t.notThrows(() => openclawProfile.checkVersion('2026.9.6', '2026.9.6'));
  t.notThrows(() => openclawProfile.checkVersion(undefined, '2026.5.28'));
  t.notThrows(() => genericProfile.checkVersion('2', '1'));
});

const ordered = test.macro<[string, string]>((t, older, newer) => {
  t.true((compareVersions(older, newer) ?? 0) < 0);
  t.true((compareVersions(newer, older) ?? 0) > 0);
});

test('numbers count, not digits', ordered, '2026.5.28', '2026.10.1');
test('a trial version comes before', ordered, '2026.9.6-beta.2', '2026.9.6');
test('trial versions count up', ordered, '2026.9.6-beta.2', '2026.9.6-beta.10');
test('a correction comes after', ordered, '2026.9.6', '2026.9.6-1');
test('what is no version is not compared', (t) => t.is(compareVersions('main', '2026.9.6'), undefined));
