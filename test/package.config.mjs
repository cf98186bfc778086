// AVA's settings for test/package.test.ts, which needs a build and npm, and so stays out of the quick `npm test`.

export default {
  extensions: ['ts'],
  files: ['test/package.test.ts'],
  workerThreads: false,
  timeout: '2m',
};
