// `molt alert set`: where alerts go, and what sets them off.

import path from 'node:path';
import { MoltError } from '../../model/error.ts';
import { formatSpan, parseDuration } from '../../model/duration.ts';
import { checkWebhook, readAlertSettings, writeAlertSettings } from '../../ops/alert-settings.ts';
import { describeSettings, settingsDocument } from '../alert-settings-text.ts';
import { defineCommand } from '../command.ts';
import { makeOpsContext } from '../ops-context.ts';
import { readSecret } from '../secrets.ts';

const PERCENT = /^(\d{1,2})%?$/;

/** The alert set command. */
export const command = defineCommand({
  name: 'alert set',
  summary: 'say where alerts go, and what sets them off',
  description:
    'It holds for all agents of this machine. An alert is one JSON object with the members event (failed, recovered, overdue,\n' +
    'suspicious or test), agent, time and text. The webhook gets it by POST; COMMAND, which is no shell’s, on its stdin.\n' +
    'What isn’t delivered within 10 seconds waits and goes with the next one; backups never wait for it.\n' +
    'Without options it shows what is set; of the webhook, whose URL mostly holds a secret, only the host.',
  words: [],
  rest: 'COMMAND…',
  options: {
    'webhook-file': { type: 'string', value: 'FILE', description: 'the file that holds the URL of the webhook' },
    off: {
      type: 'strings',
      choices: ['webhook', 'command', 'watch'],
      value: 'WHAT',
      description: 'webhook, command or watch: no longer',
    },
    share: {
      type: 'string',
      value: 'PERCENT',
      description: 'how much of a memory, session or transcript has to be gone at once (50%)',
    },
    overdue: {
      type: 'string',
      value: 'DURATION',
      description: 'how long saving may fail until the backup is overdue (1h)',
    },
  },
  examples: [
    ['alert set --webhook-file ~/hook-url', 'send alerts to a webhook'],
    ['alert set -- /usr/local/bin/page-me --team agents', 'give alerts to a command'],
    ['alert set --share 30% --overdue 2h', 'be told of smaller losses, and later of failing backups'],
    ['alert set --off webhook', 'use the webhook no longer'],
  ],
  async run(context, { options, rest }) {
    const { output } = context;
    const { home } = makeOpsContext(context);
    const before = await readAlertSettings(home);
    const { off, share, overdue } = options;
    const file = options['webhook-file'];
    const webhook =
      file === undefined ? undefined : checkWebhook(await readSecret(path.resolve(context.cwd, file), 'webhook'));
    const settings = {
      webhook: off.includes('webhook') ? undefined : (webhook ?? before.webhook),
      command: off.includes('command') ? undefined : rest.length > 0 ? rest : before.command,
      share: off.includes('watch') ? undefined : share === undefined ? before.share : parseShare(share),
      overdueMs: overdue === undefined ? before.overdueMs : parseDuration('overdue', overdue),
    };
    if (settings.overdueMs < 60_000)
      throw new MoltError('USAGE', `--overdue takes a minute or more, not ${formatSpan(settings.overdueMs)}`);
    if (JSON.stringify(settings) !== JSON.stringify(before)) await writeAlertSettings(home, settings);
    const { countWaitingAlerts } = await import('../../ops/alert-send.ts');
    const waiting = await countWaitingAlerts(home);
    output.result({ ...settingsDocument(settings), waiting }, () => describeSettings(settings, waiting));
  },
});

function parseShare(text: string): number {
  const percent = Number(PERCENT.exec(text.trim())?.[1] ?? 0);
  if (percent > 0) return percent / 100;
  throw new MoltError('USAGE', `--share takes a percentage from 1% to 99%, not '${text}'`, { hint: '--share 50%' });
}
