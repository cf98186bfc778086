// Makes the golden repositories of the current format version in fixtures/golden: `npx node scripts/make-golden.ts`. Released ones are
// never made again, only added to: a new format version has a new prefix here.

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { silentReporter } from '../src/model/ports.ts';
import { backUp } from '../src/ops/backup.ts';
import type { OpsContext } from '../src/ops/context.ts';
import { Home } from '../src/ops/home.ts';
import { initAgent } from '../src/ops/init.ts';
import { createTag, removeTag } from '../src/ops/tag.ts';
import { DirectoryStorage } from '../src/storage/directory.ts';
import type { Storage } from '../src/storage/storage.ts';
import { seededRandom } from '../test/crypto/random.ts';
import {
  applyDamage,
  checkGolden,
  GOLDEN_DIR,
  isFound,
  openGolden,
  PASSPHRASE,
  readGolden,
  withGolden,
  type GoldenDamage,
} from '../test/golden/read-golden.ts';

const NAME = 'v1-agent';
/** The same on every machine, since a commit records where its agent lived. */
const WORK = join(tmpdir(), 'molt-make-golden');
const STATE = join(WORK, 'state');
const START_MS = Date.UTC(2026, 2, 5, 2);
const LABEL = 'golden';

let nowMs = START_MS;
const context: OpsContext = {
  home: new Home(join(WORK, 'home')),
  clock: { now: () => (nowMs += 1) },
  random: seededRandom(NAME),
  reporter: silentReporter,
  cwd: WORK,
  userHome: WORK,
  unlock: async () => ({ type: 'passphrase', passphrase: PASSPHRASE }),
  argon2: { memoryKiB: 64, passes: 1, lanes: 1 },
};

if (existsSync(WORK)) throw new Error(`${WORK} is in the way: remove it first`);
try {
  const repository = await makeRepository();
  await record(repository);
  await recordDamage();
} finally {
  rmSync(WORK, { recursive: true, force: true });
}

/** Makes an agent, changes it and saves it several times; returns the repository's folder. */
async function makeRepository(): Promise<string> {
  writeFirstState();
  settle();
  const options = { label: LABEL, stateDir: STATE, profile: 'generic', include: [], exclude: [] } as const;
  const { agent } = await initAgent(context, {
    ...options,
    passphrase: async () => PASSPHRASE,
    keepRecoveryKey: async () => {},
  });
  for (let tick = 1; tick <= 4; tick += 1) {
    await later(5, () => changeState(tick));
    await backUp(context, LABEL, { kind: 'incremental', trigger: 'schedule' });
  }
  await createTag(context, LABEL, { name: 'before-upgrade', revision: 'HEAD', message: 'all is well' });
  await createTag(context, LABEL, { name: 'a-mistake', revision: 'HEAD' });
  await later(60, () => changeState(5));
  await backUp(context, LABEL, { kind: 'full', full: true, trigger: 'schedule' });
  await removeTag(context, LABEL, 'a-mistake');
  for (let tick = 6; tick <= 8; tick += 1) {
    await later(5, () => changeState(tick));
    await backUp(context, LABEL, { kind: 'incremental', trigger: 'schedule' });
  }
  await later(5, () => rmSync(join(STATE, 'skills'), { recursive: true }));
  await backUp(context, LABEL, {
    kind: 'manual',
    trigger: 'cli',
    name: 'my-backup',
    message: 'by hand, with ümlauts 😀',
  });
  return context.home.repositoryDir(agent.repository);
}

/** Every kind of entry, and of name that Git has trouble with. */
function writeFirstState(): void {
  const write = (path: string, content: string | Buffer, mode = 0o600): void => {
    mkdirSync(dirname(join(STATE, path)), { recursive: true });
    writeFileSync(join(STATE, path), content);
    chmodSync(join(STATE, path), mode);
  };
  write('memory/MEMORY.md', '# Memory\n');
  write('memory/\u{1f600} and \uff21.md', 'an emoji beside a full-width letter\n');
  write('skills/run.sh', '#!/bin/sh\necho run\n', 0o755);
  write('workspace/.git/config', '[core]\n');
  write('workspace/new\nline', 'a name with a line end\n');
  write('workspace/100%41', 'a name that looks escaped\n');
  write('workspace/back\\slash', 'a name with a backslash\n');
  write('credentials/token', 'not a real token\n'.repeat(60));
  write('empty-file', '');
  write('random.bin', seededRandom('random.bin').bytes(300_000));
  write('text.txt', 'the same line again and again\n'.repeat(20_000));
  mkdirSync(join(STATE, 'empty-folder'));
  writeFileSync(
    Buffer.concat([Buffer.from(`${STATE}/workspace/`), Buffer.of(0x62, 0xff, 0xfe)]),
    'a name that is not UTF-8\n',
  );
  linkSync(join(STATE, 'memory/MEMORY.md'), join(STATE, 'memory/hard-link.md'));
  symlinkSync('../memory/MEMORY.md', join(STATE, 'workspace/link'));
  const database = new DatabaseSync(join(STATE, 'state.db'));
  database.exec('PRAGMA journal_mode = DELETE; CREATE TABLE events (id INTEGER PRIMARY KEY, text TEXT)');
  const insert = database.prepare('INSERT INTO events (text) VALUES (?)');
  for (let row = 0; row < 4000; row += 1) insert.run(`event ${row}: ${'what happened '.repeat(1 + (row % 5))}`);
  database.close();
}

function changeState(tick: number): void {
  writeFileSync(join(STATE, 'session.jsonl'), `${JSON.stringify({ tick, text: `turn ${tick}` })}\n`.repeat(tick * 20));
  const database = new DatabaseSync(join(STATE, 'state.db'));
  database.prepare('UPDATE events SET text = ? WHERE id = ?').run(`changed in tick ${tick}`, tick * 400);
  database.close();
  const bytes = readFileSync(join(STATE, 'random.bin'));
  bytes.writeUInt32LE(tick, tick * 1000);
  writeFileSync(join(STATE, 'random.bin'), bytes);
  writeFileSync(join(STATE, 'memory/MEMORY.md'), `# Memory\n\nnow in tick ${tick}\n`);
}

async function later(minutes: number, change: () => void): Promise<void> {
  nowMs += minutes * 60_000;
  change();
  settle();
}

/** Gives every entry a time of its own that does not depend on when this runs. */
function settle(): void {
  const visit = (dir: string): void => {
    for (const entry of readdirSync(dir, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([Buffer.from(`${dir}/`), entry.name]);
      if (entry.isDirectory()) visit(path.toString());
      lutimesSync(path, 0, (nowMs - 120_000) / 1000);
    }
    lutimesSync(dir, 0, START_MS / 1000 - 3600);
  };
  visit(STATE);
}

async function record(repository: string): Promise<void> {
  pack(repository, NAME);
  const storage = await DirectoryStorage.open(repository);
  const problems = await checkGolden(storage);
  if (problems.length > 0) throw new Error(`the new repository has problems: ${JSON.stringify(problems)}`);
  writeJson(NAME, await readGolden(await openGolden(storage)));
  await storage.close();
}

/** Describes damage to single objects, checks that it is found, and records what must be found for ever. */
async function recordDamage(): Promise<void> {
  const [packName, checkpoint, run] = await withGolden(`${NAME}.tar.gz`, (storage) =>
    Promise.all([firstName(storage, 'packs/'), firstName(storage, 'checkpoint/'), firstName(storage, 'index/')]),
  );
  const segment = 'log/000000000003';
  const damages: readonly GoldenDamage[] = [
    { what: 'a bit flipped in a segment', object: segment, code: 'DAMAGED', flipAt: 1500 },
    { what: "a bit flipped in a segment's header", object: segment, code: 'DAMAGED', flipAt: 70 },
    { what: 'a bit flipped in a pack', object: packName, code: 'DAMAGED', flipAt: 100_000 },
    { what: 'a bit flipped in a checkpoint', object: checkpoint, code: 'DAMAGED', flipAt: 300 },
    { what: 'a bit flipped in an index run', object: run, code: 'DAMAGED', flipAt: 2000 },
    { what: 'a segment cut off', object: segment, code: 'TRUNCATED', cutTo: 1000 },
    { what: 'a pack cut off', object: packName, code: 'TRUNCATED', cutTo: 100_000 },
    { what: "a segment under another's name", object: segment, code: 'RENAMED', replacedBy: 'log/000000000004' },
    { what: "a segment under a pack's name", object: packName, code: 'RENAMED', replacedBy: segment },
    { what: 'a segment that is gone', object: segment, code: 'DAMAGED', isDeleted: true },
    { what: 'a pack that is gone', object: packName, code: 'DAMAGED', isDeleted: true },
  ];
  for (const damage of damages) {
    const found = await withGolden(`${NAME}.tar.gz`, async (storage) => {
      await applyDamage(storage, damage);
      return checkGolden(storage);
    });
    if (!isFound(found, damage)) throw new Error(`${damage.what} is not found: ${JSON.stringify(found)}`);
  }
  writeJson(`${NAME}.damage`, damages);
}

async function firstName(storage: Storage, prefix: string): Promise<string> {
  for await (const { name } of storage.list(prefix)) return name;
  throw new Error(`there is nothing in ${prefix}`);
}

/** Packs a repository's folder as `repository/`, without anything of this machine or moment. */
function pack(dir: string, name: string): void {
  const tar = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--exclude=./tmp',
    `--transform=s,^\\.,repository,`,
  ];
  execFileSync('sh', ['-c', 'tar "$@" -cf - -C "$DIR" . | gzip -9n > "$OUT"', 'tar', ...tar], {
    env: { PATH: process.env['PATH'], DIR: dir, OUT: join(GOLDEN_DIR, `${name}.tar.gz`) },
  });
}

function writeJson(name: string, value: unknown): void {
  writeFileSync(join(GOLDEN_DIR, `${name}.json`), `${JSON.stringify(value, undefined, 2)}\n`);
}
