// The values that a pod wants in files of its state folder.

import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { genericProfile } from '../../src/agent/generic.ts';
import type { Binding } from '../../src/agent/revival.ts';
import { tempFolders } from './support.ts';

const tempFolder = tempFolders(test);

function makeState(files: Readonly<Record<string, string>>): string {
  const dir = join(tempFolder(), 'state');
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

function bind(dir: string, ...bindings: readonly Binding[]) {
  const from = new Map([['state', '/home/agent/state']]);
  return genericProfile.rebind({ from, to: new Map([['state', dir]]), ports: {}, bindings });
}

test('values are set in JSON, JSON5 and YAML, whose comments and modes stay', async (t) => {
  const dir = makeState({
    'a.json': '{"port": 1, "other": [1, 2]}\n',
    'b.json5': '{ /* mine */ deep: { dir: "/old" } }',
    'c.yaml': '# mine\nserver:\n  port: 1 # the port\n',
  });
  chmodSync(join(dir, 'a.json'), 0o640);
  const bindings = [
    { file: 'a.json', path: 'port', value: '4711' },
    { file: 'b.json5', path: 'deep.dir', value: dir },
    { file: 'c.yaml', path: 'server.port', value: 4711 },
  ];
  t.deepEqual(
    (await bind(dir, ...bindings)).map(({ path, what }) => `${path} ${what}`),
    ['state/a.json port', 'state/b.json5 deep.dir', 'state/c.yaml server.port'],
  );
  // A number stays a number, although it was filled into a text.
  t.is(readFileSync(join(dir, 'a.json'), 'utf8'), '{"port": 4711, "other": [1, 2]}\n');
  t.is(readFileSync(join(dir, 'b.json5'), 'utf8'), `{ /* mine */ deep: { dir: ${JSON.stringify(dir)} } }`);
  t.is(readFileSync(join(dir, 'c.yaml'), 'utf8'), '# mine\nserver:\n  port: 4711 # the port\n');
  t.is(statSync(join(dir, 'a.json')).mode & 0o777, 0o640);
  t.deepEqual(await bind(dir, ...bindings), [], 'again: nothing is written');
});

const refused = test.macro<[Partial<Binding>, { code: string; message: RegExp }]>(async (t, binding, error) => {
  const dir = makeState({ 'a.json': '{"port": 1}', 'bad.json': 'secret-word {', 'bad.yml': 'a: [secret-word' });
  writeFileSync(join(dir, '..', 'outside.json'), '{"port": 1}');
  symlinkSync('../outside.json', join(dir, 'link.json'));
  symlinkSync('..', join(dir, 'up'));
  const thrown = await t.throwsAsync(bind(dir, { file: 'a.json', path: 'port', value: 2, ...binding }), error);
  t.notRegex(thrown?.message ?? '', /secret-word/);
  t.is(readFileSync(join(dir, '..', 'outside.json'), 'utf8'), '{"port": 1}');
  t.is(readFileSync(join(dir, 'a.json'), 'utf8'), '{"port": 1}');
});

test(
  'a path that climbs is refused',
  refused,
  { file: '../outside.json' },
  { code: 'HOSTILE', message: /no path inside/ },
);
test('an absolute path is refused', refused, { file: '/etc/x.json' }, { code: 'HOSTILE', message: /no path inside/ });
test(
  'a link out of the state folder is refused',
  refused,
  { file: 'link.json' },
  { code: 'HOSTILE', message: /leads out/ },
);
test(
  'a folder that is a link out is refused',
  refused,
  { file: 'up/outside.json' },
  { code: 'HOSTILE', message: /leads out/ },
);
test('a file that is not there is named', refused, { file: 'none.json' }, { code: 'USAGE', message: /"none\.json"/ });
test('a file of another kind is refused', refused, { file: 'a.toml' }, { code: 'USAGE', message: /neither/ });
test('a place that can’t be is refused', refused, { path: 'port.deeper' }, { code: 'USAGE', message: /port\.deeper/ });
test('a name that is none is refused', refused, { path: 'a..b' }, { code: 'USAGE', message: /"path"/ });
test('a prototype is refused', refused, { path: '__proto__.x' }, { code: 'USAGE', message: /"path"/ });
test('a damaged JSON is told without its text', refused, { file: 'bad.json' }, { code: 'DAMAGED', message: /no JSON/ });
test('a damaged YAML is told without its text', refused, { file: 'bad.yml' }, { code: 'DAMAGED', message: /no YAML/ });
