// The one interface behind which a repository, a remote and a bundle have the same layout: named objects, written once.

/** What is known of a stored object without reading it. */
export interface ObjectStat {
  readonly name: string;
  readonly sizeBytes: number;
  /** When the storage says that it was written, in milliseconds since the Unix epoch, by the storage's own clock. */
  readonly modifiedMs: number;
}

/**
 * A place that keeps named objects.
 *
 * Names are relative, `/` between parts, each part of `[a-z0-9._-]`, none beginning with a dot: `packs/ab/abc…`. They have at most
 * 200 characters, and their first part is never `tmp`. No name is another's folder (`a` beside `a/b`).
 * Every method rejects with a MoltError: HOSTILE at what is no name, or where something else than an object has one; IO (or
 * REMOTE_UNREACHABLE, REMOTE_REFUSED) when the storage fails. What a method reports as done is durable: it survives the process and
 * the machine dying right after; also "false", which means that a durable object has the name. An error from `createOnce` may mean
 * that the object was written and only the answer is lost: read it back.
 * `test/storage/contract.ts` is the normative behaviour.
 */
export interface Storage {
  /** What a person would call it: a path or a URL without credentials. */
  readonly label: string;

  /**
   * Writes an object whole under a name that has none yet, and makes it durable. Of several racing calls for one name exactly one
   * gets true; a reader sees nothing or all of it.
   * @returns false if the name is taken: then nothing was written
   */
  createOnce(name: string, parts: readonly Uint8Array[]): Promise<boolean>;

  /**
   * Reads an object, or `[start, end)` of it (cut at the object's end). The buffer is the caller's own.
   * @returns undefined if there is no such object
   */
  read(name: string, range?: { readonly start: number; readonly end: number }): Promise<Buffer | undefined>;

  /** Returns an object's stat, or undefined if there is none. */
  stat(name: string): Promise<ObjectStat | undefined>;

  /**
   * Lists the objects whose names begin with `prefix`, in ascending byte order of their names, from after `startAfter` (any text).
   * What is written or deleted meanwhile may or may not be among them.
   */
  list(prefix: string, startAfter?: string): AsyncIterable<ObjectStat>;

  /** Deletes an object; deleting what is not there is no error. */
  delete(name: string): Promise<void>;

  /** Gives back what the storage holds open. Closing twice is fine; using it afterwards is not. */
  close(): Promise<void>;
}
