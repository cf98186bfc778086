// The time of a simulated store on an S3 server. What the server says of the age of objects passes a proxy that makes it what it would be.

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { openRemoteStorage } from '../../src/storage/open-remote.ts';
import { addUp, type TimedStore, type StoreSizes, type Tick } from './store.ts';

/** A place on an S3 server, seen through simulated time. */
export class S3Time implements TimedStore, Disposable {
  readonly url: string;
  readonly #proxy: ChildProcess;

  private constructor(url: string, proxy: ChildProcess) {
    this.url = url;
    this.#proxy = proxy;
  }

  /** @param url with an endpoint on this machine */
  static async start(url: string): Promise<S3Time> {
    const server = new URL(new URL(url).searchParams.get('endpoint') ?? '');
    const proxy = fork(join(import.meta.dirname, 's3-time-proxy.ts'), [server.port]);
    const [port] = (await once(proxy, 'message')) as [number];
    const seen = new URL(url);
    seen.searchParams.set('endpoint', `http://127.0.0.1:${port}`);
    return new S3Time(seen.href, proxy);
  }

  begin(tick: Tick): void {
    this.#proxy.send(tick);
  }

  age(): void {
    // The proxy does it with every answer.
  }

  async measure(): Promise<StoreSizes> {
    const objects = [];
    for await (const object of (await openRemoteStorage(this.url)).list('')) objects.push(object);
    return addUp(objects);
  }

  [Symbol.dispose](): void {
    this.#proxy.disconnect();
  }
}
