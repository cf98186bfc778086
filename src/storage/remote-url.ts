// The URLs of remotes, as a user types them: file:///dir and s3://bucket/prefix?endpoint=…&region=…&path-style=…&profile=…
// A URL lands in configuration files, process lists and logs, so one that carries credentials is refused, and never repeated.

import { fileURLToPath } from 'node:url';
import { MoltError } from '../model/error.ts';

/** A folder as a remote. */
interface DirectoryLocation {
  readonly scheme: 'file';
  readonly dir: string;
  /** The URL in its shortest spelling. */
  readonly url: string;
}

/** A bucket, or a prefix in one, as a remote. */
export interface S3Location {
  readonly scheme: 's3';
  readonly bucket: string;
  /** Empty, or without a slash at either end. */
  readonly prefix: string;
  /** The server's base URL; undefined for AWS itself. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** The bucket in the path (true) or in the host's name (false). */
  readonly pathStyle: boolean;
  /** The profile of the AWS configuration files that has the credentials. */
  readonly profile: string | undefined;
  readonly url: string;
}

/** Where a remote is. */
export type RemoteLocation = DirectoryLocation | S3Location;

const S3_PARAMETERS = ['endpoint', 'region', 'path-style', 'profile'];
const SECRET_PARAMETER = /key|secret|token|passw|credential|signature/i;
const BUCKET = /^[a-z0-9A-Z][a-zA-Z0-9._-]{1,61}[a-zA-Z0-9]$/;
const PREFIX_PART = /^[a-zA-Z0-9!_.*'()-]{1,100}$/;
const WORD = /^[a-zA-Z0-9_.@ +-]{1,100}$/;
const FORMS = 's3://bucket/prefix, s3://bucket/prefix?endpoint=https://host&region=name, or file:///folder';

/**
 * Parses a remote's URL.
 * @throws {MoltError} USAGE when it is none, or carries credentials
 */
export function parseRemoteUrl(text: string): RemoteLocation {
  const url = URL.parse(text);
  if (url === null) throw usage('the URL of the remote is not a URL');
  refuseCredentials(url);
  if (url.protocol === 'file:') return parseFileUrl(url);
  if (url.protocol === 's3:') return parseS3Url(url);
  throw usage(`molt knows no remotes of the kind ${url.protocol}`);
}

function parseFileUrl(url: URL): DirectoryLocation {
  if (url.host !== '' || url.search !== '' || url.hash !== '') {
    throw usage('a file URL has three slashes, an absolute path and nothing behind it');
  }
  try {
    return { scheme: 'file', dir: fileURLToPath(url), url: url.href };
  } catch (error) {
    throw usage(`the file URL has no usable path`, error);
  }
}

function parseS3Url(url: URL): S3Location {
  if (!BUCKET.test(url.hostname) || url.port !== '') throw usage('the bucket’s name in the URL is not valid');
  if (url.hash !== '') throw usage('an s3 URL has nothing behind a #');
  const prefix = url.pathname.replace(/^\//, '').replace(/\/$/, '');
  const parts = prefix === '' ? [] : prefix.split('/');
  if (prefix.length > 400 || parts.some((part) => !PREFIX_PART.test(part) || /^\.+$/.test(part))) {
    throw usage('the prefix in the URL has empty parts or characters that not every server takes');
  }
  for (const name of url.searchParams.keys()) {
    if (!S3_PARAMETERS.includes(name)) throw usage(`the URL has the parameter "${name}", which molt does not know`);
    if (url.searchParams.getAll(name).length > 1) throw usage(`the URL has the parameter "${name}" twice`);
  }
  const endpoint = parseEndpoint(url.searchParams.get('endpoint'));
  const pathStyle = parseFlag(url.searchParams.get('path-style')) ?? endpoint !== undefined;
  const region = parseWord('region', url.searchParams.get('region'));
  const profile = parseWord('profile', url.searchParams.get('profile'));
  const query = new URLSearchParams();
  if (endpoint !== undefined) query.set('endpoint', endpoint);
  if (region !== undefined) query.set('region', region);
  if (pathStyle !== (endpoint !== undefined)) query.set('path-style', String(pathStyle));
  if (profile !== undefined) query.set('profile', profile);
  const base = `s3://${url.hostname}${prefix === '' ? '' : `/${prefix}`}`;
  const canonical = query.size === 0 ? base : `${base}?${query}`;
  return { scheme: 's3', bucket: url.hostname, prefix, endpoint, region, pathStyle, profile, url: canonical };
}

function parseEndpoint(text: string | null): string | undefined {
  if (text === null) return undefined;
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  if (url === null || !['http:', 'https:'].includes(url.protocol))
    throw usage('the endpoint is not an http or https URL');
  refuseCredentials(url);
  if (url.search !== '' || url.hash !== '') throw usage('the endpoint has nothing behind its path');
  return url.href.replace(/\/$/, '');
}

function parseFlag(text: string | null): boolean | undefined {
  if (text === null) return undefined;
  if (text !== 'true' && text !== 'false') throw usage('path-style is true or false');
  return text === 'true';
}

function parseWord(name: string, text: string | null): string | undefined {
  if (text === null) return undefined;
  if (!WORD.test(text)) throw usage(`the ${name} in the URL is not valid`);
  return text;
}

function refuseCredentials(url: URL): void {
  const names = [...url.searchParams.keys()].filter((name) => !S3_PARAMETERS.includes(name));
  if (url.username === '' && url.password === '' && !names.some((name) => SECRET_PARAMETER.test(name))) return;
  throw new MoltError('USAGE', 'the URL of a remote must not carry credentials: it is stored and shown', {
    hint: 'put them into a profile of ~/.aws/credentials and name it with ?profile=NAME, or into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; if they were real, replace them',
  });
}

function usage(message: string, cause?: unknown): MoltError {
  return new MoltError('USAGE', message, { hint: `write ${FORMS}`, ...(cause === undefined ? {} : { cause }) });
}
