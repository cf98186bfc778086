// What the agent does in the demo: each tick writes real rows into the tables of OpenClaw's own databases, edits the memory, appends
// to a JSONL file, adds a file and deletes one. The databases stay open in WAL mode, as the running agent has them.

import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** One turn of the conversation, and what it does to the agent's files. */
interface Turn {
  readonly user: string;
  readonly assistant: string;
  /** Edits the long-term memory. */
  readonly memory: (text: string) => string;
  readonly added: string;
  readonly deleted: string;
}

const add = (line: string) => (text: string) => `${text.trimEnd()}\n- ${line}\n`;

const TURNS: readonly Turn[] = [
  {
    user: 'I found a roasted oolong that I like.',
    assistant: 'Noted: roasted oolong, 90 C, three minutes.',
    memory: add('Second favourite tea: roasted oolong, 90 C, three minutes.'),
    added: 'workspace/notes/oolong.md',
    deleted: 'workspace/notes/tea.md',
  },
  {
    user: 'The Heron release moves to Thursday.',
    assistant: 'I will plan for Thursday from now on.',
    memory: (text) => text.replace('weekly release on Friday', 'weekly release on Thursday'),
    added: 'workspace/projects/site/release-notes.md',
    deleted: 'workspace/memory/2026-11-19.md',
  },
  {
    user: 'My sister Grace visits on the 30th.',
    assistant: 'I will remind you on the 29th.',
    memory: add('Sister: Grace, visits on 30 November.'),
    added: 'workspace/notes/visit.md',
    deleted: 'workspace/notes/oolong.md',
  },
  {
    user: 'Tidy up your memory.',
    assistant: 'Done: I shortened it to what matters.',
    memory: () => '# Long-term memory\n- The user likes tea.\n',
    added: 'workspace/notes/tidy.md',
    deleted: 'workspace/notes/visit.md',
  },
  {
    user: 'When does my sister come?',
    assistant: 'I do not know that you have a sister.',
    memory: add('The user may have a sister.'),
    added: 'workspace/notes/sister.md',
    deleted: 'workspace/data/ledger.csv',
  },
];

/** How many ticks there are. */
export const TICKS = TURNS.length;
/** The memory file that the ticks edit. */
export const MEMORY = 'workspace/MEMORY.md';

const JOURNAL = 'agents/main/sessions/activity.jsonl';
/** After these ticks the log is written back into its database; else what was written lies in the log alone. */
const CHECKPOINTED = [2, 4];

/** An agent at work on a state folder. */
export class Activity {
  readonly #stateDir: string;
  readonly #agent: DatabaseSync;
  readonly #shared: DatabaseSync;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#agent = new DatabaseSync(join(stateDir, 'agents/main/agent/openclaw-agent.sqlite'));
    this.#shared = new DatabaseSync(join(stateDir, 'state/openclaw.sqlite'));
    for (const database of [this.#agent, this.#shared]) database.exec('PRAGMA journal_mode = WAL');
  }

  /** Does one tick (from 1) and returns what it did, a line for each thing. */
  run(tick: number): string[] {
    const turn = TURNS[tick - 1];
    if (turn === undefined) throw new Error(`there is no tick ${tick}`);
    const chatRows = this.#chat(turn);
    const auditRows = this.#audit(tick);
    const checkpointed = CHECKPOINTED.includes(tick);
    if (checkpointed)
      for (const database of [this.#agent, this.#shared]) database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    this.#writeFiles(tick, turn);
    return [
      `"${turn.user}" - "${turn.assistant}"`,
      `${chatRows} rows in the agent's database, ${auditRows} in the shared one, ${checkpointed ? 'written back from their logs' : 'still in their write-ahead logs'}`,
      `edited ${MEMORY}, appended to ${JOURNAL}, added ${turn.added}, deleted ${turn.deleted}`,
    ];
  }

  /** Closes the databases. */
  close(): void {
    this.#agent.close();
    this.#shared.close();
  }

  /** Writes a question and its answer into the main session, as OpenClaw keeps them, in one transaction. */
  #chat(turn: Turn): number {
    const { session } = getRow(
      this.#agent,
      "SELECT current_session_id AS session FROM session_nodes WHERE session_key = 'agent:main:main'",
    );
    const events = this.#agent.prepare(
      'INSERT INTO transcript_events (session_id, seq, event_json, created_at, event_utf8_bytes) VALUES (?, ?, ?, ?, ?)',
    );
    const identities = this.#agent.prepare(
      "INSERT INTO transcript_event_identities (session_id, event_id, seq, event_type, created_at) VALUES (?, ?, ?, 'message', ?)",
    );
    const traces = this.#agent.prepare(
      'INSERT INTO trajectory_runtime_events (session_id, seq, run_id, event_json, created_at) VALUES (?, ?, ?, ?, ?)',
    );
    const nextSeq = (table: string): number =>
      Number(getRow(this.#agent, `SELECT max(seq) + 1 AS next FROM ${table} WHERE session_id = '${session}'`)['next']);
    const runId = randomUUID();
    const now = Date.now();
    this.#agent.exec('BEGIN IMMEDIATE');
    for (const [role, text] of [
      ['user', turn.user],
      ['assistant', turn.assistant],
    ] as const) {
      const id = randomUUID();
      const seq = nextSeq('transcript_events');
      const event = JSON.stringify({
        type: 'message',
        id,
        timestamp: new Date(now).toISOString(),
        message: { role, content: text },
      });
      events.run(String(session), seq, event, now, Buffer.byteLength(event));
      identities.run(String(session), id, seq, now);
    }
    const trace = JSON.stringify({
      traceSchema: 'openclaw-trajectory',
      type: 'session.ended',
      runId,
      data: { status: 'success' },
    });
    traces.run(String(session), nextSeq('trajectory_runtime_events'), runId, trace, now);
    this.#agent.exec('COMMIT');
    return 5;
  }

  #audit(tick: number): number {
    const insert = this.#shared.prepare(
      `INSERT INTO audit_events (event_id, source_id, schema_version, source_sequence, occurred_at, kind, action, status, actor_type, actor_id, agent_id)
       VALUES (?, ?, 1, ?, ?, 'agent_run', ?, 'succeeded', 'agent', 'main', 'main')`,
    );
    const actions = ['agent.run.started', 'agent.run.finished'];
    for (const [index, action] of actions.entries()) {
      const id = randomUUID();
      insert.run(id, `demo:${tick}:${index}`, index + 1, Date.now(), action);
    }
    return actions.length;
  }

  #writeFiles(tick: number, turn: Turn): void {
    const path = (name: string): string => join(this.#stateDir, name);
    writeFileSync(path(MEMORY), turn.memory(readFileSync(path(MEMORY), 'utf8')));
    mkdirSync(dirname(path(JOURNAL)), { recursive: true });
    appendFileSync(path(JOURNAL), `${JSON.stringify({ tick, at: new Date().toISOString(), said: turn.user })}\n`);
    writeFileSync(path(turn.added), `# ${turn.user}\n\n${turn.assistant}\n`);
    rmSync(path(turn.deleted));
  }
}

function getRow(database: DatabaseSync, sql: string): Record<string, unknown> {
  const row = database.prepare(sql).get();
  if (row === undefined) throw new Error(`no row for: ${sql}`);
  return row;
}
