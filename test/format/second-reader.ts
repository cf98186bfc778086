// A second reader of molt's format, written from src/format/FORMAT.md alone: it imports nothing of molt, so that what the page leaves
// out, or says otherwise than the code does, shows. It reads whole files into memory and takes the plain way everywhere.

import { createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, crc32, zstdDecompressSync } from 'node:zlib';

const KINDS = { segment: 1, pack: 2, index: 3, checkpoint: 4 } as const;
const BLOCKS = { data: 1, footer: 2, padding: 3, entries: 4, packs: 5, commits: 6, paths: 7 } as const;
const TYPES = { chunk: 1, node: 2, commit: 3, tree: 4, tag: 5, blob: 6 } as const;
const ENCODINGS = { raw: 0, zstd: 1, deltas: 2 } as const;

export interface Place {
  readonly container: string;
  readonly block: number;
  readonly offset: number;
  readonly length: number;
  readonly size: number;
  readonly type: number;
  readonly base: string | undefined;
}

interface Block {
  readonly offset: number;
  readonly sealed: number;
  readonly plain: number;
  readonly type: number;
  readonly encoding: number;
}

interface Container {
  readonly record: Record<string, unknown>;
  readonly blocks: readonly Block[];
  readonly places: ReadonlyMap<string, Place>;
  readonly open: (number: number) => Buffer;
}

/** What the newest checkpoint and its index runs say. */
export interface Caches {
  readonly refs: Record<string, string>;
  /** The commits that tags name, by ref. */
  readonly tagged: Record<string, string>;
  readonly seq: number;
  /** Keys of the objects that the runs lead to. */
  readonly keys: Set<string>;
  readonly commits: Map<
    string,
    { timeMs: number; seq: number; parent: number | undefined; hasPaths: boolean; isExpired: boolean }
  >;
  /** Segments by the hash of a path that they changed. */
  readonly paths: Map<number, number[]>;
}

interface Pack {
  readonly id: string;
  readonly size: number;
}

/** What a sweep says of the log. */
interface Base {
  readonly seq: number;
  readonly hash: string;
  readonly refs: Record<string, string>;
  readonly packs: readonly Pack[];
  readonly history: readonly string[];
}

const NO_BASE: Base = { seq: 0, hash: '0'.repeat(64), refs: {}, packs: [], history: [] };

export interface ExtractedEntry {
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly component: string;
  readonly secret: boolean;
  readonly linkGroup: number;
  readonly content: Buffer | undefined;
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

function hkdf(key: Buffer, salt: Buffer, info: Buffer | string, length = 32): Buffer {
  return Buffer.from(hkdfSync('sha256', key, salt, info, length));
}

function openGcm(key: Buffer, nonce: Buffer, aad: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
}

function u32be(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function inflate(frame: Buffer, length: number, dictionary?: Buffer): Buffer {
  const plain = zstdDecompressSync(frame, {
    maxOutputLength: Math.max(length, 1),
    params: { [constants.ZSTD_d_windowLogMax]: 23 },
    ...(dictionary && { dictionary }),
  });
  check(plain.length === length, 'a frame has another length than promised');
  return plain;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** Reads a repository folder with a device key. */
export class SecondReader {
  readonly #dir: string;
  readonly #repository: Buffer;
  readonly #storage: Buffer;
  readonly #roots: ReadonlyMap<number, Buffer>;
  readonly #containers = new Map<string, Container>();
  readonly #objects = new Map<string, Place[]>();
  readonly refs = new Map<string, string>();
  readonly segmentHashes = new Map<number, string>();
  /** Commits whose content is gone, with their time and kind. */
  readonly expired = new Map<string, { timeMs: number; kind: number }>();
  /** Numbers up to this one are gone. */
  begin = 0;

  constructor(dir: string, deviceKeyText: string) {
    this.#dir = dir;
    const format = JSON.parse(this.#read('format.json').toString('utf8')) as Record<string, string>;
    check(format['molt'] === 'repository' && Number(format['version']) === 1, 'format.json is not version 1');
    this.#repository = hex(format['repository'] ?? '');
    this.#storage = hex(format['storage'] ?? '');
    const [, base64 = ''] = /^molt-device-key-1 ([A-Za-z0-9+/]{43}=)\n$/.exec(deviceKeyText) ?? [];
    this.#roots = this.#openKeyring(Buffer.from(base64, 'base64'));
    this.#replay();
  }

  /** Extracts a commit's entries by real path (bytes as latin1), below `state` and `roots`. */
  extract(commit: string): Map<string, ExtractedEntry> {
    const [, tree = ''] = /^tree ([0-9a-f]{40})\n/.exec(this.readGit(commit, 'commit').toString('utf8')) ?? [];
    const files = new Map<string, { mode: string; id: string }>();
    this.#walk(tree, '', files);
    const lines = this.readBlob(files.get('attributes')?.id ?? '')
      .toString('utf8')
      .split('\n');
    check(lines[0] === 'molt attributes 1' && lines.at(-1) === '', 'attributes are not version 1');
    const components: Record<string, string> = {
      c: 'configuration',
      s: 'state',
      k: 'skills',
      r: 'runtime',
      u: 'custom',
    };
    const types: Record<string, ExtractedEntry['type']> = { f: 'file', d: 'directory', l: 'symlink' };
    const entries = new Map<string, ExtractedEntry>();
    for (const line of lines.slice(1, -1)) {
      const [, type = '', component = '', secret, mode = '', mtime = '', group = '', path = ''] =
        /^([fdl])([cskru])(!?) ([0-7]+) (-?\d+) (\d+) (.+)$/.exec(line) ?? [];
      const file = files.get(path);
      check((file === undefined) === (type === 'd'), `${path} is not in tree and attributes alike`);
      entries.set(path.split('/').map(unescapeName).join('/'), {
        type: types[type] as ExtractedEntry['type'],
        mode: Number.parseInt(mode, 8),
        mtimeNs: BigInt(mtime),
        component: components[component] ?? '',
        secret: secret === '!',
        linkGroup: Number(group),
        content: file === undefined ? undefined : this.readBlob(file.id),
      });
    }
    return entries;
  }

  /** Lists the files of a commit by path, each with its mode and id; none for no commit. */
  listFiles(commit: string | undefined): Map<string, string> {
    const files = new Map<string, { mode: string; id: string }>();
    if (commit === undefined) return new Map();
    const [, tree = ''] = /^tree ([0-9a-f]{40})\n/.exec(this.readGit(commit, 'commit').toString('utf8')) ?? [];
    this.#walk(tree, '', files);
    return new Map([...files].map(([path, { mode, id }]) => [path, `${mode} ${id}`]));
  }

  /** Reads a blob whole and checks its Git id. */
  readBlob(id: string): Buffer {
    const record = this.#readObject(id.padEnd(64, '0'), TYPES.blob);
    check(record.length === 61 && record.toString('hex', 41) === id, 'a blob record is not for its blob');
    const size = Number(record.readBigUInt64LE(1));
    const content =
      size === 0 ? Buffer.alloc(0) : this.#readList(record.toString('hex', 9, 41), record.readUInt8(0), size);
    check(gitId('blob', content) === id, 'a blob is not what its Git id says');
    return content;
  }

  /** Reads a commit, tree or tag. */
  readGit(id: string, type: 'commit' | 'tree' | 'tag'): Buffer {
    const content = this.#readObject(id.padEnd(64, '0'), TYPES[type]);
    check(gitId(type, content) === id, `a ${type} is not what its Git id says`);
    return content;
  }

  /** Reads the newest checkpoint and its index runs. */
  readCaches(): Caches {
    const name = readdirSync(join(this.#dir, 'checkpoint')).toSorted().at(-1) ?? '';
    const seq = Number(name.slice(0, 12));
    check(this.segmentHashes.get(seq) === name.slice(13), 'the log has another segment where the checkpoint is');
    const container = this.#open(`checkpoint/${name}`, KINDS.checkpoint, seq);
    const checkpoint = JSON.parse(container.open(0).toString('utf8')) as {
      seq: number;
      hash: string;
      refs: Record<string, string>;
      tagged: Record<string, string>;
      runs: { id: string; fromSeq: number; toSeq: number; objects: number }[];
    };
    check(checkpoint.seq === seq && checkpoint.hash === name.slice(13), 'a checkpoint is not the one of its name');
    const { refs, tagged } = checkpoint;
    const caches: Caches = { refs, tagged, seq, keys: new Set(), commits: new Map(), paths: new Map() };
    for (const { id, toSeq } of checkpoint.runs) {
      check(sha256(this.#read(`index/${id}`)) === id, 'an index run has another name');
      this.#readRun(this.#open(`index/${id}`, KINDS.index, toSeq), caches);
    }
    return caches;
  }

  /** Returns the places of an object that the footers name. */
  placesOf(key: string): readonly Place[] {
    return this.#objects.get(key) ?? [];
  }

  get keys(): string[] {
    return [...this.#objects.keys()];
  }

  #read(name: string): Buffer {
    return readFileSync(join(this.#dir, name));
  }

  #openKeyring(deviceKey: Buffer): Map<number, Buffer> {
    const newest = readdirSync(join(this.#dir, 'keys')).toSorted().at(-1) ?? '';
    const text = this.#read(`keys/${newest}`).toString('utf8');
    const keyring = JSON.parse(text) as {
      generation: number;
      epoch: number;
      slots: { id: string; type: string; epoch: number; salt: string; commitment: string; wrapped: string }[];
      predecessors?: { salt: string; sealed: string };
      mac: string;
    };
    check(keyring.generation === Number(newest), 'a keyring has another generation than its name');
    for (const slot of keyring.slots.filter(({ type }) => type === 'device')) {
      const info = Buffer.concat([Buffer.from('molt/1 slotdevice'), this.#repository, hex(slot.id)]);
      const derived = hkdf(deviceKey, hex(slot.salt), info, 64);
      if (!timingSafeEqual(derived.subarray(32), hex(slot.commitment))) continue;
      const aad = Buffer.concat([
        Buffer.from('molt/1 slot'),
        this.#repository,
        hex(slot.id),
        Buffer.from('device'),
        u32be(slot.epoch),
      ]);
      const root = openGcm(derived.subarray(0, 32), Buffer.alloc(12), aad, hex(slot.wrapped));
      const body = text.replace(/,"mac":"[0-9a-f]{64}"}$/, '}');
      const mac = createHmac('sha256', hkdf(root, Buffer.alloc(0), 'molt/1 keyring mac'))
        .update(body)
        .digest('hex');
      check(mac === keyring.mac, 'the keyring is not authentic');
      const roots = new Map([[keyring.epoch, root]]);
      if (keyring.predecessors !== undefined) {
        const context = Buffer.concat([Buffer.from('molt/1 predecessors'), this.#repository, u32be(keyring.epoch)]);
        const key = hkdf(root, hex(keyring.predecessors.salt), context, 64).subarray(0, 32);
        const earlier = openGcm(key, Buffer.alloc(12), context, hex(keyring.predecessors.sealed));
        for (let epoch = 1; epoch < keyring.epoch; epoch += 1)
          roots.set(epoch, earlier.subarray((epoch - 1) * 32, epoch * 32));
      }
      return roots;
    }
    throw new Error('no slot opens with this device key');
  }

  #replay(): void {
    const numbers = readdirSync(join(this.#dir, 'log'))
      .map(Number)
      .toSorted((one, other) => one - other);
    const records = new Map(numbers.map((seq) => [seq, this.#open(segmentName(seq), KINDS.segment, seq)]));
    const sweepSeq = numbers.findLast((seq) => records.get(seq)?.record['type'] === 'sweep') ?? 0;
    const base = (records.get(sweepSeq)?.record['base'] ?? NO_BASE) as Base;
    this.begin = base.seq;
    // The newest sweep alone says what counts of all before it.
    for (const pack of base.packs) this.#takePack(pack, base.history.includes(pack.id));
    const isWhole = numbers.every((seq, at) => seq === at + 1);
    let previous = isWhole ? NO_BASE.hash : base.hash;
    for (let seq = isWhole ? 1 : base.seq + 1; records.has(seq); seq += 1) {
      const name = segmentName(seq);
      const { record, places } = records.get(seq) ?? this.#open(name, KINDS.segment, seq);
      check(
        ['commit', 'sweep'].includes(String(record['type'])) &&
          record['seq'] === seq &&
          record['previous'] === previous,
        `${name} breaks the chain`,
      );
      previous = sha256(this.#read(name));
      if (seq === base.seq) check(previous === base.hash, 'a sweep says another hash of the last that is gone');
      this.segmentHashes.set(seq, previous);
      if (seq > base.seq) this.#take(places);
      else this.#containers.delete(name);
      const history = (record['history'] ?? []) as string[];
      if (seq > sweepSeq) for (const pack of record['packs'] as Pack[]) this.#takePack(pack, history.includes(pack.id));
      for (const { name: ref, to } of record['refs'] as { name: string; to: string | null }[]) {
        if (to === null) this.refs.delete(ref);
        else this.refs.set(ref, to);
      }
      if (record['type'] === 'sweep') {
        const { refs } = record['base'] as Base;
        this.refs.clear();
        for (const [ref, to] of Object.entries(refs)) this.refs.set(ref, to);
      }
    }
  }

  #takePack({ id, size }: Pack, isHistory: boolean): void {
    const name = `packs/${id.slice(0, 2)}/${id}`;
    const bytes = this.#read(name);
    check(sha256(bytes) === id && bytes.length === size, 'a pack is not what its name says');
    const { places, record } = this.#open(name, KINDS.pack, 0);
    this.#take(places);
    if (!isHistory) return;
    const { time, kind } = record['history'] as { time: number[]; kind: string };
    const commits = [...places].filter(([, { type }]) => type === TYPES.commit);
    check(time.length === commits.length && kind.length === commits.length, 'a history pack forgets a commit');
    let timeMs = 0;
    for (const [at, [key]] of commits.entries()) {
      timeMs += time[at] ?? 0;
      this.expired.set(key.slice(0, 40), { timeMs, kind: Number(kind[at]) });
    }
  }

  #take(places: ReadonlyMap<string, Place>): void {
    for (const [key, place] of places) this.#objects.set(key, [...(this.#objects.get(key) ?? []), place]);
  }

  #open(name: string, kind: number, seq: number): Container {
    const known = this.#containers.get(name);
    if (known !== undefined) return known;
    const bytes = this.#read(name);
    const header = bytes.subarray(0, 128);
    check(
      header.toString('hex', 0, 8) === '894d4f4c540d0a1a' && header[8] === 1 && header[9] === kind,
      `${name} is no such container`,
    );
    check(header.subarray(16, 32).equals(this.#repository), `${name} is of another repository`);
    check(
      header.subarray(32, 48).equals(kind === KINDS.pack ? Buffer.alloc(16) : this.#storage),
      `${name} is of another storage`,
    );
    check(Number(header.readBigUInt64LE(48)) === seq, `${name} has another number`);
    const root = this.#roots.get(header.readUInt32LE(12));
    check(root !== undefined, `${name} is of an unknown epoch`);
    const epochKey = hkdf(root, Buffer.alloc(0), 'molt/1 epoch seal');
    const info = Buffer.concat([Buffer.from('molt/1'), Buffer.from([kind]), this.#repository]);
    const derived = hkdf(epochKey, header.subarray(64, 96), info, 64);
    check(derived.subarray(32).equals(header.subarray(96, 128)), `${name} is sealed under another key`);
    const key = derived.subarray(0, 32);
    const openBlock = (number: number, type: number, from: number, length: number): Buffer => {
      const nonce = Buffer.concat([Buffer.alloc(8), u32be(number)]);
      const aad = Buffer.concat([header, u32be(number), Buffer.from([type])]);
      return openGcm(key, nonce, aad, bytes.subarray(from, from + length));
    };
    const tail = bytes.subarray(-32);
    check(tail.toString('latin1', 24) === 'MOLTEND\n', `${name} is cut off`);
    const body = Number(tail.readBigUInt64LE(0));
    const stripes = Math.ceil(body / 1048576);
    check(body + stripes * 4 + 32 === bytes.length, `${name} has another length`);
    check(crc32(bytes.subarray(body, -12)) === tail.readUInt32LE(20), `${name} has a damaged trailer`);
    for (let stripe = 0; stripe < stripes; stripe += 1) {
      const sum = crc32(bytes.subarray(stripe * 1048576, Math.min((stripe + 1) * 1048576, body)));
      check(sum === bytes.readUInt32LE(body + stripe * 4), `${name} is damaged in MiB ${stripe}`);
    }
    const [footerAt, footerLength, footerBlock] = [tail.readUInt32LE(8), tail.readUInt32LE(12), tail.readUInt32LE(16)];
    const { blocks, ...footer } = parseFooter(openBlock(footerBlock, BLOCKS.footer, footerAt, footerLength), name);
    const end = blocks.reduce((at, block) => (check(block.offset === at, `${name} has a gap`), at + block.sealed), 128);
    check(end === footerAt && blocks.length === footerBlock, `${name} has a gap before its footer`);
    const padding = openBlock(footerBlock + 1, BLOCKS.padding, footerAt + footerLength, body - footerAt - footerLength);
    check(
      padding.every((byte) => byte === 0),
      `${name} hides something`,
    );
    const opened = new Map<number, Buffer>();
    const open = (number: number): Buffer => {
      const known = opened.get(number);
      if (known !== undefined) return known;
      const block = blocks[number];
      check(block !== undefined, `${name} has no block ${number}`);
      const sealed = openBlock(number, block.type, block.offset, block.sealed);
      const plain = block.encoding === ENCODINGS.zstd ? inflate(sealed, block.plain) : sealed;
      check(plain.length === block.plain, 'a block has another length');
      opened.set(number, plain);
      return plain;
    };
    const container = { ...footer, blocks, open };
    this.#containers.set(name, container);
    return container;
  }

  #readObject(key: string, type: number): Buffer {
    // A place in a pack or segment is as good as another; whole ones end the search for a base.
    const places = this.placesOf(key);
    const place = places.find(({ base }) => base === undefined) ?? places[0];
    check(place !== undefined && place.type === type, `object ${key} is missing`);
    const bytes = this.#readPlace(place);
    if (type === TYPES.chunk || type === TYPES.node)
      check(this.#keyedId(type, bytes) === key, `chunk ${key} is not what its id says`);
    return bytes;
  }

  #readPlace(place: Place): Buffer {
    const block = this.#containers.get(place.container)?.open(place.block);
    const stored = block?.subarray(place.offset, place.offset + place.length);
    check(stored?.length === place.length, 'an object lies outside of its block');
    if (place.base === undefined) return stored;
    const base = this.placesOf(place.base).find((other) => other.base === undefined);
    check(base !== undefined, 'a delta has no whole base');
    return inflate(stored, place.size, this.#readPlace(base));
  }

  #readList(id: string, depth: number, size: number): Buffer {
    const bytes = this.#readObject(id, depth === 0 ? TYPES.chunk : TYPES.node);
    if (depth === 0) {
      check(bytes.length === size, 'a chunk has another length than its list says');
      return bytes;
    }
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 40) {
      parts.push(this.#readList(bytes.toString('hex', at, at + 32), depth - 1, Number(bytes.readBigUInt64LE(at + 32))));
    }
    const content = Buffer.concat(parts);
    check(content.length === size, 'a chunk list has another length than promised');
    return content;
  }

  #keyedId(type: number, bytes: Buffer): string {
    const idKey = hkdf(this.#roots.get(1) ?? Buffer.alloc(0), Buffer.alloc(0), 'molt/1 chunk id');
    return createHmac('sha256', idKey)
      .update(Buffer.from([type]))
      .update(hex(sha256(bytes)))
      .digest('hex');
  }

  #walk(tree: string, prefix: string, files: Map<string, { mode: string; id: string }>): void {
    const content = this.readGit(tree, 'tree');
    for (let at = 0; at < content.length;) {
      const end = content.indexOf(0, at);
      const [mode = '', ...name] = content.toString('utf8', at, end).split(' ');
      const id = content.toString('hex', end + 1, end + 21);
      const path = `${prefix}${name.join(' ')}`;
      if (mode === '40000') this.#walk(id, `${path}/`, files);
      else files.set(path, { mode, id });
      at = end + 21;
    }
  }

  /** Reads the rows of one of a run's tables, checked to be in order. */
  #readRows(run: Container, type: number, firsts: readonly string[], width: number): Buffer[] {
    const numbers = run.blocks.flatMap((block, number) => (block.type === type ? [number] : []));
    check(numbers.length === firsts.length, 'an index run does not name all blocks of a table');
    const rows = numbers.flatMap((number, at) => {
      const columns = run.open(number);
      const count = columns.length / width;
      const inBlock = Array.from({ length: count }, (_, row) =>
        Buffer.from(Array.from({ length: width }, (_column, column) => columns[column * count + row] ?? 0)),
      );
      check(inBlock[0]?.toString('hex').startsWith(firsts[at] ?? '?') === true, 'a block begins with another row');
      return inBlock;
    });
    const keyBytes = (firsts[0] ?? '').length / 2;
    rows.forEach((row, at) => {
      const before = rows[at - 1]?.subarray(0, keyBytes);
      check(before === undefined || before.compare(row.subarray(0, keyBytes)) <= 0, 'rows are out of order');
    });
    return rows;
  }

  #readRun(run: Container, caches: Caches): void {
    const record = run.record as Record<'entries' | 'commits' | 'paths', string[]>;
    const packBlock = run.blocks.findIndex(({ type }) => type === BLOCKS.packs);
    const packs = packBlock < 0 ? Buffer.alloc(0) : run.open(packBlock);
    for (const row of this.#readRows(run, BLOCKS.entries, record.entries, 13)) {
      const ref = row.readUInt32BE(6);
      const pack = packs.toString('hex', (ref - 2 ** 31) * 32, (ref - 2 ** 31 + 1) * 32);
      const name = ref < 2 ** 31 ? segmentName(ref) : `packs/${pack.slice(0, 2)}/${pack}`;
      const container = this.#containers.get(name);
      check(container !== undefined, `an index run names ${name}, which the log does not`);
      const [key, place] = [...container.places][row.readUIntBE(10, 3) & 0x7fffff] ?? [];
      check(key?.startsWith(row.toString('hex', 0, 6)) === true, 'an index run names another object');
      check((place?.base !== undefined) === row.readUInt8(10) >= 0x80, 'an index run says otherwise what is a delta');
      caches.keys.add(key);
    }
    for (const row of this.#readRows(run, BLOCKS.commits, record.commits, 40)) {
      const parent = row.readUInt32BE(12);
      caches.commits.set(row.toString('hex', 16, 36), {
        timeMs: Number(row.readBigUInt64BE(0) - 2n ** 63n),
        seq: row.readUInt32BE(8),
        parent: parent === 0xffffffff ? undefined : parent,
        hasPaths: (row.readUInt8(37) & 1) === 1,
        isExpired: (row.readUInt8(37) & 2) === 2,
      });
    }
    for (const row of this.#readRows(run, BLOCKS.paths, record.paths, 8)) {
      const seqs = caches.paths.get(row.readUInt32BE(0)) ?? [];
      caches.paths.set(row.readUInt32BE(0), [...seqs, row.readUInt32BE(4)]);
    }
  }
}

function parseFooter(plain: Buffer, container: string): Omit<Container, 'open'> {
  const bytes = inflate(plain.subarray(4), plain.readUInt32LE(0));
  let at = 4 + bytes.readUInt32LE(0);
  const record = JSON.parse(bytes.toString('utf8', 4, at)) as Record<string, unknown>;
  const table = <T>(size: number, read: (from: number) => T): T[] => {
    const count = bytes.readUInt32LE(at);
    const rows = Array.from({ length: count }, (_, index) => read(at + 4 + index * size));
    at += 4 + count * size;
    return rows;
  };
  const blocks = table(16, (from) => ({
    offset: bytes.readUInt32LE(from),
    sealed: bytes.readUInt32LE(from + 4),
    plain: bytes.readUInt32LE(from + 8),
    type: bytes.readUInt8(from + 12),
    encoding: bytes.readUInt8(from + 13),
  }));
  const objects = table(52, (from) => ({
    key: bytes.toString('hex', from, from + 32),
    block: bytes.readUInt32LE(from + 32),
    offset: bytes.readUInt32LE(from + 36),
    length: bytes.readUInt32LE(from + 40),
    size: bytes.readUInt32LE(from + 44),
    type: bytes.readUInt8(from + 48),
  }));
  const bases = new Map(
    table(36, (from) => [bytes.readUInt32LE(from), bytes.toString('hex', from + 4, from + 36)] as const),
  );
  check(at === bytes.length, 'a footer goes on after its end');
  const places = new Map(
    objects.map(({ key, ...object }, index) => [key, { container, ...object, base: bases.get(index) }]),
  );
  return { record, blocks, places };
}

function segmentName(seq: number): string {
  return `log/${String(seq).padStart(12, '0')}`;
}

function gitId(type: string, content: Buffer): string {
  return createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex');
}

function unescapeName(name: string): string {
  return Buffer.from(name, 'utf8')
    .toString('latin1')
    .replace(/%([0-9A-F]{2})/g, (_, byte: string) => String.fromCharCode(Number.parseInt(byte, 16)));
}
