// Opens any remote by its URL. The code of a kind is loaded only when a remote of that kind is used.

import { parseRemoteUrl } from './remote-url.ts';
import type { RemoteOptions, RemoteStorage } from './remote.ts';

/**
 * Opens the storage that a URL names; sends no request yet.
 * @throws {MoltError} USAGE at a wrong URL, REMOTE_UNREACHABLE or IO when a folder can't be used
 */
export async function openRemoteStorage(url: string, options: RemoteOptions = {}): Promise<RemoteStorage> {
  const location = parseRemoteUrl(url);
  if (location.scheme === 'file') {
    const { DirectoryRemote } = await import('./directory-remote.ts');
    return DirectoryRemote.open(location.dir, location.url, options.create ?? false);
  }
  const { S3Storage } = await import('./s3.ts');
  return new S3Storage(location, options);
}
