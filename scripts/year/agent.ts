// A small agent that works all day: memory in Markdown, transcripts that grow and rotate, a database with some pages changed at each
// tick, configuration. Everything from a seed; some 4 MB, which stay that.

import { appendFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { seeded } from '../campaign/campaign.ts';

const TRANSCRIPTS = 8;
const TRANSCRIPT_BYTES = 250_000;
const NOTES = 30;
const NOTE_LINES = 60;
const ROWS = 900;

/** The files of an agent, and how they change. */
export class YearAgent {
  readonly #dir: string;
  readonly #random: () => number;
  readonly #database: DatabaseSync;
  readonly #notes = new Map<number, string[]>();
  #transcript = 0;
  #row = 0;

  /** Makes the files in a folder, transcripts and notes as if it had worked for long. */
  constructor(dir: string, seed: string) {
    this.#dir = dir;
    this.#random = seeded(`${seed} agent`);
    for (const folder of ['memory', 'sessions', 'skills']) mkdirSync(join(dir, folder), { recursive: true });
    for (let skill = 0; skill < 20; skill += 1) this.#write(`skills/${skill}.md`, this.#lines(12));
    this.#write('config.json', '{"model":"m","heartbeat":0}\n');
    this.#write('MEMORY.md', this.#lines(200));
    for (let note = 0; note < NOTES; note += 1) {
      this.#notes.set(note, this.#lines(NOTE_LINES).split('\n'));
      this.#write(`memory/${note}.md`, this.#lines(NOTE_LINES));
    }
    for (; this.#transcript < TRANSCRIPTS; this.#transcript += 1)
      this.#write(`sessions/${this.#transcript}.jsonl`, this.#talk(TRANSCRIPT_BYTES));
    this.#database = new DatabaseSync(join(dir, 'memory.sqlite'));
    this.#database.exec('CREATE TABLE chunks (id INTEGER PRIMARY KEY, text TEXT, embedding BLOB)');
    this.#database.exec('BEGIN');
    for (let row = 0; row < ROWS; row += 1) this.#insert();
    this.#database.exec('COMMIT');
  }

  /** Works for a tick. */
  work(tick: number): void {
    const path = join(this.#dir, `sessions/${this.#transcript}.jsonl`);
    appendFileSync(path, this.#talk(500 + this.#random() * 1500));
    if (statSync(path).size > TRANSCRIPT_BYTES) {
      this.#transcript += 1;
      rmSync(join(this.#dir, `sessions/${this.#transcript - TRANSCRIPTS - 1}.jsonl`), { force: true });
    }
    this.#database.exec('BEGIN');
    for (let count = 0; count < 2; count += 1) {
      const row = this.#row - Math.floor(this.#random() * ROWS);
      this.#database.prepare('UPDATE chunks SET text = ? WHERE id = ?').run(this.#lines(3), row);
    }
    this.#insert();
    this.#database.prepare('DELETE FROM chunks WHERE id <= ?').run(this.#row - ROWS);
    this.#database.exec('COMMIT');
    if (tick % 6 === 0) this.#note(Math.floor(this.#random() * NOTES));
    if (tick % 96 === 0) this.#write('config.json', `{"model":"m","heartbeat":${tick}}\n`);
  }

  close(): void {
    this.#database.close();
  }

  #note(number: number): void {
    const lines = this.#notes.get(number) ?? [];
    lines.push(this.#line());
    if (lines.length > NOTE_LINES * 1.3) lines.splice(0, NOTE_LINES * 0.3);
    this.#notes.set(number, lines);
    this.#write(`memory/${number}.md`, `${lines.join('\n')}\n`);
  }

  #insert(): void {
    this.#row += 1;
    const embedding = new Float32Array(256).map(() => this.#random() * 2 - 1);
    const insert = this.#database.prepare('INSERT INTO chunks VALUES (?, ?, ?)');
    insert.run(this.#row, this.#lines(3), new Uint8Array(embedding.buffer));
  }

  #talk(bytes: number): string {
    let text = '';
    while (text.length < bytes) text += `${JSON.stringify({ role: 'user', text: this.#lines(3) })}\n`;
    return text;
  }

  #lines(count: number): string {
    return Array.from({ length: count }, () => this.#line()).join('\n');
  }

  #line(): string {
    const word = (): string => Math.floor(this.#random() * 4000).toString(36);
    return Array.from({ length: 8 + Math.floor(this.#random() * 10) }, word).join(' ');
  }

  #write(file: string, text: string): void {
    writeFileSync(join(this.#dir, file), text);
  }
}
