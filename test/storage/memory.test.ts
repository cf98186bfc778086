// The memory storage: the contract, and the clock that its times come from.

import test from 'ava';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { storageContract } from './contract.ts';

storageContract(test, 'memory', async () => {
  const storage = new MemoryStorage({ now: () => Date.UTC(2026, 2, 5) });
  return async () => storage;
});

test('an object’s time is the clock’s when it was written', async (t) => {
  let nowMs = 1_000;
  const storage = new MemoryStorage({ now: () => nowMs });
  await storage.createOnce('a', []);
  nowMs = 2_000;
  await storage.createOnce('b', []);
  t.is((await storage.stat('a'))?.modifiedMs, 1_000);
  t.is((await storage.stat('b'))?.modifiedMs, 2_000);
});
