// What Sha1Thread and its worker say to each other.

import type { MessagePort } from 'node:worker_threads';

export const SHA1_BYTES = 20;

/** Two counters, how many orders were sent and how many are done, and room for a digest behind them. */
export const SHA1_CONTROL = { sent: 0, done: 1, digestOffset: 8, bytes: 8 + SHA1_BYTES } as const;

/** What the thread is started with. */
export interface Sha1Setup {
  readonly port: MessagePort;
  readonly control: Int32Array<SharedArrayBuffer>;
}

/** What the thread is told. */
export type Sha1Order =
  | { readonly type: 'start'; readonly header: Uint8Array<ArrayBuffer> }
  | { readonly type: 'bytes'; readonly memory: SharedArrayBuffer; readonly offset: number; readonly length: number }
  | { readonly type: 'digest' };
