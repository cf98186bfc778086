// Between the names of objects and the keys of a bucket.

import { checkName } from './name.ts';
import type { S3Location } from './remote-url.ts';

/** The keys under one prefix of one bucket. */
export class S3Keys {
  readonly bucket: string;
  readonly #base: string;

  constructor({ bucket, prefix }: S3Location) {
    this.bucket = bucket;
    this.#base = prefix === '' ? '' : `${prefix}/`;
  }

  /** Returns the key of a name, or of the beginning of one. */
  key(name: string): string {
    return this.#base + name;
  }

  /** Returns what a command needs to mean an object. */
  at(name: string): { readonly Bucket: string; readonly Key: string } {
    return { Bucket: this.bucket, Key: this.key(name) };
  }

  /** Returns the name that a listed key stands for, or undefined if it is none of ours. */
  findName(key: string | undefined): string | undefined {
    if (key === undefined || !key.startsWith(this.#base)) return undefined;
    const name = key.slice(this.#base.length);
    try {
      checkName(name);
      return name;
    } catch {
      return undefined;
    }
  }

  /**
   * Returns the parameter that begins a list behind a text, which need be no name; it may begin earlier, since not every server takes
   * every text. Nothing if that is the list's beginning anyway.
   */
  startAfter<P extends string>(prefix: string, startAfter: string, parameter: P): Partial<Record<P, string>> {
    const [plain = ''] = /^[a-z0-9._/-]*/.exec(startAfter) ?? [];
    if (!plain.startsWith(prefix) || plain === '') return {};
    return { [parameter]: this.key(plain) } as Partial<Record<P, string>>;
  }
}
