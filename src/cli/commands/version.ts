// `molt version`: which molt this is, and what it runs on.

import { defineCommand } from '../command.ts';

/** The version command. */
export const command = defineCommand({
  name: 'version',
  summary: 'show the version of molt',
  words: [],
  options: {},
  examples: [
    ['version', 'show the version'],
    ['version --json', 'show it with those of Node and the system'],
  ],
  async run({ program, version, output }) {
    const document = { version, node: process.versions.node, platform: process.platform, arch: process.arch };
    output.result(document, () => `${program} ${version}`);
  },
});
