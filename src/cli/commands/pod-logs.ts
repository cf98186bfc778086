// `molt pod logs`: what a pod's agent wrote.

import { MoltError } from '../../model/error.ts';
import { getPod } from '../../ops/pod-look.ts';
import { readPodLog } from '../../ops/pods.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';

/** The pod logs command. */
export const command = defineCommand({
  name: 'pod logs',
  summary: 'show what a pod’s agent wrote',
  words: [{ name: 'pod', description: 'the pod', completes: ['pod'] }],
  options: {
    lines: { type: 'number', alias: 'n', value: 'N', description: 'only the last N lines' },
    follow: { type: 'boolean', alias: 'f', description: 'go on with what is written from now on' },
  },
  examples: [
    ['pod logs my-agent-restored -n 20', 'show the last twenty lines'],
    ['pod logs -f', 'watch the only pod; Ctrl-C ends it'],
  ],
  async run(context, { agent, words, options }) {
    const { output } = context;
    const { lines, follow } = options;
    if (lines !== undefined && (!Number.isSafeInteger(lines) || lines < 0))
      throw new MoltError('USAGE', `"${lines}" is no number of lines`, { hint: '-n 20' });
    if (follow && output.mode.json)
      throw new MoltError('USAGE', '--follow has no end, and --json writes one document', { hint: 'leave one out' });
    const ops = makeOpsContext(context);
    const pod = await getPod(ops, words.pod, agent);
    const all: string[] = [];
    for await (const line of readPodLog(ops, pod, { lines, follow })) {
      if (output.mode.json) all.push(line);
      else output.line(line);
      if (output.abandoned) return;
    }
    if (output.mode.json) output.result({ name: pod.name, lines: all }, () => []);
  },
});
