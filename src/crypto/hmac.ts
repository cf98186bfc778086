// HMAC-SHA-256 (RFC 2104), for ids and for the keyring's MAC.

import { createHmac, type KeyObject } from 'node:crypto';

/** Returns HMAC-SHA-256 of some bytes. Takes a KeyObject only: with a raw key each call costs five times as much. */
export function hmacSha256(key: KeyObject, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}
