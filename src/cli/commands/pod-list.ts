// `molt pod list`: the pods of this machine, and how they are.

import { listPods } from '../../ops/pods.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { podNotes, podState } from '../pod-text.ts';
import { formatCount, formatTable } from '../text.ts';

/** The pod list command. */
export const command = defineCommand({
  name: 'pod list',
  summary: 'list the pods of this machine, and how they are',
  description: 'A pod that runs is asked by its own health check.',
  words: [],
  options: {},
  examples: [['pod list', 'list them']],
  async run(context) {
    const { output, program } = context;
    const pods = await listPods(makeOpsContext(context));
    output.result(pods, () =>
      formatTable(
        pods.map((pod) => [
          output.style('bold', pod.name),
          podState(output, pod),
          pod.endpoint ?? '',
          pod.restarts === 0 ? '' : formatCount(pod.restarts, 'restart'),
          `generation ${pod.generation}`,
          pod.dir,
        ]),
      ),
    );
    for (const note of pods.flatMap(podNotes)) output.note(note);
    if (pods.length === 0) output.note(`no pods yet; ${program} restore --target NAME makes one`);
  },
});
