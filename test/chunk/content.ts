// Content for the chunk tests and benchmarks: the same bytes for the same seed, everywhere.

import { createCipheriv, createHash } from 'node:crypto';

/** Returns bytes that nothing compresses. */
export function randomContent(seed: number | string, length: number): Buffer {
  const key = createHash('sha256').update(String(seed)).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

const WORDS = 'the agent memory session message tool result user assistant content of and a in token model'.split(' ');

/** Returns JSON lines as an agent's conversation has them. */
export function textContent(seed: number | string, length: number): Buffer {
  const dice = randomContent(seed, Math.ceil(length / 2) + 64);
  const lines: string[] = [];
  for (let size = 0, at = 0; size < length;) {
    const words = Array.from({ length: 20 + ((dice[at] ?? 0) % 60) }, (_, index) => {
      const die = dice[(at + index) % dice.length] ?? 0;
      return die < 80 ? (die * 7919 + index * at).toString(36) : (WORDS[die % WORDS.length] ?? '');
    });
    at = (at + words.length) % dice.length;
    const id = dice.toString('hex', at % (dice.length - 8), (at % (dice.length - 8)) + 8);
    const line = `${JSON.stringify({ id, type: 'message', timestamp: 1_760_000_000_000 + size, text: words.join(' ') })}\n`;
    lines.push(line);
    size += line.length;
  }
  return Buffer.from(lines.join('').slice(0, length), 'latin1');
}
