// Checks the signature of an S3 request, written from AWS's description of Signature Version 4: a server of the test suite that takes any
// signature would hide a client that signs wrongly.

import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

/** Returns the error code that S3 would answer, or undefined if the request is signed with these keys and its body is the signed one. */
export function findSignatureFault(
  request: IncomingMessage,
  body: Buffer,
  keys: { readonly accessKeyId: string; readonly secretAccessKey: string },
  nowMs: number,
): string | undefined {
  const { headers, method = '', url = '' } = request;
  const parsed =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/([0-9]{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    );
  if (parsed === null) return 'AccessDenied';
  const [, keyId, day = '', region = '', signedHeaders = '', signature] = parsed;
  if (keyId !== keys.accessKeyId) return 'InvalidAccessKeyId';
  const date = String(headers['x-amz-date']);
  const sentMs = Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(sentMs - nowMs) < 15 * 60_000)) return 'RequestTimeTooSkewed';
  const payload = String(headers['x-amz-content-sha256']);
  if (payload !== createHash('sha256').update(body).digest('hex')) return 'XAmzContentSHA256Mismatch';
  const [path = '', query = ''] = url.split('?');
  const sorted =
    query === ''
      ? []
      : query
          .split('&')
          .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
          .toSorted();
  const names = signedHeaders.split(';');
  const canonical = [
    method,
    path,
    sorted.join('&'),
    ...names.map((name) => `${name}:${String(headers[name]).trim().replaceAll(/ +/g, ' ')}`),
    '',
    signedHeaders,
    payload,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  let key: Buffer | string = `AWS4${keys.secretAccessKey}`;
  for (const part of [day, region, 's3', 'aws4_request']) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(text).digest('hex') === signature ? undefined : 'SignatureDoesNotMatch';
}
