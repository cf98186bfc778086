// The screen in ink: rows that the views made, one after the other. Only rows that differ are drawn again. It has three elements, and
// so needs no JSX, which Node could not run from source.

import { Box, render, Text, useInput, usePaste, useWindowSize } from 'ink';
import { createElement, memo, useEffect, useSyncExternalStore, type ReactNode } from 'react';
import type { Browser } from '../src/ops/browser.ts';
import { keyNames } from './keys.ts';
import type { Event } from './reduce.ts';
import type { State } from './state.ts';
import { screenLines } from './views/screen.ts';

/** Keys are answered at once; more frames than these no eye sees. */
const MOST_FRAMES = 60;

/** What the screen shows, and who is told of keys. */
export interface Store {
  readonly getState: () => State;
  readonly subscribe: (listener: () => void) => () => void;
  readonly dispatch: (event: Event) => void;
}

const Row = memo(({ text }: { readonly text: string }): ReactNode =>
  createElement(Text, { wrap: 'truncate' }, text === '' ? ' ' : text),
);
Row.displayName = 'Row';

/** The rows of a state. */
export function Screen({ state }: { readonly state: State }): ReactNode {
  const rows = screenLines(state).map((text, index) => createElement(Row, { key: index, text }));
  return createElement(Box, { flexDirection: 'column', width: state.size.columns }, rows);
}

/** The interface. */
export function App({ store }: { readonly store: Store }): ReactNode {
  const state = useSyncExternalStore(store.subscribe, store.getState);
  const { columns, rows } = useWindowSize();
  useEffect(() => {
    store.dispatch({ type: 'resize', size: { columns, rows } });
  }, [store, columns, rows]);
  useInput((input, key) => {
    for (const name of keyNames(input, key)) store.dispatch({ type: 'key', key: name });
  });
  usePaste((text) => store.dispatch({ type: 'paste', text }));
  return createElement(Screen, { state });
}

/** Shows the interface until its user leaves, or the signal is aborted. */
export async function mount(
  store: Store,
  { stdin, stdout, signal }: Pick<Browser, 'stdin' | 'stdout' | 'signal'>,
): Promise<void> {
  const app = render(createElement(App, { store }), {
    stdin,
    stdout,
    alternateScreen: true,
    incrementalRendering: true,
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
    maxFps: MOST_FRAMES,
  });
  const leave = (): void => app.unmount();
  const unsubscribe = store.subscribe(() => {
    if (store.getState().isLeaving) leave();
  });
  signal.addEventListener('abort', leave, { once: true });
  try {
    await app.waitUntilExit();
  } finally {
    unsubscribe();
    signal.removeEventListener('abort', leave);
    app.unmount();
  }
}
