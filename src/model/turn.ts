// What was said in an agent's conversations, as search and blame show it.

/** One turn of a conversation: what somebody said, or a tool gave back. */
export interface Turn {
  /** Where it is kept: the escaped commit path of a database or a file. */
  readonly path: string;
  /** The conversation's id. */
  readonly session: string;
  /** What the agent calls the conversation, as `agent:main:planning`, if that is known. */
  readonly sessionKey: string | undefined;
  /** Its place in the conversation, from 0: the event's number in a database, the line in a file. */
  readonly seq: number;
  /** `user`, `assistant`, `toolResult`, or whatever else the agent's program calls it. */
  readonly role: string;
  /** When it was said, in milliseconds since the Unix epoch; undefined if it does not tell. */
  readonly timeMs: number | undefined;
  /** What was said: calls of tools as their name and arguments. As it is stored: not safe for a terminal, secrets not masked. */
  readonly text: string;
}
