// An identity: the X25519 key pair of somebody who gets access without a passphrase. The private half is the text of a file, the public
// half a word to give away; both end in a checksum or a fixed form, so that a bad copy is noticed.

import { hash } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import { X25519_KEY_BYTES } from './sealed-box.ts';

const IDENTITY = /^molt-identity-1 ([A-Za-z0-9+/]{43}=)\r?\n?$/;
const PUBLIC = /^molt-public-1-([A-Za-z0-9_-]{48})$/;
const LABEL = Buffer.from('molt/1 public key', 'ascii');
const CHECKSUM_BYTES = 4;

/** Returns the text of the file that holds a private key. */
export function encodeIdentity(privateKey: Buffer): string {
  if (privateKey.length !== X25519_KEY_BYTES) throw new Error(`a private key is ${X25519_KEY_BYTES} bytes`);
  return `molt-identity-1 ${privateKey.toString('base64')}\n`;
}

/** Returns the private key that an identity file's text holds. @throws {MoltError} DAMAGED; the message holds none of it */
export function parseIdentity(text: string): Buffer {
  const base64 = IDENTITY.exec(text)?.[1];
  const key = Buffer.from(base64 ?? '', 'base64');
  if (base64 === undefined || key.toString('base64') !== base64) {
    throw new MoltError('DAMAGED', 'identity file does not hold an identity', {
      hint: 'molt key identity FILE makes one',
    });
  }
  return key;
}

/** Returns the form of a public key that people give away: 62 characters. */
export function encodePublicKey(key: Buffer): string {
  if (key.length !== X25519_KEY_BYTES) throw new Error(`a public key is ${X25519_KEY_BYTES} bytes`);
  return `molt-public-1-${Buffer.concat([key, checksum(key)]).toString('base64url')}`;
}

/** Returns the public key that a word stands for. @throws {MoltError} USAGE when it is none, or mistyped */
export function parsePublicKey(text: string): Buffer {
  const bytes = Buffer.from(PUBLIC.exec(text.trim())?.[1] ?? '', 'base64url');
  const key = bytes.subarray(0, X25519_KEY_BYTES);
  if (bytes.length === X25519_KEY_BYTES + CHECKSUM_BYTES && checksum(key).equals(bytes.subarray(X25519_KEY_BYTES))) {
    return Buffer.from(key);
  }
  throw new MoltError('USAGE', `"${text.slice(0, 80)}" is no public key, or not a whole one`, {
    hint: 'molt key identity FILE prints it: molt-public-1-…',
  });
}

function checksum(key: Buffer): Buffer {
  return hash('sha256', Buffer.concat([LABEL, key]), 'buffer').subarray(0, CHECKSUM_BYTES);
}
