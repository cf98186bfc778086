// What was said in an agent's conversations, with where it stands, as search and blame show it.

import type { Turn } from './semantic-diff.ts';

/** A turn and its place. Its text is as it is stored: whoever shows it makes it printable and masks secrets. */
export interface PlacedTurn extends Turn {
  /** Where it is kept: the escaped commit path of a database or a file. */
  readonly path: string;
  /** The conversation's id. */
  readonly session: string;
  /** What people know the conversation by, as `agent:main:planning`, if that is known. */
  readonly conversation: string | undefined;
  /** Its place in the conversation: the event's number in a database, from 0; of a file a number that grows with its lines. */
  readonly seq: number;
}

/** Returns who spoke where: `user in agent:main:planning`. */
export function formatSpeaker({ role, conversation, session }: PlacedTurn): string {
  return `${role} in ${conversation ?? session}`;
}
