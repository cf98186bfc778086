// What is shown before ink is there, and how the terminal is left.

import test from 'ava';
import { FirstFrames } from '../../tui/first-frames.ts';
import type { State } from '../../tui/state.ts';
import { screenLines } from '../../tui/views/screen.ts';
import { after, NOW_MS, shownState } from './states.ts';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?1049l\u001b[?25h';
const HOME = '\u001b[H';

/** A terminal that notes what it is told, and a store whose state is set by hand. */
function makeScreen(first: State) {
  const told: (string | boolean)[] = [];
  const listeners = new Set<() => void>();
  let state = first;
  return {
    told,
    terminal: {
      stdin: { setRawMode: (isRaw: boolean) => told.push(isRaw) },
      stdout: { columns: 80, write: (text: string) => told.push(text) > 0 },
    } as unknown as ConstructorParameters<typeof FirstFrames>[0],
    store: {
      getState: () => state,
      subscribe: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    change(next: State) {
      state = next;
      for (const listener of listeners) listener();
    },
    take: () => told.splice(0),
  };
}

const frameOf = (state: State): string => HOME + screenLines(state).join('\r\n');

test('frames are drawn as the state changes, and ink takes the terminal as it is', (t) => {
  const first = shownState();
  const screen = makeScreen(first);
  const frames = new FirstFrames(screen.terminal, screen.store);
  t.deepEqual(screen.take(), [true, ENTER, frameOf(first)]);
  const second = after(first, 'j');
  screen.change(second);
  t.deepEqual(screen.take(), [frameOf(second)]);
  screen.change(after(second, { type: 'tick', nowMs: NOW_MS }));
  t.deepEqual(screen.take(), [], 'a frame that is the same is not drawn again');
  const stdout = frames.handOver();
  t.deepEqual(screen.take(), [HOME]);
  screen.change(first);
  frames[Symbol.dispose]();
  t.deepEqual(screen.take(), [], 'from then on it is not its own');
  t.is(stdout.columns, 80);
  stdout.write('\u001b[?1049h');
  stdout.write('a frame');
  t.deepEqual(screen.take(), ['a frame'], 'to enter again would clear what is shown');
});

test('a terminal that was not handed over is given back', (t) => {
  const screen = makeScreen(shownState());
  {
    using _frames = new FirstFrames(screen.terminal, screen.store);
    screen.take();
  }
  t.deepEqual(screen.take(), [LEAVE, false]);
  screen.change(after(shownState(), 'j'));
  t.deepEqual(screen.take(), []);
});
