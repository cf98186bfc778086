// AVA's settings for test/postgres/, which needs PostgreSQL's programs (Debian: postgresql) and so stays out of the quick `npm test`.

export default {
  extensions: ['ts'],
  files: ['test/postgres/*.test.ts'],
  workerThreads: false,
  timeout: '2m',
};
