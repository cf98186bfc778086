// AVA's settings for test/ceph/, which needs Ceph's programs (npm run test:ceph says which) and so stays out of the quick `npm test`.

export default {
  extensions: ['ts'],
  files: ['test/ceph/*.test.ts'],
  workerThreads: false,
  timeout: '5m',
};
