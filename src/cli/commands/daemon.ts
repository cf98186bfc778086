// `molt daemon`: keeps all scheduled agents of this machine saved. What it tells goes to stdout, a line for each event.

import { join } from 'node:path';
import { isMoltError } from '../../model/error.ts';
import { formatTime } from '../../model/time-format.ts';
import type { DaemonEvent } from '../../ops/daemon.ts';
import { defineCommand, type Context } from '../command.ts';
import { daemonEventDocument, describeDaemonEvent } from '../daemon-text.ts';
import { makeOpsContext } from '../ops-context.ts';
import { waitByClock } from '../wait.ts';

/** The daemon command. */
export const command = defineCommand({
  name: 'daemon',
  summary: 'keep all scheduled agents saved, in the foreground',
  description:
    'Serves every schedule that molt schedule install made, and notices those that are added, changed or removed meanwhile.\n' +
    'schedule install lets the system run it; by hand it is for containers, and for systems without a service manager.\n' +
    'It opens agents by this machine’s key and asks nobody. SIGTERM ends it after the commit that is under way.\n' +
    'Environment variables may be set in daemon.env in molt’s folder (AWS_PROFILE=backup), one a line.',
  words: [],
  endsItself: true,
  options: {
    metrics: {
      type: 'string',
      value: 'HOST:PORT',
      description: 'serve /metrics for Prometheus and /healthz there; a port alone is on 127.0.0.1 (MOLT_METRICS)',
    },
    'unless-running': { type: 'boolean', description: 'end with status 0 where another daemon serves this folder' },
  },
  examples: [
    ['daemon', 'serve all schedules until it is asked to end'],
    ['daemon --json --metrics 9464', 'the same, with a log in JSON lines and metrics on http://127.0.0.1:9464/metrics'],
  ],
  async run(context, { options }) {
    const { clock, output, signal, urgent, version } = context;
    const [{ runDaemon }, { loadDaemonEnvironment }] = await Promise.all([
      import('../../ops/daemon.ts'),
      import('../../ops/daemon-environment.ts'),
    ]);
    const log = makeLog(context);
    const isOpen = await loadDaemonEnvironment(join(context.home, 'daemon.env'));
    if (isOpen)
      log(undefined, {
        event: 'warned',
        message: `daemon.env may hold secrets, and others can read it: chmod 600 ${context.home}/daemon.env`,
      });
    const address = options.metrics ?? (process.env['MOLT_METRICS'] || undefined);
    const ops = makeOpsContext(context);
    const listeners = [log];
    if (address !== undefined) {
      const { parseAddress, serveMetrics } = await import('../../ops/metrics.ts');
      const metrics = await serveMetrics(ops, parseAddress(address));
      context.cleanup.use(metrics);
      listeners.push(metrics.tell);
      const { url } = metrics;
      const time = new Date(clock.now()).toISOString();
      output.log({ event: 'metrics', time, url }, [
        { text: `${formatTime(clock.now())} metrics on ${url}`, isWarning: false },
      ]);
    }
    const tell = (label: string | undefined, event: DaemonEvent): void => {
      for (const listen of listeners) listen(label, event);
    };
    try {
      await runDaemon(
        ops,
        {
          version,
          tell,
          afterFull: async (unattended, label, retention) => {
            if (retention !== undefined) {
              const { pruneByRetention } = await import('../../ops/scheduled-prune.ts');
              const pruned = await pruneByRetention(unattended, label, retention);
              if (pruned.expired > 0) tell(label, { event: 'pruned', ...pruned });
            }
            // Pruning takes stretches of the index away.
            const { keepSearchIndex } = await import('../../ops/search.ts');
            await keepSearchIndex(unattended, label).catch((error: unknown) => {
              if (isMoltError(error, 'INTERRUPTED') || !isMoltError(error)) throw error;
              unattended.reporter.warn(`the index of search is not up to date: ${error.message}`);
            });
          },
        },
        { stop: signal, urgent, wait: (ms, until) => waitByClock(clock, ms, until) },
      );
    } catch (error) {
      if (options['unless-running'] && isMoltError(error, 'RUNNING')) return;
      throw error;
    }
  },
});

function makeLog({ output, clock }: Context): (label: string | undefined, event: DaemonEvent) => void {
  return (label, event) => {
    const nowMs = clock.now();
    // A line for each agent every five minutes that says that nothing happened is for --verbose.
    if ((event.event === 'ticked' || event.event === 'sent') && !output.mode.verbose) return;
    const lines = describeDaemonEvent(label, event).map(({ text, isWarning }) => ({
      text: `${formatTime(nowMs)} ${isWarning ? 'warning: ' : ''}${text}`,
      isWarning,
    }));
    output.log(daemonEventDocument(label, event, nowMs), lines);
  };
}
