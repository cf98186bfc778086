// Restores an agent in place and waits before each step until it gets a line: `restore-paused-process.ts HOME LABEL COMMIT`.

import { readSync, writeSync } from 'node:fs';
import { Home } from '../../src/ops/home.ts';
import { openAgent } from '../../src/ops/open.ts';
import { resolveRevision } from '../../src/ops/revision.ts';
import { restoreAgent } from '../../src/ops/restore-agent.ts';
import { contextIn } from './machine.ts';
import { stepping } from './steps.ts';

const [dir = '', label = '', commit = ''] = process.argv.slice(2);
let isUnderWay = false;
const { context } = stepping({ ...contextIn(dir), home: new Home(dir) }, (step, what) => {
  if (!isUnderWay) return;
  writeSync(1, `${step} ${what}\n`);
  readSync(0, Buffer.alloc(1));
});
await using open = await openAgent(context, label);
const wanted = await resolveRevision(context, open, commit);
isUnderWay = true;
await restoreAgent(context, open, wanted);
isUnderWay = false;
