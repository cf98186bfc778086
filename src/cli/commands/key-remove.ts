// `molt key remove SLOT`: one way less into a repository.

import { findKeySlot, listKeySlots, removeKey } from '../../ops/key.ts';
import { MoltError } from '../../model/error.ts';
import { defineCommand } from '../command.ts';
import { shortSlotId } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The key remove command. */
export const command = defineCommand({
  name: 'key remove',
  summary: 'remove a key',
  description:
    'Who has a copy of the repository from before and the removed key can still read it: removing a key is no remedy for one\nthat leaked.',
  words: [{ name: 'slot', required: true, description: 'the beginning of its id, or its label' }],
  options: {},
  examples: [
    ['key remove 3fa91c02', 'remove a key by the beginning of its id, after asking'],
    ['key remove "old laptop" --yes', 'remove a key by its label, without asking'],
  ],
  async run(context, { agent, words }) {
    const ops = makeOpsContext(context);
    const slot = findKeySlot(await listKeySlots(ops, agent), words.slot);
    if (!(await context.confirm(`remove ${slot.type} key ${shortSlotId(slot)} (${slot.label})?`))) {
      throw new MoltError('INTERRUPTED', 'nothing was removed');
    }
    const { generation, slots } = await removeKey(ops, agent, slot.id);
    context.output.result({ ...slot, generation, left: slots }, () => [
      `removed ${slot.type} key ${shortSlotId(slot)} (${slot.label}); ${slots.length} left`,
    ]);
    context.output.note('copies of the repository from before still open with the removed key (docs/security.md)');
  },
});
