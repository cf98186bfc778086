// AVA's settings for `npm test`: all that needs no server, no terminal and no root. What does has settings of its own in test/.

import path from 'node:path';

export default {
  extensions: ['ts'],
  files: ['test/**/*.test.ts', '!test/package.test.ts', '!test/{ceph,openclaw,postgres,systemd,tmux}/**'],
  workerThreads: false,
  timeout: '4m',
  // Each file of tests is a process, and many of them start others: what one has compiled the next need not.
  environmentVariables: {
    NODE_COMPILE_CACHE: path.join(import.meta.dirname, 'node_modules/.cache/molt-test'),
  },
};
