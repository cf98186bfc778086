// `molt key identity FILE`: the key pair of a recipient.

import path from 'node:path';
import { makeIdentity, showIdentity } from '../../ops/identity-file.ts';
import { defineCommand } from '../command.ts';

/** The key identity command. */
export const command = defineCommand({
  name: 'key identity',
  summary: 'make a key pair, to be let in by its public half',
  description:
    'The private half goes into a new file (0600) and nowhere else; the public half is printed, and is no secret. Give it to\nwhoever runs `molt key add --recipient`. MOLT_IDENTITY_FILE names the file when a repository is to be opened with it.',
  words: [{ name: 'file', required: true, description: 'the file of the private half' }],
  options: { show: { type: 'boolean', description: 'print the public half of a file that is there' } },
  examples: [
    ['key identity ~/molt-identity', 'make a key pair and print its public half'],
    ['key identity ~/molt-identity --show', 'print the public half again'],
  ],
  async run({ cwd, output, random }, { options, words }) {
    const file = path.resolve(cwd, words.file);
    const publicKey = options.show ? await showIdentity(file) : await makeIdentity(file, random);
    output.result({ publicKey, file }, () => [publicKey]);
  },
});
