// The printable form of a recovery key: `MOLT-`, then 32 bytes and a 3-byte checksum in Crockford's base32, which has no letters that
// look like digits (https://www.crockford.com/base32.html): 56 characters in groups of 4. It is read back however a person types it.

import { hash } from 'node:crypto';
import { MoltError } from '../model/error.ts';
import { SECRET_KEY_BYTES } from './slot.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const NOT_IN_ALPHABET = /[^0-9A-HJKMNP-TV-Z]/;
const LABEL = Buffer.from('molt/1 recovery key', 'ascii');
const CHECKSUM_BYTES = 3;
const CHARACTERS = ((SECRET_KEY_BYTES + CHECKSUM_BYTES) * 8) / 5;
const GROUP = 4;
const PREFIX = 'MOLT';
const SEPARATORS = /[\s\u00ad\u2010-\u2015\u2212_-]/g;

/** Returns the form of a 32-byte recovery key that people print and type: 74 characters in one line. */
export function encodeRecoveryKey(key: Buffer): string {
  if (key.length !== SECRET_KEY_BYTES) throw new Error(`a recovery key is ${SECRET_KEY_BYTES} bytes`);
  const text = encodeBase32(Buffer.concat([key, checksum(key)]));
  const groups = text.match(new RegExp(`.{${GROUP}}`, 'g')) ?? [];
  return [PREFIX, ...groups].join('-');
}

/**
 * Returns the 32 bytes of a recovery key. Case, spaces, dashes and the prefix do not matter; O is read as 0, I and L as 1.
 * @throws {MoltError} USAGE when it was mistyped; the message never holds any of it
 */
export function parseRecoveryKey(text: string): Buffer {
  const characters = normalize(text);
  if (characters.length !== CHARACTERS) {
    throw mistyped(`it has ${characters.length} characters after ${PREFIX}, not ${CHARACTERS}`);
  }
  const wrong = characters.search(NOT_IN_ALPHABET);
  if (wrong >= 0) throw mistyped(`group ${Math.floor(wrong / GROUP) + 1} holds a character that no recovery key has`);
  const bytes = decodeBase32(characters);
  const key = bytes.subarray(0, SECRET_KEY_BYTES);
  if (!checksum(key).equals(bytes.subarray(SECRET_KEY_BYTES))) throw mistyped('its check characters do not fit');
  return key;
}

function mistyped(reason: string): MoltError {
  return new MoltError('USAGE', `recovery key is mistyped: ${reason}`);
}

function normalize(text: string): string {
  const plain = text.replace(SEPARATORS, '').toUpperCase();
  const body = plain.length > CHARACTERS && /^M[O0][L1I]T/.test(plain) ? plain.slice(PREFIX.length) : plain;
  return body.replaceAll('O', '0').replace(/[IL]/g, '1');
}

function checksum(key: Buffer): Buffer {
  return hash('sha256', Buffer.concat([LABEL, key]), 'buffer').subarray(0, CHECKSUM_BYTES);
}

function encodeBase32(bytes: Buffer): string {
  let value = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let count = 0; count < CHARACTERS; count += 1) {
    text = ALPHABET.charAt(Number(value & 31n)) + text;
    value >>= 5n;
  }
  return text;
}

function decodeBase32(characters: string): Buffer {
  let value = 0n;
  for (const character of characters) value = (value << 5n) | BigInt(ALPHABET.indexOf(character));
  return Buffer.from(value.toString(16).padStart((SECRET_KEY_BYTES + CHECKSUM_BYTES) * 2, '0'), 'hex');
}
