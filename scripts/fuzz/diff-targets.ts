// What a diff reads of files that an agent wrote: databases by their pages, configuration, conversations, text.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { diffConfig, type ConfigFormat } from '../../src/diff/config.ts';
import { compareLines, describeConversation } from '../../src/diff/conversation.ts';
import { diffDatabase } from '../../src/diff/database.ts';
import { markWords } from '../../src/diff/markdown.ts';
import { diffText } from '../../src/diff/text.ts';
import { bytesTarget, type Target } from './target.ts';

/** Returns the targets. */
export function diffTargets(): Target[] {
  const turns = Buffer.from(
    '{"type":"message","message":{"role":"user","content":[{"type":"text","text":"hi, token: abc123"}]}}\n{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}\n',
  );
  const markdown = Buffer.from('# A\n\n- likes tea, 80 C\n- password="abc123"\n\n```\n# no\n```\n\n## B\n- more\n');
  const page = makeDatabase();
  return [
    ...(['json', 'json5', 'yaml', 'env'] as const).map((format) => configTarget(format)),
    bytesTarget('diff of turns', (bytes) => compareTurns(turns, bytes), [turns]),
    bytesTarget('diff of words', (bytes) => compareWords(markdown, bytes), [markdown]),
    { ...bytesTarget('diff of databases', (bytes) => compareDatabases(page, bytes), [page]), weight: 0.02 },
  ];
}

function configTarget(format: ConfigFormat): Target {
  const samples = {
    json: '{"a":{"token":"x","list":[{"id":"p","n":1},{"id":"q"}]},"big":12345678901234567890}',
    json5: "{a: {token: 'x', list: [1, +2, .5,],}, /* why */ 'b c': Infinity}",
    yaml: 'a: &x {token: y, list: [1, 2]}\nb: *x\nc: |\n  text\nd: [1]\n',
    env: 'A=1\nexport TOKEN="x y"\n# none\n',
  };
  const sample = samples[format];
  return bytesTarget(
    `diff of ${format}`,
    (bytes) => diffConfig(sample, bytes.toString('utf8'), format, { showSecrets: false, secrets: {} }),
    [Buffer.from(sample)],
  );
}

function compareTurns(before: Buffer, after: Buffer): unknown {
  const name = { name: 'x', isBefore: true, isAfter: true };
  const records = compareLines(before.toString('utf8'), after.toString('utf8'));
  return describeConversation(name, records, { showSecrets: false });
}

function compareWords(before: Buffer, after: Buffer): unknown {
  const text = after.toString('utf8');
  const diff = diffText(before, Buffer.from(text));
  return markWords(diff, { format: 'markdown', showSecrets: false, after: text });
}

function compareDatabases(before: Buffer, after: Buffer): unknown {
  const source = (bytes: Buffer) => ({
    sizeBytes: bytes.length,
    read: async (offset: number, length: number) => bytes.subarray(offset, offset + length),
  });
  const options = { showSecrets: false, hints: {}, maxReadBytes: 8 << 20 };
  return diffDatabase({ before: source(before), after: source(after) }, options);
}

/** A small database with each kind of tree, and rows that overflow their pages. */
function makeDatabase(): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'molt-fuzz-'));
  const file = join(dir, 'database');
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA page_size = 512; PRAGMA auto_vacuum = 1;
    CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE TABLE w (k PRIMARY KEY, v) WITHOUT ROWID;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
    INSERT INTO t SELECT i, hex(zeroblob(i * 20)), i FROM n; INSERT INTO w SELECT a, b FROM t;
    INSERT INTO t (a) VALUES ('{"token":"x"}')`);
  database.close();
  const bytes = readFileSync(file);
  rmSync(dir, { recursive: true });
  return bytes;
}
