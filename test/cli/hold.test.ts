// molt hold, as a user's shell sees it.

import test from 'ava';
import { makeAgentMachine } from './agent.ts';

test('hold add, list and remove say what is kept and why', async (t) => {
  const { text, json, run } = await makeAgentMachine(t, { 'MEMORY.md': 'tea: green\n' });
  const none = await run(['hold', 'list']);
  t.like(none, { status: 0, stdout: '', stderr: 'nothing is held\n' });
  const { id } = await json(['backup', 'create', '--name', 'audit']);
  const short = id.slice(0, 10);
  t.regex(
    await text(['hold', 'add', 'audit', '-m', 'for the\nauditors']),
    new RegExp(`^${short} of .* is held from now on\n$`),
  );
  t.regex(await text(['hold', 'add', 'bot', 'audit']), new RegExp(`^${short} of .* is held already\n$`));
  t.regex(await text(['hold', 'list']), new RegExp(`^${short} +\\S+Z.* manual +for the auditors\n$`));
  t.like(await json(['hold', 'list', 'bot']), [
    { commit: id, kind: 'manual', reason: 'for the\nauditors', setBy: 'person' },
  ]);
  t.regex(await text(['hold', 'remove', short]), new RegExp(`^${short} of .* is not held any longer\n$`));
  const again = await run(['hold', 'remove', short]);
  t.is(again.status, 1);
  t.regex(again.stderr, /is not held: nothing keeps .*\nhint: molt hold list shows what is held\n$/);
});
