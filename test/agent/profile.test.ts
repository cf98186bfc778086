// The profiles on real, recorded OpenClaw states of both layouts, and on configurations that point elsewhere.

import { mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { patternToRegExp } from '../../src/agent/path-table.ts';
import { detectProfile, getProfile } from '../../src/agent/profile.ts';
import { COMPONENTS } from '../../src/model/component.ts';
import { scanRoots, tempFolders, unpackFixture } from './support.ts';

const makeFolder = tempFolders(test);
const openclaw = getProfile('openclaw');
const home = '/nowhere';

async function scanFixture(version: '2026.9.6' | '2026.5.28') {
  const stateDir = unpackFixture(version, makeFolder());
  const roots = await openclaw.findRoots(stateDir, { home });
  const result = scanRoots(openclaw, roots);
  return {
    stateDir,
    roots,
    result,
    paths: new Map(result.entries.map((entry) => [entry.path.replace(/^state\//, ''), entry])),
  };
}

const kinds = test.macro(async (t, version: '2026.9.6' | '2026.5.28', expected: Record<string, string>) => {
  const { paths } = await scanFixture(version);
  const found = Object.keys(expected).map((path) => {
    const entry = paths.get(path);
    return [path, entry === undefined ? 'out' : `${entry.component}${entry.secret ? ' secret' : ''}`];
  });
  t.deepEqual(Object.fromEntries(found), expected);
});

test('a state of the SQLite layout is split into its components, caches and locks left out', kinds, '2026.9.6', {
  'openclaw.json': 'configuration secret',
  'openclaw.json.bak.3': 'configuration secret',
  '.env': 'configuration secret',
  'config-journal-fingerprint.key': 'configuration secret',
  'credentials/whatsapp/default/creds.json': 'skills secret',
  'state/openclaw.sqlite': 'state secret',
  'state/openclaw.sqlite-wal': 'out',
  'state/openclaw.sqlite-shm': 'out',
  'agents/main/agent/openclaw-agent.sqlite': 'state secret',
  'agents/main/agent/openclaw-agent.sqlite-wal': 'out',
  'agents/main/agent/openclaw-agent.sqlite.reindex-lock.sqlite': 'out',
  'agents/main/agent/openclaw-agent.sqlite.generation-lock.sqlite': 'out',
  'agents/main/agent/openclaw-agent.sqlite.generation-writer.sqlite': 'out',
  'agents/main/sessions': 'state',
  'skills/shared-greeter/SKILL.md': 'skills',
  'workspace/skills/tea-timer/scripts/steep.sh': 'skills',
  'workspace/MEMORY.md': 'state',
  'workspace/memory/2026-11-20.md': 'state',
  'workspace/SOUL.md': 'runtime',
  'workspace-research/AGENTS.md': 'runtime',
  'workspace-research/papers/heron-01.md': 'custom',
  'workspace/data/photo.bin': 'custom',
  'workspace/%2Egit/HEAD': 'custom',
  'media/outbound': 'custom',
  'plugin-skills': 'out',
  tmp: 'out',
});

test('a state of the JSONL layout is split into its components, caches and logs left out', kinds, '2026.5.28', {
  'openclaw.json': 'configuration secret',
  'openclaw.json.last-good': 'configuration secret',
  'agents/main/agent/models.json': 'configuration secret',
  'agents/main/sessions/sessions.json': 'state',
  'agents/main/sessions/53e318f4-67e4-4f94-9949-4522c1c1152d.jsonl': 'state',
  'identity/device-auth.json': 'state secret',
  'devices/paired.json': 'skills secret',
  'memory/main.sqlite': 'state secret',
  'tasks/runs.sqlite': 'state secret',
  'tasks/runs.sqlite-wal': 'out',
  'workspace/.openclaw/workspace-state.json': 'state',
  logs: 'out',
  'plugin-skills': 'out',
});

test('every rule of the table names a component, and each area ends with a rule for everything', (t) => {
  for (const profile of [openclaw, getProfile('generic')]) {
    const last = new Map(profile.rules.map((rule) => [rule.area, rule.path]));
    for (const [area, path] of last) t.is(path, '**', area);
    for (const rule of profile.rules) t.true(COMPONENTS.includes(rule.component) && rule.why.length > 3, rule.path);
  }
});

test('a pattern’s stars stand for part of a name, two for any number of names', (t) => {
  t.true(patternToRegExp('cache/**').test('cache'));
  t.true(patternToRegExp('cache/**').test('cache/a/b'));
  t.false(patternToRegExp('cache/**').test('cached'));
  t.true(patternToRegExp('**/*.pid').test('x.pid'));
  t.true(patternToRegExp('**/*.pid').test('a/b/x.pid'));
  t.false(patternToRegExp('*.key').test('a/x.key'));
  t.true(patternToRegExp('a/**/tmp/**').test('a/b/c/tmp/d\ne'));
  t.false(patternToRegExp('a.b').test('axb'));
});

test('the description tells the version and the schemas', async (t) => {
  const now = await openclaw.describe(unpackFixture('2026.9.6', makeFolder()));
  t.deepEqual(now, {
    profile: 'openclaw',
    programVersion: '2026.9.6',
    schemaVersions: {
      'state/openclaw.sqlite': 18,
      'agents/main/agent/openclaw-agent.sqlite': 23,
      'agents/research/agent/openclaw-agent.sqlite': 23,
    },
  });
  const before = await openclaw.describe(unpackFixture('2026.5.28', makeFolder()));
  t.is(before.programVersion, '2026.5.28');
  t.deepEqual(before.schemaVersions, { 'memory/main.sqlite': 0, 'tasks/runs.sqlite': 0 });
});

test('auto takes openclaw where the state looks like it, else generic', async (t) => {
  t.is((await detectProfile(unpackFixture('2026.9.6', makeFolder()), 'auto')).name, 'openclaw');
  t.is((await detectProfile(makeFolder(), 'auto')).name, 'generic');
  t.is((await detectProfile(makeFolder(), 'openclaw')).name, 'openclaw');
  t.throws(() => getProfile('hermit'), { code: 'USAGE' });
});

test('a recorded state whose paths are of another machine is one root', async (t) => {
  const { roots, stateDir } = await scanFixture('2026.9.6');
  t.deepEqual(roots, [
    { key: 'state', dir: stateDir, reason: 'the state folder', areas: [{ path: '', kind: 'state' }] },
  ]);
});

function writeConfig(stateDir: string, config: unknown): void {
  writeFileSync(join(stateDir, 'openclaw.json'), JSON.stringify(config));
}

test('workspaces, agent folders and includes outside the state become roots, those inside become areas', async (t) => {
  const dir = makeFolder();
  for (const name of ['state/inner', 'home/ws', 'home/ws/sub', 'agent', 'etc', 'legacy'])
    mkdirSync(join(dir, name), { recursive: true });
  symlinkSync(join(dir, 'home/ws'), join(dir, 'state/linked'));
  writeFileSync(join(dir, 'etc/extra.json5'), '{ entries: { c: { workspace: "../legacy" } } } // JSON5');
  writeFileSync(
    join(dir, 'state/openclaw.json'),
    `{ agents: { $include: "../etc/extra.json5", defaults: { workspace: "~/ws" }, // the default
       entries: { a: { workspace: "${dir}/state/inner", agentDir: "${dir}/agent" }, b: { workspace: "${dir}/state/linked/sub" } } } }`,
  );
  const roots = await openclaw.findRoots(join(dir, 'state'), { home: join(dir, 'home') });
  t.deepEqual(
    roots.map((root) => [root.key, root.dir.slice(dir.length), root.areas[0]?.kind, root.only]),
    [
      ['state', '/state', 'state', undefined],
      ['roots/1', '/home/ws', 'workspace', undefined],
      ['roots/2', '/legacy', 'workspace', undefined],
      ['roots/3', '/agent', 'agent', undefined],
      ['roots/4', '/etc', 'include', ['extra.json5']],
    ],
  );
  const [state, ws, , agent, include] = roots as [
    (typeof roots)[0],
    (typeof roots)[0],
    unknown,
    (typeof roots)[0],
    (typeof roots)[0],
  ];
  t.is(openclaw.classify(state, 'inner/MEMORY.md').component, 'state');
  t.is(openclaw.classify(state, 'innermost/MEMORY.md').component, 'custom');
  t.is(openclaw.classify(ws, 'SOUL.md').component, 'runtime');
  t.is(openclaw.classify(ws, 'sub/SOUL.md').component, 'runtime');
  t.true(openclaw.classify(agent, 'openclaw-agent.sqlite').secret);
  t.true(openclaw.classify(include, 'extra.json5').secret);
  t.deepEqual(
    scanRoots(openclaw, [include]).entries.map((entry) => entry.path),
    ['roots/4/extra.json5'],
  );
});

test('legacy agents.list names workspaces too, and a configuration that is a link is kept with its target', async (t) => {
  const dir = makeFolder();
  for (const name of ['state', 'one', 'dotfiles']) mkdirSync(join(dir, name));
  writeFileSync(
    join(dir, 'dotfiles/oc.json'),
    JSON.stringify({ agents: { list: [{ id: 'x', workspace: join(dir, 'one') }] } }),
  );
  symlinkSync('../dotfiles/oc.json', join(dir, 'state/openclaw.json'));
  const roots = await openclaw.findRoots(join(dir, 'state'), { home });
  t.deepEqual(
    roots.map((root) => [root.key, root.dir.slice(dir.length), root.reason]),
    [
      ['state', '/state', 'the state folder'],
      ['roots/1', '/one', 'the workspace of agent x'],
      ['roots/2', '/dotfiles', 'the configuration'],
    ],
  );
});

test('a root keeps its number, and a number that fell free is not given away in the next commit', async (t) => {
  const dir = makeFolder();
  for (const name of ['state', 'a', 'b', 'c']) mkdirSync(join(dir, name));
  const find = async (names: string[], earlier: Parameters<typeof openclaw.findRoots>[1]['earlier'] = []) => {
    writeConfig(join(dir, 'state'), {
      agents: { entries: Object.fromEntries(names.map((name) => [name, { workspace: join(dir, name) }])) },
    });
    return openclaw.findRoots(join(dir, 'state'), { home, earlier });
  };
  const named = (roots: { key: string; dir: string }[]) =>
    roots.slice(1).map((root) => root.key + root.dir.slice(dir.length));
  const first = await find(['a', 'b']);
  t.deepEqual(named(first), ['roots/1/a', 'roots/2/b']);
  const second = await find(['b', 'c'], first);
  t.deepEqual(named(second), ['roots/2/b', 'roots/3/c']);
  const third = await find(
    ['a', 'b', 'c'],
    second.map(({ key, dir: folder }) => ({ key, dir: folder })),
  );
  t.deepEqual(named(third), ['roots/1/a', 'roots/2/b', 'roots/3/c']);
});

test('while the configuration is half-written, earlier roots stay, and a root whose folder is gone is reported', async (t) => {
  const dir = makeFolder();
  for (const name of ['state', 'a']) mkdirSync(join(dir, name));
  writeConfig(join(dir, 'state'), { agents: { defaults: { workspace: join(dir, 'a') } } });
  const first = await openclaw.findRoots(join(dir, 'state'), { home });
  writeFileSync(join(dir, 'state/openclaw.json'), '{"agents": {"defau');
  const torn = await openclaw.findRoots(join(dir, 'state'), { home, earlier: first });
  t.deepEqual(
    torn.map(({ key, dir: folder, areas }) => ({ key, folder, areas })),
    first.map(({ key, dir: folder, areas }) => ({ key, folder, areas })),
  );
  writeConfig(join(dir, 'state'), { agents: { defaults: { workspace: join(dir, 'a') } } });
  rmSync(join(dir, 'a'), { recursive: true });
  const gone = await openclaw.findRoots(join(dir, 'state'), { home, earlier: first });
  t.deepEqual(
    gone.map((root) => root.key),
    ['state', 'roots/1'],
  );
  t.deepEqual(scanRoots(openclaw, gone).skipped, [
    { path: 'roots/1', reason: `the default workspace, "${join(dir, 'a')}", is not there`, kept: false },
  ]);
});

test('a workspace that holds the state folder does not capture it twice', async (t) => {
  const dir = makeFolder();
  mkdirSync(join(dir, 'home/.openclaw'), { recursive: true });
  writeFileSync(join(dir, 'home/notes.md'), 'n');
  writeConfig(join(dir, 'home/.openclaw'), { agents: { defaults: { workspace: '~' } } });
  const roots = await openclaw.findRoots(join(dir, 'home/.openclaw'), { home: join(dir, 'home') });
  t.deepEqual(
    scanRoots(openclaw, roots).entries.map((entry) => entry.path),
    ['roots/1', 'roots/1/notes.md', 'state', 'state/openclaw.json'],
  );
});

test('a missing state folder and a workspace of "/" are refused', async (t) => {
  const dir = realpathSync(makeFolder());
  await t.throwsAsync(openclaw.findRoots(join(dir, 'none'), { home }), {
    code: 'NOT_FOUND',
    message: /state folder ".*none"/,
  });
  writeConfig(dir, { agents: { defaults: { workspace: '/' } } });
  await t.throwsAsync(openclaw.findRoots(dir, { home }), {
    code: 'USAGE',
    message: 'the default workspace is "/", the whole file system',
  });
});

test('includes that name each other come to an end', async (t) => {
  const dir = makeFolder();
  mkdirSync(join(dir, 'state'));
  mkdirSync(join(dir, 'ws'));
  writeConfig(join(dir, 'state'), {
    $include: ['./b.json', './missing.json'],
    agents: { defaults: { workspace: '../ws' } },
  });
  writeFileSync(join(dir, 'state/b.json'), '{"$include": "./openclaw.json"}');
  t.deepEqual(
    (await openclaw.findRoots(join(dir, 'state'), { home })).map((root) => root.key),
    ['state', 'roots/1'],
  );
});
