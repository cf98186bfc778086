// Holds the lock of the agent `it` until it is killed or its input ends: `lock-process.ts HOME commit|restore`.

import { once } from 'node:events';
import { lockAgent } from '../../src/ops/agent-lock.ts';
import { Home } from '../../src/ops/home.ts';

const [dir = '', act = ''] = process.argv.slice(2);
const home = new Home(dir);
const agent = await home.findAgent('it');
if (agent === undefined) throw new Error('there is no agent "it"');
using _ = lockAgent(home, agent, act === 'commit' ? 'commit' : 'restore');
console.log('locked');
process.stdin.resume();
await once(process.stdin, 'end');
