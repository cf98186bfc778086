// Makes a deterministic agent for measuring: about half SQLite with text and float32 embeddings, 40% JSONL transcripts, the rest
// media and many small files; and plays busy five-minute ticks on it, as its own process would, with its databases held open.

import { createCipheriv, createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** How large an agent is. */
export interface AgentShape {
  readonly files: number;
  readonly memoryRows: number;
  readonly sessionRows: number;
  readonly transcripts: number;
  readonly transcriptBytes: number;
  readonly mediaFiles: number;
  readonly mediaBytes: number;
}

/** The three sizes that the figures are given for. */
export const SHAPES: Readonly<Record<string, AgentShape>> = {
  '2.5MB': {
    files: 120,
    memoryRows: 120,
    sessionRows: 100,
    transcripts: 10,
    transcriptBytes: 90_000,
    mediaFiles: 2,
    mediaBytes: 60_000,
  },
  '55MB': {
    files: 700,
    memoryRows: 2600,
    sessionRows: 1500,
    transcripts: 60,
    transcriptBytes: 360_000,
    mediaFiles: 12,
    mediaBytes: 400_000,
  },
  '480MB': {
    files: 2800,
    memoryRows: 24_000,
    sessionRows: 14_000,
    transcripts: 400,
    transcriptBytes: 475_000,
    mediaFiles: 60,
    mediaBytes: 700_000,
  },
};

const WORDS = (
  'tea kettle garden memory release ticket customer meeting budget travel sensor deploy latency index schema orchid ' +
  'invoice harbour signal planning research summary question answer customer review pipeline database context window token model ' +
  'yesterday tomorrow because however between without morning evening update remember prefer always never maybe please thanks'
).split(' ');

/** A stream of deterministic bytes: AES-256-CTR under the seed's hash. */
export class Seeded {
  readonly #cipher;

  constructor(seed: string) {
    this.#cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  }

  bytes(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }

  below(limit: number): number {
    return this.bytes(4).readUInt32LE() % limit;
  }

  text(lengthBytes: number): string {
    const picks = this.bytes(Math.ceil(lengthBytes / 4));
    const words: string[] = [];
    let length = 0;
    for (const pick of picks) {
      if (length >= lengthBytes) break;
      const word = pick % 11 === 0 ? pick.toString(36) + length.toString(36) : (WORDS[pick % WORDS.length] ?? 'tea');
      words.push(word);
      length += word.length + 1;
    }
    return words.join(' ');
  }

  /** A unit-length vector of float32 as embeddings have it. */
  embedding(dimensions: number): Buffer {
    const raw = this.bytes(dimensions * 2);
    const vector = Float32Array.from({ length: dimensions }, (_, at) => (raw.readInt16LE(at * 2) / 32768) * 0.05);
    return Buffer.from(vector.buffer);
  }
}

/** An agent on the disk whose databases are open, so that it can be played on. */
export class BenchAgent {
  readonly dir: string;
  readonly #shape: AgentShape;
  readonly #memory: DatabaseSync;
  readonly #sessions: DatabaseSync;
  #tick = 0;

  private constructor(dir: string, shape: AgentShape) {
    this.dir = dir;
    this.#shape = shape;
    this.#memory = openDatabase(join(dir, 'agents/main/agent/memory.sqlite'));
    this.#sessions = openDatabase(join(dir, 'state/openclaw.sqlite'));
  }

  /** Makes an agent in a new folder. */
  static create(dir: string, shape: AgentShape): BenchAgent {
    const seeded = new Seeded('agent');
    for (const folder of [
      'agents/main/agent',
      'agents/main/sessions',
      'state',
      'workspace/memory',
      'workspace/data',
      'media',
    ]) {
      mkdirSync(join(dir, folder), { recursive: true });
    }
    writeFileSync(join(dir, 'openclaw.json'), '{ "agents": { "defaults": {} } }\n', { mode: 0o600 });
    for (let index = 0; index < shape.transcripts; index += 1)
      writeFileSync(transcript(dir, index), transcriptText(seeded, shape.transcriptBytes));
    for (let index = 0; index < shape.mediaFiles; index += 1)
      writeFileSync(join(dir, `media/${index}.jpg`), seeded.bytes(shape.mediaBytes));
    const small = shape.files - shape.transcripts - shape.mediaFiles - 3;
    for (let index = 0; index < small; index += 1) {
      const folder = join(dir, 'workspace/data', `project-${index % 60}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, `note-${index}.md`), `# Note ${index}\n\n${seeded.text(200 + seeded.below(6000))}\n`);
    }
    const agent = new BenchAgent(dir, shape);
    agent.#fill(seeded);
    return agent;
  }

  /** Plays five busy minutes: chat turns, rows in both databases, a memory edited, a file added, now and then one deleted. */
  play(): void {
    this.#tick += 1;
    const seeded = new Seeded(`tick ${this.#tick}`);
    for (let turn = 0; turn < 3; turn += 1) {
      appendFileSync(
        transcript(this.dir, seeded.below(Math.min(20, this.#shape.transcripts))),
        transcriptText(seeded, 2500),
      );
    }
    this.#memory.exec('BEGIN');
    for (let row = 0; row < 4; row += 1) insertMemory(this.#memory, seeded);
    for (let row = 0; row < 8; row += 1) {
      this.#memory
        .prepare('UPDATE memory SET used = used + 1 WHERE id = ?')
        .run(1 + seeded.below(this.#shape.memoryRows));
    }
    this.#memory.exec('COMMIT; BEGIN');
    this.#sessions.exec('BEGIN');
    for (let row = 0; row < 6; row += 1) insertSession(this.#sessions, seeded);
    this.#sessions.exec('COMMIT');
    this.#memory.exec('COMMIT');
    appendFileSync(join(this.dir, 'workspace/memory/today.md'), `- ${seeded.text(160)}\n`);
    writeFileSync(join(this.dir, 'workspace/data/project-1', `tick-${this.#tick}.md`), seeded.text(800));
    if (this.#tick > 3)
      rmSync(join(this.dir, 'workspace/data/project-1', `tick-${this.#tick - 3}.md`), { force: true });
  }

  close(): void {
    this.#memory.close();
    this.#sessions.close();
  }

  #fill(seeded: Seeded): void {
    this.#memory.exec('BEGIN');
    for (let row = 0; row < this.#shape.memoryRows; row += 1) insertMemory(this.#memory, seeded);
    this.#memory.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
    this.#sessions.exec('BEGIN');
    for (let row = 0; row < this.#shape.sessionRows; row += 1) insertSession(this.#sessions, seeded);
    this.#sessions.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  }
}

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY, path TEXT, body TEXT, embedding BLOB, used INTEGER DEFAULT 0);
    CREATE TABLE IF NOT EXISTS events (session TEXT, seq INTEGER, body TEXT, PRIMARY KEY (session, seq)) WITHOUT ROWID;`);
  return database;
}

function insertMemory(database: DatabaseSync, seeded: Seeded): void {
  const insert = database.prepare('INSERT INTO memory (path, body, embedding) VALUES (?, ?, ?)');
  insert.run(`memory/${seeded.below(1000)}.md`, seeded.text(1800), seeded.embedding(1536));
}

function insertSession(database: DatabaseSync, seeded: Seeded): void {
  const insert = database.prepare('INSERT OR REPLACE INTO events VALUES (?, ?, ?)');
  insert.run(
    `session-${seeded.below(40)}`,
    seeded.below(1_000_000_000),
    JSON.stringify({ role: 'assistant', text: seeded.text(1500) }),
  );
}

function transcript(dir: string, index: number): string {
  return join(
    dir,
    'agents/main/sessions',
    `${createHash('sha1').update(String(index)).digest('hex').slice(0, 32)}.jsonl`,
  );
}

function transcriptText(seeded: Seeded, lengthBytes: number): string {
  let text = '';
  for (let seq = 0; text.length < lengthBytes; seq += 1) {
    const role = seq % 2 === 0 ? 'user' : 'assistant';
    const id = seeded.bytes(12).toString('hex');
    text += `${JSON.stringify({ id, seq, role, at: 1_760_000_000_000 + seq * 1000, text: seeded.text(300 + seeded.below(1400)) })}\n`;
  }
  return text;
}
