// What a file is by its first bytes, for those that are not compared by content.

import { decodeText } from './kind.ts';

/** How many of a file's first bytes `describeType` looks at. */
export const TYPE_HEAD_BYTES = 512;

/** Formats by the bytes at an offset; from https://en.wikipedia.org/wiki/List_of_file_signatures and the formats' own pages. */
const SIGNATURES: readonly (readonly [type: string, offset: number, hex: string])[] = [
  ['SQLite database', 0, '53514c69746520666f726d6174203300'],
  ['PNG image', 0, '89504e470d0a1a0a'],
  ['JPEG image', 0, 'ffd8ff'],
  ['GIF image', 0, '47494638'],
  ['WebP image', 8, '57454250'],
  ['BMP image', 0, '424d'],
  ['TIFF image', 0, '49492a00'],
  ['TIFF image', 0, '4d4d002a'],
  ['HEIF image', 4, '66747970686569'],
  ['AVIF image', 4, '6674797061766966'],
  ['PDF document', 0, '255044462d'],
  ['gzip archive', 0, '1f8b'],
  ['zstd archive', 0, '28b52ffd'],
  ['xz archive', 0, 'fd377a585a00'],
  ['bzip2 archive', 0, '425a68'],
  ['zip archive', 0, '504b0304'],
  ['zip archive', 0, '504b0506'],
  ['7-Zip archive', 0, '377abcaf271c'],
  ['tar archive', 257, '7573746172'],
  ['Matroska or WebM video', 0, '1a45dfa3'],
  ['MP4 video', 4, '66747970'],
  ['WAV audio', 8, '57415645'],
  ['Ogg audio', 0, '4f676753'],
  ['FLAC audio', 0, '664c6143'],
  ['MP3 audio', 0, '494433'],
  ['MP3 audio', 0, 'fffb'],
  ['GGUF model', 0, '47475546'],
  ['Parquet table', 0, '50415231'],
  ['NumPy array', 0, '934e554d5059'],
  ['ELF program', 0, '7f454c46'],
  ['WebAssembly module', 0, '0061736d'],
];

/** Returns what a file is, in words, by its first bytes. */
export function describeType(head: Buffer): string {
  if (head.length === 0) return 'empty';
  const isText = decodeText(head, true) !== undefined;
  for (const [type, offset, hex] of SIGNATURES) {
    // Two or three letters may begin any text.
    if (isText && hex.length <= 6) continue;
    if (head.toString('hex', offset, offset + hex.length / 2) === hex) return type;
  }
  return isText ? 'text' : 'data';
}
