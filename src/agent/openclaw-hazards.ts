// What a start of a restored OpenClaw would set off, or can't bring back, told before it happens and from its files alone.

import { printable } from '../model/printable.ts';
import { findInside, readInside } from './inside.ts';
import { listCronJobs } from './openclaw-cron.ts';
import { CONFIG_PATH, SHARED_PATH, listAgentDatabases, listNamesIn } from './openclaw-files.ts';
import { parseOrNothing } from './openclaw-paths.ts';
import { readPlaces } from './openclaw-places.ts';
import { parseJson } from './parse-json.ts';
import { readDatabase, readRows } from './read-database.ts';
import type { Hazard, Relocation, RootDirs } from './revival.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Carries out Profile.findHazards for OpenClaw. */
export async function findOpenClawHazards(relocation: Relocation, nowMs: number): Promise<Hazard[]> {
  const { to } = relocation;
  return [
    ...(await findChannels(to)),
    ...(await findDueJobs(relocation, nowMs)),
    ...(await findDeliveries(to)),
    ...(await findExpired(to, nowMs)),
  ];
}

/** What lies in credentials/ beside channels. */
const NO_CHANNELS: ReadonlySet<string> = new Set(['oauth.json', 'onepassword', 'openai', 'github', 'google']);

async function findChannels(to: RootDirs): Promise<Hazard[]> {
  const linked = listNamesIn(to, 'state/credentials').filter(
    (name) => !NO_CHANNELS.has(name) && listNamesIn(to, `state/credentials/${name}`).length > 0,
  );
  const real = findInside(to, CONFIG_PATH);
  const config = real === undefined ? {} : await parseJson(readInside(real, CONFIG_PATH)).catch(() => ({}));
  const enabled = Object.entries(asFields(asFields(config)['channels']))
    .filter(([name, channel]) => name !== 'defaults' && isFields(channel) && channel['enabled'] !== false)
    .map(([name]) => name);
  return [
    ...linked.map((name): Hazard => ({
      kind: 'channel-login',
      text: `the login of ${show(name)} is as it was then; where its keys move on with each message, it has to be linked again`,
    })),
    ...enabled.map((name): Hazard => ({
      kind: 'channel-login',
      text: `${show(name)} is switched on: the restored agent answers there, beside the original if that still runs`,
    })),
  ];
}

async function findDueJobs(relocation: Relocation, nowMs: number): Promise<Hazard[]> {
  const { stateNames, config } = await readPlaces(relocation);
  const jobs = await listCronJobs(relocation.to, stateNames, config.cronStore);
  const due = jobs.filter(({ isEnabled, nextRunMs }) => isEnabled && nextRunMs !== undefined && nextRunMs <= nowMs);
  if (due.length === 0) return [];
  const names = due.map(({ name }) => show(name)).join(', ');
  const text = `${count(due.length, 'cron job is', 'cron jobs are')} due, and may run as soon as the agent starts: ${names}`;
  return [{ kind: 'cron-due', text }];
}

async function findDeliveries(to: RootDirs): Promise<Hazard[]> {
  const real = findInside(to, SHARED_PATH);
  if (real === undefined) return [];
  const { out, inward } = await readDatabase(real, SHARED_PATH, (database) => ({
    out: readRows(database, 'delivery_queue_entries', '1').length,
    inward: readRows(database, 'channel_ingress_events', '1', "status IN ('pending', 'claimed')").length,
  }));
  const hazards: Hazard[] = [];
  const add = (text: string): number => hazards.push({ kind: 'queued-delivery', text });
  if (out > 0) add(`${count(out, 'message was', 'messages were')} about to be sent, and will not be sent again`);
  if (inward > 0)
    add(`${count(inward, 'message had', 'messages had')} come in and not been answered, and will not be answered`);
  return hazards;
}

async function findExpired(to: RootDirs, nowMs: number): Promise<Hazard[]> {
  const stores: unknown[] = [];
  for (const path of [SHARED_PATH, ...listAgentDatabases(to)]) {
    const real = findInside(to, path);
    if (real === undefined) continue;
    // oxlint-disable-next-line no-await-in-loop -- one database after the other
    const rows = await readDatabase(real, path, (database) => [
      ...readRows(database, 'config_machine_state', 'value_json AS store', "state_key LIKE 'authProfiles.%'"),
      ...readRows(database, 'auth_profile_store', 'store_json AS store'),
    ]);
    stores.push(...rows.map(({ store }) => parseOrNothing(store)));
  }
  for (const agent of listNamesIn(to, 'state/agents')) {
    const path = `state/agents/${agent}/agent/auth-profiles.json`;
    const real = findInside(to, path);
    if (real !== undefined) stores.push(parseOrNothing(readInside(real, path)));
  }
  const expired = new Map<string, Hazard>();
  for (const store of stores) {
    for (const [name, profile] of Object.entries(asFields(asFields(store)['profiles']))) {
      const { type, expires, refresh } = asFields(profile);
      if (typeof expires !== 'number' || expires <= 0 || expires > nowMs) continue;
      const since = new Date(expires).toISOString();
      const text =
        type === 'oauth' && refresh !== undefined
          ? `the login ${show(name)} expired at ${since} and will be renewed; a provider that renews each login once refuses that if it was renewed since`
          : `the login ${show(name)} expired at ${since}`;
      expired.set(name, { kind: 'expired-token', text });
    }
  }
  return [...expired.values()];
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}

function show(name: string): string {
  return printable(name.replaceAll(/\s+/g, ' '));
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asFields(value: unknown): Fields {
  return isFields(value) ? value : {};
}
