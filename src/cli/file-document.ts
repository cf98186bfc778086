// A file of a commit as one JSON document.

import { MoltError } from '../model/error.ts';
import type { ShownFile } from '../ops/show.ts';

/** More than this makes no sense inside a document. */
const MAX_BYTES = 64 << 20;

/**
 * Returns a file with its content: as text where it is UTF-8, else in base64.
 * @throws {MoltError} USAGE when it is too large for a document
 */
export async function fileDocument({ type, commit, path, blob, sizeBytes, read }: ShownFile): Promise<object> {
  if (sizeBytes > MAX_BYTES)
    throw new MoltError('USAGE', `${path} is too large for --json`, { hint: 'leave --json away to get its bytes' });
  const parts: Buffer[] = [];
  for await (const part of read()) parts.push(part);
  const bytes = Buffer.concat(parts);
  const text = bytes.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes);
  return {
    type,
    commit,
    path,
    blob,
    sizeBytes,
    encoding: isText ? 'utf8' : 'base64',
    content: isText ? text : bytes.toString('base64'),
  };
}
