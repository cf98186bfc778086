// `npm run test:tmux`: the interface in a real terminal. Needs tmux and what `npm run build` makes.

export default {
  extensions: ['ts'],
  files: ['test/tmux/*.test.ts'],
  workerThreads: false,
  timeout: '3m',
};
