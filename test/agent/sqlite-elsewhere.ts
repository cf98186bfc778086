// A process that captures a database where, or as whom, the test itself can't: writes its bytes to a file and says how they were
// read. Arguments: the agent's folder, a folder for temporary files, the file, and a user's number to become.

import { writeFileSync } from 'node:fs';
import { captureFile } from '../../src/agent/capture.ts';
import { getProfile } from '../../src/agent/profile.ts';
import { MemoryBlobs, captureContext, getCaptured, getEntry, scanRoots } from './support.ts';

const [dir = '', temp = '', target = '', uid] = process.argv.slice(2);
const blobs = new MemoryBlobs();
if (uid !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
}
const generic = getProfile('generic');
const entry = getEntry(scanRoots(generic, await generic.findRoots(dir, { home: '/nowhere' })), 'state/memory.sqlite');
const outcome = getCaptured(await captureFile(entry, blobs.open, captureContext(temp)));
writeFileSync(target, blobs.get(outcome.id));
process.stdout.write(String(outcome.method));
