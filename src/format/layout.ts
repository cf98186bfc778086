// The numbers of the container format (FORMAT.md, "Containers"): magics, kinds, block types, sizes and caps.

/** First bytes of every container. The high bit and the line ends show a transfer that mangled text. */
export const MAGIC = Buffer.from('894d4f4c540d0a1a', 'hex');
/** Last bytes of every container. */
export const END_MAGIC = Buffer.from('MOLTEND\n', 'latin1');
/** The format version that this code writes, and the newest that it reads. */
export const FORMAT_VERSION = 1;

/** Container kinds. */
export const KIND = { segment: 1, pack: 2, index: 3, checkpoint: 4, cache: 5 } as const;
export type KindName = keyof typeof KIND;
export type Kind = (typeof KIND)[KindName];

/** Block types, authenticated with each block. */
export const BLOCK = { data: 1, footer: 2, padding: 3, entries: 4, packs: 5, commits: 6, paths: 7 } as const;
export type BlockType = (typeof BLOCK)[keyof typeof BLOCK];

/** Object types in an object table. */
export const OBJECT = { chunk: 1, node: 2, commit: 3, tree: 4, tag: 5, blob: 6 } as const;
export type ObjectTypeName = keyof typeof OBJECT;
export type ObjectType = (typeof OBJECT)[ObjectTypeName];

/** How a block's plaintext was encoded before sealing. In a `deltas` block each object is a zstd frame of its own. */
export const ENCODING = { raw: 0, zstd: 1, deltas: 2 } as const;
export type Encoding = (typeof ENCODING)[keyof typeof ENCODING];

export const HEADER_BYTES = 128;
/** The fixed end of the trailer, after the stripe table. */
export const TAIL_BYTES = 32;
export const TAG_BYTES = 16;
export const KEY_BYTES = 32;
/** One CRC32 covers this many bytes of the body. */
export const STRIPE_BYTES = 1 << 20;
/** Packs have exactly this size, but for the last that a writer fills, and those of a single large object. */
export const PACK_BYTES = 16 << 20;
/** No container is larger; offsets within one are 32-bit numbers. */
export const CONTAINER_MAX_BYTES = 2 ** 31;
/** What a block holds at most before encoding. */
export const BLOCK_BYTES = 512 << 10;
/** Cap on a decoded footer, against bombs: its tables take some five times as much in memory. */
export const FOOTER_MAX_BYTES = 16 << 20;
/** Cap on an object, and so on a decoded block: one object above BLOCK_BYTES (the tree of a huge folder) has a block of its own. */
export const BLOCK_MAX_BYTES = 16 << 20;

/** Returns the name of a container kind for messages. */
export function kindName(kind: number): string {
  const names: Record<number, string> = { 1: 'segment', 2: 'pack', 3: 'index run', 4: 'checkpoint', 5: 'cache' };
  return names[kind] ?? `container of kind ${kind}`;
}
