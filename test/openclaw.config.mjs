// AVA's settings for test/openclaw/, which installs a real OpenClaw and starts it several times, and so stays out of the quick `npm test`.

export default {
  extensions: ['ts'],
  files: ['test/openclaw/*.test.ts'],
  workerThreads: false,
  // Each file starts gateways that need both cores for half a minute.
  concurrency: 1,
  timeout: '20m',
};
