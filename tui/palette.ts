// The palette: the program's own commands by name. What the interface does itself it does; of the others it gives the command line.

import { BINDINGS } from './keymap.ts';
import type { State } from './state.ts';

/** A command in the palette. */
export interface PaletteRow {
  readonly name: string;
  readonly summary: string;
  /** The key that does it here, if one does. */
  readonly key: string | undefined;
  /** The command line to copy, where none does. */
  readonly line: string;
}

/** Lists the commands that a text could mean, the likeliest first. */
export function listPalette(state: State, text: string): PaletteRow[] {
  const { program, agent } = state;
  const wanted = text.trim().toLowerCase();
  return state.commands
    .map(({ name, summary }) => ({
      name,
      summary,
      key: BINDINGS.find(({ command }) => command === name)?.keys[0],
      line: `${program} ${name}${agent === undefined ? '' : ` -a ${agent.label}`}`,
    }))
    .map((row) => ({ row, rank: rankOf(row, wanted) }))
    .filter(({ rank }) => rank < 4)
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ row }) => row);
}

function rankOf({ name, summary }: PaletteRow, wanted: string): number {
  if (wanted === '' || name.startsWith(wanted)) return 0;
  if (name.includes(wanted)) return 1;
  if (summary.toLowerCase().includes(wanted)) return 2;
  return isSpread(name, wanted) ? 3 : 4;
}

/** Says whether all letters of a text are in a name, in this order. */
function isSpread(name: string, wanted: string): boolean {
  let at = 0;
  for (const letter of wanted) {
    at = name.indexOf(letter, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
