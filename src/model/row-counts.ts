// How much an agent's database holds of what must not vanish: conversations and memory, by rows.

/** Rows of one database. */
export interface RowCounts {
  /** Conversations that are there to stay. */
  readonly sessions: number;
  /** Events of their transcripts, wherever the database keeps them. */
  readonly events: number;
  /** Pieces of memory. */
  readonly memory: number;
  /** Transcripts that were put away whole. More of them explain fewer events and conversations. */
  readonly archived: number;
  /** Events of the longest transcripts, by session id. */
  readonly bySession: Readonly<Record<string, number>>;
}
