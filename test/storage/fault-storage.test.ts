// The fault storage is what crash tests stand on, so it is tested itself.

import test from 'ava';
import { isMoltError } from '../../src/model/error.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { listed, storageContract } from './contract.ts';
import { FaultStorage, ProcessDeath } from './fault-storage.ts';

const bytes = [Buffer.from('x')];

function memory(): MemoryStorage {
  return new MemoryStorage({ now: () => Date.UTC(2026, 2, 5) });
}

storageContract(test, 'fault storage without a fault', async () => {
  const storage = memory();
  return async () => new FaultStorage(storage);
});

test('operations are recorded in order, whether or not they find anything', async (t) => {
  const storage = new FaultStorage(memory());
  await storage.createOnce('a', bytes);
  await storage.read('b');
  await storage.stat('a');
  await listed(storage, 'a');
  await storage.delete('a');
  await storage.close();
  t.deepEqual(storage.operations, ['createOnce a', 'read b', 'stat a', 'list a', 'delete a']);
  t.false(storage.struck);
});

test('an error before the operation leaves nothing written, and the next one works', async (t) => {
  const inner = memory();
  const storage = new FaultStorage(inner);
  storage.failAt(2, 'error');
  t.true(await storage.createOnce('a', bytes));
  t.false(storage.struck);
  const error = await t.throwsAsync(storage.createOnce('b', bytes));
  t.true(isMoltError(error, 'IO'));
  t.true(storage.struck);
  t.true(await storage.createOnce('c', bytes));
  t.deepEqual(await listed(inner, ''), ['a', 'c']);
});

test('a lost answer is an error after the object was written', async (t) => {
  const inner = memory();
  const storage = new FaultStorage(inner);
  storage.failAt(1, 'lost-answer');
  const error = await t.throwsAsync(storage.createOnce('a', bytes));
  t.true(isMoltError(error, 'IO'));
  t.deepEqual(await listed(inner, ''), ['a']);
  t.false(await storage.createOnce('a', bytes));
});

test('after its death a process writes, reads and lists nothing more', async (t) => {
  const inner = memory();
  const storage = new FaultStorage(inner);
  storage.failAt(2, 'death');
  await storage.createOnce('a', bytes);
  const later = [
    () => storage.createOnce('b', bytes),
    () => storage.createOnce('c', bytes),
    () => storage.read('a'),
    () => storage.stat('a'),
    () => listed(storage, ''),
    () => storage.delete('a'),
  ];
  for (const call of later) await t.throwsAsync(call(), { instanceOf: ProcessDeath });
  await t.notThrowsAsync(storage.close());
  t.deepEqual(await listed(inner, ''), ['a']);
});

test('what is in flight when the process dies happens, but gives no answer', async (t) => {
  const inner = memory();
  const storage = new FaultStorage(inner);
  storage.failAt(2, 'death');
  const first = storage.createOnce('a', bytes);
  const second = storage.createOnce('b', bytes);
  const outcomes = await Promise.allSettled([first, second]);
  t.true(outcomes.every((outcome) => outcome.status === 'rejected' && outcome.reason instanceof ProcessDeath));
  t.deepEqual(await listed(inner, ''), ['a']);
});

test('a failing list fails when its first object is asked for', async (t) => {
  const storage = new FaultStorage(memory());
  storage.failAt(1, 'error');
  const objects = storage.list('');
  t.deepEqual(storage.operations, []);
  const error = await t.throwsAsync(objects.next());
  t.true(isMoltError(error, 'IO'));
});
