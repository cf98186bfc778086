// Reversible escaping of file names that Git refuses (FORMAT.md, "Names"): `.git` and its look-alikes, `.` and `..`,
// control characters, backslashes and bytes that are not UTF-8. An escaped byte is written %XX in upper-case hex.

const ESCAPE = /%[0-9A-F]{2}/;
const ESCAPES = /%([0-9A-F]{2})/g;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const SUSPECT = /[\u0000-\u001f\u007f\\%\ufffd]|^\.|^gi|^mai|[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/i;
// Code points that HFS+ ignores in names: git's utf8.c, next_hfs_char().
const HFS_IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
// NTFS short names that git's path.c refuses: git~1, gitmod~1, gi7eba~1 and so on.
const NTFS_SHORT_NAME = /^(gi|mai)[0-9a-z]*~[0-9]/;

/**
 * Returns the name under which a file stands in a Git tree: the name itself where Git takes it, else its escaped form.
 * @param name one path component, as text if it is valid UTF-8, else its bytes; never holds `/` or NUL
 */
export function escapeName(name: string | Buffer): string {
  if (typeof name === 'string') {
    if (!SUSPECT.test(name)) return name;
    return escapeBytes(Buffer.from(name, 'utf8'));
  }
  return escapeBytes(name);
}

/** Returns the real name behind an escaped one: text where it is valid UTF-8, else bytes. */
export function unescapeName(escaped: string): string | Buffer {
  if (!ESCAPE.test(escaped)) return escaped;
  const bytes = unescapeToBytes(escaped);
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : bytes;
}

/** Returns the bytes of the real name behind an escaped one. */
export function unescapeToBytes(escaped: string): Buffer {
  return Buffer.concat(
    escaped
      .split(ESCAPES)
      .map((part, index) => (index % 2 === 1 ? Buffer.from(part, 'hex') : Buffer.from(part, 'utf8'))),
  );
}

/** Returns an escaped path as people read it; bytes that are not UTF-8 stay escaped. */
export function displayPath(path: string): string {
  if (!ESCAPE.test(path)) return path;
  return path
    .split('/')
    .map((name) => {
      const real = unescapeName(name);
      // oxlint-disable-next-line no-control-regex -- a control character must not reach a terminal
      return typeof real === 'string' && !/[\u0000-\u001f\u007f-\u009f]/.test(real) ? real : name;
    })
    .join('/');
}

function escapeBytes(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  const valid = Buffer.from(text, 'utf8').equals(bytes);
  const escapeFirst = valid && isRefusedName(text);
  let out = '';
  let offset = 0;
  while (offset < bytes.length) {
    const length = validSequenceLength(bytes, offset);
    const byte = bytes[offset] ?? 0;
    const escape =
      length === 0 ||
      byte < 0x20 ||
      byte === 0x7f ||
      byte === 0x5c ||
      (escapeFirst && offset === 0) ||
      (byte === 0x25 && ESCAPE.test(bytes.toString('latin1', offset, offset + 3)));
    if (escape) {
      out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
      offset += 1;
    } else {
      out += bytes.toString('utf8', offset, offset + length);
      offset += length;
    }
  }
  return out;
}

/** Says whether Git (fsck --strict, with HFS+ and NTFS protection) would refuse or interpret this name. */
function isRefusedName(name: string): boolean {
  if (name === '.' || name === '..') return true;
  if (name === '.gitignore') return false;
  const folded = name.replace(HFS_IGNORED, '').toLowerCase();
  return folded.startsWith('.git') || folded.startsWith('.mailmap') || NTFS_SHORT_NAME.test(folded);
}

/** Returns the length of the valid UTF-8 sequence at an offset, 0 if there is none (RFC 3629). */
function validSequenceLength(bytes: Buffer, offset: number): number {
  const first = bytes[offset] ?? 0;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length === 0 || offset + length > bytes.length) return 0;
  const sequence = bytes.subarray(offset, offset + length);
  return Buffer.from(sequence.toString('utf8'), 'utf8').equals(sequence) ? length : 0;
}
