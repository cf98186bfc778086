// `molt key list`: the slots of a repository's keyring. It needs no secret.

import { listKeySlots } from '../../ops/key.ts';
import { defineCommand } from '../command.ts';
import { slotTable } from '../key-text.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The key list command. */
export const command = defineCommand({
  name: 'key list',
  summary: 'list the keys that open an agent’s repository',
  description: 'Nothing is opened for this, so the list is what the keyring says of itself; molt key check proves it.',
  words: [{ name: 'agent', description: 'the agent' }],
  options: {},
  examples: [
    ['key list', 'list the keys of the only agent, or of the one here'],
    ['key list my-agent --json', 'list them as an array of objects'],
  ],
  async run(context, { agent }) {
    const slots = await listKeySlots(makeOpsContext(context), agent);
    context.output.result(slots, () => slotTable(slots));
  },
});
