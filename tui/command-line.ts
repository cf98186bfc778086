// The command line that does what the interface does: each action shows its own, so that nothing has to be learnt twice.

import { shortId } from '../src/model/ids.ts';
import { displayPath } from '../src/model/name.ts';
import { blamedLine, isUnmasked, selectedFile, selectedId, selectedRow } from './panes.ts';
import type { Pair, Request, State } from './state.ts';

/** Returns a word as a shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Returns the command line of what is asked for. */
export function requestLine(state: State, request: Request): string {
  const { program } = state;
  const label = labelOf(state);
  switch (request.verb) {
    case 'commit':
      return `${program} commit ${label}${request.message === undefined ? '' : ` -m ${quote(request.message)}`}`;
    case 'push':
      return `${program} push --all -a ${label}`;
    case 'verify':
      return `${program} verify ${label}`;
    case 'remove-pod':
      return `${program} pod remove ${quote(request.name)}`;
    case 'restore': {
      const way = {
        pod: `--target ${quote(request.name)}`,
        folder: `--to ${quote(request.name)}`,
        'in-place': '--in-place',
      };
      return `${program} restore ${label} ${shortId(request.commit)} ${way[request.target]}`;
    }
  }
}

/** Returns the command line of what the screen shows. */
export function shownLine(state: State): string {
  const { program, overlay, focus, pair, filter, shown } = state;
  const label = labelOf(state);
  if (state.agent === undefined) return `${program} status`;
  if (overlay?.kind === 'found') return `${program} search ${label} ${quote(state.found?.phrase ?? '')}`;
  if (overlay?.kind === 'blame') {
    const number = blamedLine(state)?.line?.number;
    const place = quote(`${shortId(overlay.commit)}:${displayPath(overlay.path)}`);
    return `${program} blame ${label} ${place}${number === undefined ? '' : ` -L ${number}`}`;
  }
  if (overlay?.kind === 'remotes') return `${program} remote list -a ${label}`;
  if (overlay?.kind === 'pods') return `${program} pod list`;
  if (overlay?.kind === 'job' && state.job !== undefined) return state.job.command;
  if (overlay?.kind === 'remove-pod') return requestLine(state, { verb: 'remove-pod', name: overlay.name });
  if (overlay?.kind === 'restore') {
    const { commit, target, name, isUndo } = overlay;
    if (isUndo) return `${program} restore ${label} --undo`;
    return requestLine(state, { verb: 'restore', commit, target, name });
  }
  const file = selectedFile(state);
  if (pair !== undefined || (focus !== 'timeline' && file !== undefined)) {
    const path = focus === 'timeline' || file === undefined ? '' : ` -- ${quote(displayPath(file.path))}`;
    const secrets = isUnmasked(state) ? ' --show-secrets' : '';
    return `${program} diff ${label} ${sidesOf(state, pair)}${secrets}${path}`;
  }
  const row = selectedRow(state);
  if (row?.kind === 'commit') return `${program} show ${label} ${shortId(shown?.timeline.id(row.at) ?? ('' as never))}`;
  if (row === undefined) return `${program} log ${label}`;
  const path = filter.includes('/') ? ` -- ${quote(filter)}` : '';
  return `${program} log ${label} --since ${row.day.key} --until ${row.day.key}${path}`;
}

function sidesOf(state: State, pair: Pair | undefined): string {
  const id = selectedId(state);
  if (pair === undefined) return id === undefined ? '' : `${shortId(id)}~1 ${shortId(id)}`;
  const from = pair.from === 'before' ? '' : shortId(pair.from);
  return pair.to === 'live' ? from : `${from} ${shortId(pair.to)}`;
}

function labelOf({ agent, wantedLabel }: State): string {
  return agent?.label ?? wantedLabel ?? '';
}
