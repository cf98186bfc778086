// What push, fetch, pull and clone tell: as JSON and as lines.

import { shortId } from '../model/ids.ts';
import type { ExchangeResult, MovedRef } from '../ops/exchange.ts';
import type { PullResult } from '../ops/pull.ts';
import { formatCount, formatSize } from './text.ts';

/** Returns the JSON of an exchange. */
export function exchangeDocument(result: ExchangeResult): Record<string, unknown> {
  const { agent, remote, url, segments, packs, bytes, requests, refs, left, durationMs } = result;
  return {
    agent,
    remote,
    url,
    segments,
    packs,
    bytes,
    requests,
    refs: refs.map(({ name, from, to }) => ({ name, from: from ?? null, to: to ?? null })),
    left,
    durationMs,
  };
}

/** Returns what an exchange came to, in lines. */
export function describeExchange(result: ExchangeResult, verb: string): string[] {
  const { remote, segments, packs, bytes, requests, refs, left, durationMs } = result;
  const asked = Object.values(requests).reduce((sum, count) => sum + count, 0);
  const what = segments + packs === 0 ? 'nothing to send' : formatSize(bytes);
  const cost = `${formatCount(asked, 'request')}, ${(durationMs / 1000).toFixed(1)} s`;
  return [
    ...refs.map((ref) => `  ${describeMove(ref)}`),
    ...left.map(({ name, why }) => `  ${shortName(name)} stays: ${why}`),
    `${verb} ${remote}: ${verb.startsWith('fetched') && segments + packs === 0 ? 'nothing new' : what} (${cost})`,
  ];
}

/** Returns a ref's move in words. */
function describeMove({ name, from, to }: MovedRef): string {
  const short = shortName(name);
  if (to === undefined) return `${short} is gone`;
  return from === undefined ? `${short} ${shortId(to)} (new)` : `${short} ${shortId(from)} -> ${shortId(to)}`;
}

function shortName(name: string): string {
  return name
    .replace(/^refs\/molt\/incarnations\//, 'the incarnation of ')
    .replace(/^refs\/(heads|tags|remotes)\//, '');
}

/** Returns what pulling did to the branch, in lines. */
export function describeOutcome({ outcome, branch, commit, conflicts }: PullResult): string[] {
  if (outcome === 'up-to-date' || commit === undefined) return [`${branch} has everything already`];
  if (outcome === 'forward') return [`${branch} went forward to ${shortId(commit)}`];
  if (outcome === 'replaced')
    return [`${branch} is now at ${shortId(commit)}, as there; what it was is on another branch`];
  const changed =
    conflicts.length === 0
      ? 'no path was changed on both sides'
      : `${formatCount(conflicts.length, 'path')} changed on both sides`;
  return [
    `${branch} was merged into ${shortId(commit)}; ${changed}`,
    ...conflicts.map(
      ({ path, theirs, why }) => `  ${path}: ${why}${theirs === undefined ? '' : `; theirs is ${theirs}`}`,
    ),
  ];
}

/** Returns what to know once a branch has moved without the agent's files. */
export function describeFilesBehind(agent: string, program: string): string {
  return `the agent’s files stay as they are, and the next commit saves them as they are: ${program} restore ${agent} --in-place brings the branch’s`;
}
