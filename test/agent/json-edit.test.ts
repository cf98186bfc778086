// Changes of single values in JSON and JSON5: what a person wrote around them stays.

import test from 'ava';
import fc from 'fast-check';
import { editJson, setAt, valueAt } from '../../src/agent/json-edit.ts';
import { parseJson } from '../../src/agent/parse-json.ts';

const COMMENTED = `// mine
{
  // the gateway
  gateway: { port: 18789, auth: { 'token': 'old', }, },
  "list": [1, /* two */ 2, "{ port: 1 }"],
}
`;

test('a value is replaced, and comments, quotes and commas stay', async (t) => {
  const edited = await editJson(COMMENTED, [
    { path: ['gateway', 'port'], value: 18801 },
    { path: ['gateway', 'auth', 'token'], value: 'new "quoted"' },
    { path: ['list', '1'], value: 3 },
  ]);
  t.is(
    edited,
    COMMENTED.replace('18789', '18801').replace("'old'", '"new \\"quoted\\""').replace('/* two */ 2', '/* two */ 3'),
  );
});

test('what is missing is put in, with the objects that it needs', async (t) => {
  const edited = await editJson(COMMENTED, [{ path: ['a', 'b', 'c'], value: true }]);
  t.true(edited.startsWith('// mine\n{'));
  t.true(edited.includes('// the gateway'));
  t.deepEqual(valueAt(await parseJson(edited), ['a', 'b']), { c: true });
  t.is(await editJson('{}', [{ path: ['port'], value: 1 }]), '{ "port": 1 }');
});

test('a text that is not understood piece by piece is written anew, and means the same', async (t) => {
  const edited = await editJson('{ "po\\u0072t": 1, keep: "x" } // end', [{ path: ['port'], value: 2 }]);
  t.deepEqual(JSON.parse(edited), { port: 2, keep: 'x' });
});

test('whatever is edited, nothing else changes', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.jsonValue({ maxDepth: 4 }),
      fc.array(fc.string(), { minLength: 1, maxLength: 3 }),
      fc.jsonValue({ maxDepth: 1 }),
      fc.integer({ min: 0, max: 4 }),
      async (content, path, value, indent) => {
        const text = JSON.stringify(content, undefined, indent);
        const wanted: unknown = JSON.parse(text);
        if (!setAt(wanted, { path, value })) return;
        const got = await parseJson(await editJson(text, [{ path, value }]));
        t.deepEqual(got, JSON.parse(JSON.stringify(wanted)));
      },
    ),
    { numRuns: 300 },
  );
});
