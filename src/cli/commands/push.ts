// `molt push`: sends to a remote what it lacks.

import { MoltError } from '../../model/error.ts';
import { push, pushAll } from '../../ops/push.ts';
import { defineCommand } from '../command.ts';
import { describeExchange, describeFilesBehind, describeOutcome, exchangeDocument } from '../exchange-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { LIMIT_RATE, withLimit } from '../rate.ts';
import { REMOTE_WORDS, takeRemote } from '../remote-words.ts';
import { formatCount } from '../text.ts';

/** Copies from which a push counts as durable. */
const DURABLE_COPIES = 2;

/** The push command. */
export const command = defineCommand({
  name: 'push',
  summary: 'send to a remote what it lacks',
  description:
    'Sends all branches that only go forward there, and new tags. What was not saved by molt commit before is not sent.\nA five-minute commit is one request; nothing new is none.',
  words: [REMOTE_WORDS],
  options: {
    all: { type: 'boolean', description: 'send to every remote, bringing them all together' },
    'limit-rate': LIMIT_RATE,
    'force-check': { type: 'boolean', description: 'look at the remote even if it was looked at within a day' },
  },
  examples: [
    ['push', 'send to the only remote'],
    ['push origin -a my-agent', 'send one of several agents'],
    ['push --all', 'send to every remote'],
  ],
  async run(context, { agent: option, options, words }) {
    const ops = withLimit(makeOpsContext(context), options['limit-rate']);
    const { agent, remote } = await takeRemote(ops, option, words.remote);
    const forceCheck = options['force-check'];
    if (!options.all) {
      const result = await push(ops, agent, { remote, forceCheck });
      context.output.result(exchangeDocument(result), () => describeExchange(result, 'pushed to'));
      return;
    }
    if (remote !== undefined) throw new MoltError('USAGE', `push --all takes no remote, not '${remote}'`);
    const { agent: label, results, merged, copies } = await pushAll(ops, agent, { forceCheck });
    const durable = copies >= DURABLE_COPIES;
    const document = results.map((result) =>
      'error' in result
        ? {
            remote: result.remote,
            url: result.url,
            error: { code: result.error.code, message: result.error.message, hint: result.error.hint ?? null },
          }
        : exchangeDocument(result),
    );
    const pulled = merged.map(({ remote, outcome, commit, conflicts }) => ({ remote, outcome, commit, conflicts }));
    context.output.result({ agent: label, copies, durable, pulled, remotes: document }, () => [
      ...merged.flatMap(describeOutcome),
      ...results.flatMap((result) => ('error' in result ? describeLag(result) : describeExchange(result, 'pushed to'))),
      `${formatCount(copies, 'copy', 'copies')} of ${results.length} up to date${durable ? ': durable' : ''}`,
    ]);
    if (merged.length > 0) context.output.note(describeFilesBehind(label, context.program));
    const [first] = results.flatMap((result) => ('error' in result ? [result.error] : []));
    if (copies === 0 && first !== undefined) throw first;
    if (first !== undefined)
      throw new MoltError(
        'PARTIAL',
        `${results.length - copies} of ${results.length} remotes lag behind: ${first.message}`,
        {
          hint: 'the others have everything; push again once that is put right',
        },
      );
  },
});

function describeLag({ remote, error }: { readonly remote: string; readonly error: MoltError }): string[] {
  return [`${remote} lags: ${error.message}`, ...(error.hint === undefined ? [] : [`  ${error.hint}`])];
}
