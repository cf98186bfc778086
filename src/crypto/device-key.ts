// The text of a device key file: `molt-device-key-1`, a space, 32 bytes in base64, a newline. Where the file lies is not known here.

import { MoltError } from '../model/error.ts';
import { SECRET_KEY_BYTES } from './slot.ts';

const FORM = /^molt-device-key-1 ([A-Za-z0-9+/]{43}=)\r?\n?$/;
const NEWER = /^molt-device-key-([2-9]|[1-9]\d{1,3}) /;

/** Returns the text of the file that holds a 32-byte device key. */
export function encodeDeviceKey(key: Buffer): string {
  if (key.length !== SECRET_KEY_BYTES) throw new Error(`a device key is ${SECRET_KEY_BYTES} bytes`);
  return `molt-device-key-1 ${key.toString('base64')}\n`;
}

/**
 * Returns the 32-byte device key that a file's text holds.
 * @throws {MoltError} DAMAGED when the text is none, NEWER_FORMAT when it is of a later version; the message never holds any of it
 */
export function parseDeviceKey(text: string): Buffer {
  const newer = NEWER.exec(text)?.[1];
  if (newer !== undefined) {
    throw new MoltError('NEWER_FORMAT', `device key is of version ${newer}, and this molt reads version 1`, {
      hint: 'install a newer molt',
    });
  }
  const base64 = FORM.exec(text)?.[1];
  const key = Buffer.from(base64 ?? '', 'base64');
  // Base64 leaves two spare bits in its last digit: only one spelling is taken.
  if (base64 === undefined || key.toString('base64') !== base64) {
    throw new MoltError('DAMAGED', 'device key file does not hold a device key');
  }
  return key;
}
