// Feeds every decoder of molt with random and changed bytes: each input must give a value or a MoltError. Exits with 1 when one gives
// anything else, takes too long, or makes its process grow by more than 100 MB.
//
//     npm run fuzz -- [--runs 1000000] [--seed 1] [--processes 2] [--only TARGET [--at INPUT]]

import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { runFuzz } from './fuzz/run.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: '2' },
    only: { type: 'string' },
    at: { type: 'string' },
  },
});

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { lines, ok } = await runFuzz({
    runs: Number(values.runs),
    seed: Number(values.seed),
    processes: Number(values.processes),
    only: values.only,
    at: values.at === undefined ? undefined : Number(values.at),
  });
  for (const line of lines) console.log(line);
  process.exitCode = ok ? 0 : 1;
}
