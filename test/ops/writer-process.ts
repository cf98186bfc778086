// A process that changes files of a live agent without pause, in the way that its first argument names; the second is the folder.
// Whatever it writes proves by itself whether it is whole (writers.ts checks it). Its parent is told `writing` once it has begun;
// any message ends it.

import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [job = '', dir = ''] = process.argv.slice(2);
const jobs: Record<string, () => (round: number) => void> = { append, replace, rename, churn, overwrite };
const PAUSE_MS = 1;
const FIRST_ROUNDS = 5;

const start = jobs[job];
if (start === undefined) throw new Error(`no job ${job}`);
mkdirSync(dir, { recursive: true });
const step = start();
let stopped = false;
let round = 0;
process.on('message', () => (stopped = true));
process.on('disconnect', () => process.exit());
next();

function next(): void {
  if (stopped) process.exit();
  round += 1;
  step(round);
  if (round === FIRST_ROUNDS) process.send?.('writing');
  setTimeout(next, PAUSE_MS);
}

/** Returns a text whose first line is the SHA-256 of the rest. */
function signed(name: string, length: number): string {
  const body = `${name}\n`.repeat(Math.ceil(length / (name.length + 1)));
  return `${createHash('sha256').update(body).digest('hex')}\n${body}`;
}

/** Appends lines of JSON in two writes each, and begins a new file now and then; old ones are renamed, then deleted. */
function append(): (round: number) => void {
  const path = join(dir, 'session.jsonl');
  const linesPerFile = 3000;
  let fd = openSync(path, 'a');
  return (at) => {
    for (let line = 0; line < 10; line += 1) {
      const text = `${JSON.stringify({ seq: (at - 1) * 10 + line, text: 'x'.repeat((at * 37 + line) % 500) })}\n`;
      const middle = text.length >> 1;
      writeSync(fd, text.slice(0, middle));
      writeSync(fd, text.slice(middle));
    }
    const file = Math.floor((at * 10) / linesPerFile);
    if ((at * 10) % linesPerFile !== 0) return;
    closeSync(fd);
    renameSync(path, join(dir, `session-${file}.jsonl`));
    rmSync(join(dir, `session-${file - 2}.jsonl`), { force: true });
    fd = openSync(path, 'a');
  };
}

/** Replaces files as careful programs do: a temporary file, renamed over the old one. */
function replace(): (round: number) => void {
  return (at) => {
    const path = join(dir, `settings-${at % 8}.json`);
    writeFileSync(`${path}.new`, signed(`settings ${at}`, 2000 + (at % 5) * 40_000));
    renameSync(`${path}.new`, path);
  };
}

/** Moves files from one folder to another and back. */
function rename(): (round: number) => void {
  const folders = ['inbox', 'archive'];
  for (const folder of folders) mkdirSync(join(dir, folder), { recursive: true });
  for (let note = 0; note < 40; note += 1) {
    writeFileSync(join(dir, 'inbox', `note-${note}.md`), signed(`note ${note}`, 500 + note * 100));
  }
  return (at) => {
    const [from = '', to = ''] = at % 80 < 40 ? folders : folders.toReversed();
    for (const name of readdirSync(join(dir, from)).slice(0, 2)) {
      renameSync(join(dir, from, name), join(dir, to, name));
    }
  };
}

/** Makes folders with files in them and deletes them again. */
function churn(): (round: number) => void {
  return (at) => {
    const folder = join(dir, `job-${at}`, 'output');
    mkdirSync(folder, { recursive: true });
    for (let file = 0; file < 5; file += 1) writeFileSync(join(folder, `part-${file}.txt`), signed(`part ${at}`, 3000));
    rmSync(join(dir, `job-${at - 10}`), { recursive: true, force: true });
  };
}

/** Writes over a file in place, piece after piece, each full of the same number, and rests before it begins with the next one. */
function overwrite(): (round: number) => void {
  const fd = openSync(join(dir, 'image.bin'), 'w');
  const pieces = 64;
  const pieceBytes = 64 * 1024;
  const restRounds = 100;
  return (at) => {
    const turn = (at - 1) % (pieces + restRounds);
    const number = Math.floor((at - 1) / (pieces + restRounds)) % 256;
    if (turn < pieces) writeSync(fd, Buffer.alloc(pieceBytes, number), 0, pieceBytes, turn * pieceBytes);
  };
}
