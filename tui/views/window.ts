// A window over the panes.

import type { Line } from '../line.ts';

/** What is in it. */
export interface OverlayView {
  readonly title: string;
  readonly lines: readonly Line[];
  /** What its keys are, at its bottom. */
  readonly keys: string;
}

/** The room that it has. */
export interface Room {
  readonly columns: number;
  readonly rows: number;
}
