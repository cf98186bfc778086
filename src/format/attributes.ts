// The `attributes` file of a commit (FORMAT.md, "Attributes"): what Git trees cannot hold, one line an entry, in tree order.

import { COMPONENTS, type Component } from '../model/component.ts';
import type { EntryAttributes, EntryType } from '../model/entry.ts';
import { MoltError } from '../model/error.ts';

/** Cap on the file; beyond twice as much it would not fit into a string. */
export const ATTRIBUTES_MAX_BYTES = 256 << 20;

const HEADING = 'molt attributes 1\n';
const TYPE_LETTERS: Record<EntryType, string> = { file: 'f', directory: 'd', symlink: 'l' };
const TYPES: Record<string, EntryType> = { f: 'file', d: 'directory', l: 'symlink' };
const COMPONENT_LETTERS: Record<Component, string> = {
  configuration: 'c',
  state: 's',
  skills: 'k',
  runtime: 'r',
  custom: 'u',
};
const COMPONENTS_BY_LETTER = new Map(COMPONENTS.map((name) => [COMPONENT_LETTERS[name], name]));
// 16 times the longest path that Linux opens; a pattern takes memory for each character.
const MAX_LINE_LENGTH = 64 * 1024;
const LINE = /^([fdl])([cskru])(!?) ([0-7]{1,4}) (-?\d{1,20}) (\d{1,9}) (\S[^\n]*)$/;

/** Encodes attributes; entries in the order of Git trees, depth first, a folder before what is in it. */
export function encodeAttributes(entries: readonly EntryAttributes[]): Buffer {
  let text = HEADING;
  for (const entry of entries) {
    const flags = TYPE_LETTERS[entry.type] + COMPONENT_LETTERS[entry.component] + (entry.secret ? '!' : '');
    text += `${flags} ${entry.mode.toString(8)} ${entry.mtimeNs} ${entry.linkGroup} ${entry.path}\n`;
  }
  return Buffer.from(text, 'utf8');
}

/**
 * Parses attributes.
 * @throws {MoltError} DAMAGED on a line that encodeAttributes would not write, NEWER_FORMAT on a newer heading
 */
export function parseAttributes(bytes: Buffer): EntryAttributes[] {
  if (bytes.length > ATTRIBUTES_MAX_BYTES)
    throw new MoltError(
      'HOSTILE',
      `the attributes of this commit are ${bytes.length} bytes, more than any molt writes`,
    );
  const text = bytes.toString('utf8');
  if (!text.startsWith(HEADING)) {
    const newer = /^molt attributes \d+\n/.test(text);
    throw new MoltError(
      newer ? 'NEWER_FORMAT' : 'DAMAGED',
      'the attributes of this commit are not in a form this molt reads',
    );
  }
  if (!text.endsWith('\n')) throw new MoltError('DAMAGED', 'the attributes of this commit end in the middle of a line');
  const entries: EntryAttributes[] = [];
  let at = HEADING.length;
  while (at < text.length) {
    const end = text.indexOf('\n', at);
    entries.push(parseLine(text.slice(at, end), entries.length));
    at = end + 1;
  }
  return entries;
}

function parseLine(line: string, index: number): EntryAttributes {
  const match = line.length > MAX_LINE_LENGTH ? null : LINE.exec(line);
  const [, typeLetter = '', componentLetter = '', secret, mode = '', mtime = '', group = '', path = ''] = match ?? [];
  const type = TYPES[typeLetter];
  const component = COMPONENTS_BY_LETTER.get(componentLetter);
  if (type === undefined || component === undefined || !isSafePath(path)) {
    throw new MoltError('DAMAGED', `line ${index + 2} of the attributes of this commit is not readable`);
  }
  return {
    path,
    type,
    mode: Number.parseInt(mode, 8),
    mtimeNs: BigInt(mtime),
    component,
    secret: secret === '!',
    linkGroup: Number(group),
  };
}

/** A path of the commit tree: relative, no empty, `.` or `..` part. Names that could be those are escaped, so this loses nothing. */
function isSafePath(path: string): boolean {
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..') && !path.includes('\0');
}
