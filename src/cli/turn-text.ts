// How the command line shows what was said.

import { formatTime } from '../model/time-format.ts';
import { formatSpeaker, type PlacedTurn } from '../model/turn.ts';

const LINE_CHARACTERS = 160;

/** Returns the JSON of a turn. */
export function turnDocument({ path, conversation, session, seq, role, time, text, tools }: PlacedTurn): object {
  return { path, conversation, session, seq, role, time, text, tools };
}

/** Returns a turn on one line, cut where it is long. */
export function formatTurn(turn: PlacedTurn, zone: string | undefined): string {
  const said = [turn.text, ...turn.tools.map((tool) => `[${tool.name} ${tool.arguments}]`)].filter(
    (part) => part !== '',
  );
  const whole = said.join(' ').replaceAll(/\s+/g, ' ').trim();
  // A pair of surrogates is not cut in two.
  const start = whole.slice(0, LINE_CHARACTERS).replace(/[\uD800-\uDBFF]$/, '');
  const text = whole.length > LINE_CHARACTERS ? `${start}…` : whole;
  const time = turn.time === undefined ? '' : `${formatTime(Date.parse(turn.time), zone)}  `;
  return `${time}${formatSpeaker(turn)}: ${text}`;
}
