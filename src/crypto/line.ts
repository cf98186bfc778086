// Sealing of short lines of local files, each by itself: whoever appends one need not know the others. Like a container, each has its
// own key, from a fresh salt, so that the nonce can be zero.

import { createSecretKey, type KeyObject } from 'node:crypto';
import type { Random } from '../model/ports.ts';
import { openGcm, sealGcm, TAG_BYTES, ZERO_NONCE } from './gcm.ts';
import { deriveKey, hkdf } from './hkdf.ts';

const SALT_BYTES = 32;
const KEY_BYTES = 32;

/**
 * Seals a line.
 * @param label says what the line is for, and binds it to that; the same label opens it
 * @returns base64 without line breaks
 */
export function sealLine(key: KeyObject, label: string, plain: Buffer, random: Random): string {
  const salt = random.bytes(SALT_BYTES);
  const [ciphertext, tag] = sealGcm(lineKey(key, salt, label), ZERO_NONCE, Buffer.from(label, 'utf8'), plain);
  return Buffer.concat([salt, ciphertext, tag]).toString('base64');
}

/** Opens a line; undefined if it was torn, changed, or sealed by another key or for something else. */
export function openLine(key: KeyObject, label: string, line: string): Buffer | undefined {
  const sealed = Buffer.from(line, 'base64');
  if (sealed.length < SALT_BYTES + TAG_BYTES) return undefined;
  const salt = sealed.subarray(0, SALT_BYTES);
  return openGcm(lineKey(key, salt, label), ZERO_NONCE, Buffer.from(label, 'utf8'), sealed.subarray(SALT_BYTES));
}

/** Returns the key that stands in for a repository's in lines of this machine's own files. */
export function deriveMachineLineKey(deviceKey: Buffer): KeyObject {
  return deriveKey(deviceKey, 'molt/1 machine lines');
}

function lineKey(key: KeyObject, salt: Buffer, label: string): KeyObject {
  return createSecretKey(hkdf(key, salt, Buffer.from(`molt/1 line ${label}`, 'utf8'), KEY_BYTES));
}
