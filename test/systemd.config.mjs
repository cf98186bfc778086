// `npm run test:systemd`: the daemon as a service of a real systemd. Needs systemd (Debian: systemd) and what `npm run build` makes.

export default {
  extensions: ['ts'],
  files: ['test/systemd/*.test.ts'],
  workerThreads: false,
  timeout: '3m',
};
