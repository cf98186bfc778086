// An agent that is a pod goes back in place: beside itself where that can be, stopped first where it can't, and begun anew where its
// folder is gone.

import { copyFileSync, existsSync, linkSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { CommitId } from '../../src/model/ids.ts';
import { walkHistory } from '../../src/ops/ancestry.ts';
import { Home } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { getPod } from '../../src/ops/pod-look.ts';
import { listPods, stopPod } from '../../src/ops/pods.ts';
import { planAgent } from '../../src/ops/restore-agent.ts';
import { askNotes, commitOf, deleteState, killPod, makePodded, readNotes, tellNote, tipOf, yes } from './podded.ts';
import { expectBack, killedAt, listSafeties, makeCopy, notesOf, restoreIt, undoIt } from './podded-copy.ts';

test('a pod goes back beside itself, and forth, and who asks it meanwhile is answered', async (t) => {
  const { context, endpoint, home, agent } = await makeCopy(t);
  const asker = { isOver: false };
  let refused = 0;
  let asked = 0;
  const asking = (async () => {
    while (!asker.isOver) {
      // By a connection that is kept, as a browser's is.
      await fetch(`${endpoint}/notes`).then(
        async (answer) => answer.arrayBuffer(),
        () => (refused += 1),
      );
      asked += 1;
    }
  })();
  const done = await restoreIt(context, 'copy', 'HEAD');
  asker.isOver = true;
  await asking;
  t.true(asked > 0 && refused <= 1, `${refused} of ${asked} were refused`);
  t.like(done, { switch: 'beside', problems: [], pod: { generation: 2, healthy: true, endpoint } });
  t.deepEqual(await askNotes(endpoint), ['one', 'two']);
  t.is((await agent('copy')).stateDir, join(home, 'pods/copy/gen-2/state'));
  t.false(existsSync(join(home, 'pods/copy/gen-1')));
  t.like(await undoIt(context, 'copy'), { switch: 'beside' });
  t.deepEqual(await askNotes(endpoint), ['one', 'two', 'three']);
});

test('a plan says which way it would be, and changes nothing', async (t) => {
  const { context, endpoint } = await makeCopy(t);
  const open = await openAgent(context, 'copy');
  t.teardown(() => open[Symbol.asyncDispose]());
  const tip = tipOf(open, 'copy') as CommitId;
  t.like(await planAgent(context, open, tip), { switch: 'beside', safety: undefined });
  t.like(await planAgent(context, open, tip, { components: ['custom'] }), { switch: 'stop-first' });
  t.deepEqual(await askNotes(endpoint), ['one', 'two', 'three']);
  await stopPod(context, await getPod(context, 'copy'));
  t.is((await planAgent(context, open, tip)).switch, undefined);
});

test('a pod whose ports molt does not own is stopped first, and only as long as it takes', async (t) => {
  const { context, endpoint } = await makeCopy(t, { front: false });
  const done = await restoreIt(context, 'copy', 'HEAD');
  t.like(done, { lifecycle: { stopped: true, started: true }, pod: { generation: 1, healthy: true } });
  t.deepEqual(
    done.phases.map(({ name }) => name),
    ['stage while it runs', 'stop', 'save', 'stage', 'switch', 'start', 'health check'],
  );
  t.deepEqual(await askNotes(endpoint), ['one', 'two']);
  await undoIt(context, 'copy');
  t.deepEqual(await askNotes(endpoint), ['one', 'two', 'three']);
});

test('a pod that is stopped stays so', async (t) => {
  const { context, agent } = await makeCopy(t);
  await stopPod(context, await getPod(context, 'copy'));
  const done = await restoreIt(context, 'copy', 'HEAD');
  t.is(done.lifecycle, undefined);
  t.like((await listPods(context))[0], { state: 'stopped' });
  t.deepEqual(readNotes((await agent('copy')).stateDir), ['one', 'two']);
});

test('a restore that is cut off right after its switch is followed by commits, and finished by the next', async (t) => {
  const { context, endpoint, home } = await makeCopy(t);
  class Dying extends Home {
    override async updateAgent(): Promise<void> {
      throw new Error('killed');
    }
  }
  const dying = { ...context, home: new Dying(home) };
  await t.throwsAsync(restoreIt(dying, 'copy', 'HEAD'), { message: 'killed' });
  t.deepEqual(await askNotes(endpoint), ['one', 'two']);
  await tellNote(endpoint, 'of the second generation');
  const saved = await commitOf(context, 'copy');
  const done = await restoreIt(context, 'copy', saved);
  t.like(done, { switch: 'beside', pod: { generation: 3 } });
  t.deepEqual(await askNotes(endpoint), ['one', 'two', 'of the second generation']);
  t.false(existsSync(join(home, 'pods/copy/gen-1')));
  await using open = await openAgent(context, 'copy');
  const kinds: string[] = [];
  for await (const { text } of walkHistory(open.repository, tipOf(open, 'copy') as CommitId)) kinds.push(text.kind);
  t.true(kinds.filter((kind) => kind === 'safety').length >= 2, kinds.join(' '));
});

test('a restore that is killed while what is saved of the former files goes does not save half of them', async (t) => {
  const copy = await makeCopy(t);
  const { stateDir } = await copy.agent('copy');
  t.true(killedAt(copy.home, 'in-place', 'copy', copy.wanted, join(copy.home, 'restores/copy.json')));
  // Where it was killed all of them are there, and the next thing would have been to remove them.
  t.deepEqual(readNotes(stateDir), ['one', 'two', 'three']);
  for (const name of readdirSync(stateDir)) if (name.startsWith('notes.db')) rmSync(join(stateDir, name));
  const before = await listSafeties(copy);
  t.is(before.length, 1);
  await restoreIt(copy.context, 'copy', copy.wanted);
  await expectBack(t, copy);
  t.false(existsSync(dirname(stateDir)));
  for (const id of await listSafeties(copy)) t.true((await notesOf(copy, id)).includes('one'), id);
});

test('what a pod had before, and can’t be saved whole, stays where it is, and that is said', async (t) => {
  const copy = await makeCopy(t);
  const { stateDir } = await copy.agent('copy');
  // A database with two names, and a log at each: which one is right, nobody knows.
  copyFileSync(join(stateDir, 'notes.db'), join(stateDir, 'broken.db'));
  linkSync(join(stateDir, 'broken.db'), join(stateDir, 'other.db'));
  for (const name of ['broken', 'other']) writeFileSync(join(stateDir, `${name}.db-wal`), Buffer.alloc(5000, 1));
  const warnings: string[] = [];
  const reporter = { ...copy.context.reporter, warn: (text: string) => void warnings.push(text) };
  const done = await restoreIt({ ...copy.context, reporter }, 'copy', copy.wanted);
  t.like(done, { switch: 'beside', safety: undefined, kept: dirname(stateDir), pod: { generation: 2, healthy: true } });
  t.true(
    warnings.some((text) => text.includes('broken.db') && text.endsWith(`all of it stays in ${dirname(stateDir)}`)),
    warnings.join('\n'),
  );
  t.deepEqual(readNotes(stateDir), ['one', 'two', 'three']);
  t.deepEqual(await askNotes(copy.endpoint), ['one', 'two']);
  t.like(await restoreIt(copy.context, 'copy', copy.wanted), { switch: 'beside', pod: { generation: 3 } });
  t.true(existsSync(stateDir));
});

test('an agent whose folder is gone comes back as a pod, unless nobody agrees to what it runs', async (t) => {
  const machine = await makePodded(t);
  const { context, stateDir } = machine;
  const own = await machine.agent();
  killPod(t, context, 'bot');
  deleteState(stateDir);
  await context.home.updateAgent({ ...own, pod: undefined });
  const refused = restoreIt(context, 'bot', undefined, { ask: async () => false });
  await t.throwsAsync(refused, { code: 'INTERRUPTED' });
  t.false(existsSync(join(stateDir, 'notes.db')));
  const done = await restoreIt(context, 'bot', undefined, { ask: yes });
  t.like(done, { lifecycle: { stopped: false, started: true }, problems: [] });
  t.deepEqual(await askNotes(done.pod?.endpoint), ['one']);
  t.is(done.pod?.dir, stateDir);
});

test('an agent whose folder is gone comes back also where its program is not there, and is told why it was not started', async (t) => {
  const machine = await makePodded(t, { command: ['no-such-agent-at-all'] });
  deleteState(machine.stateDir);
  const done = await restoreIt(machine.context, 'bot', undefined, { ask: yes });
  t.regex(done.unstarted ?? '', /no-such-agent-at-all/);
  t.deepEqual(readNotes(machine.stateDir), ['one']);
  t.deepEqual(await listPods(machine.context), []);
});
