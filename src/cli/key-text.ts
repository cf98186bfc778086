// How the key commands write slots.

import type { KeySlot } from '../ops/key.ts';
import { formatTable } from './text.ts';

/** What a slot is called in text: the beginning of its id. */
export function shortSlotId({ id }: Pick<KeySlot, 'id'>): string {
  return id.slice(0, 8);
}

/** Returns slots as a table, with more cells at the end of each row if they are given. */
export function slotTable(
  slots: readonly KeySlot[],
  more: (slot: KeySlot, index: number) => readonly string[] = () => [],
): string[] {
  return formatTable(
    slots.map((slot, index) => [
      shortSlotId(slot),
      slot.type,
      slot.label,
      slot.created?.replace(/\.\d{3}Z$/, 'Z') ?? '',
      ...more(slot, index),
    ]),
  );
}
