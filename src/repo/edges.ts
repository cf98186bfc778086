// What an object refers to: the edges of the object graph, for checks and for whatever must find all that a commit needs.

import { parseBlobRecord, parseNode } from '../format/blob.ts';
import { OBJECT, type ObjectType } from '../format/layout.ts';
import { MoltError } from '../model/error.ts';
import type { BlobId, ChunkId, GitId, TreeId } from '../model/ids.ts';
import { chunkKey, gitKey, keyText } from './keys.ts';
import { MARK, wantMark } from './object-table.ts';
import { parseTree, TREE_MODES } from './trees.ts';

/** One reference. */
export interface Edge {
  readonly key: Buffer;
  /** What the object must be, as a mark of the object table. */
  readonly mark: number;
  /** Length of the content, where the reference says it. */
  readonly sizeBytes?: number;
  /** From a commit to its parent. */
  readonly isParent?: boolean;
}

/**
 * Returns what an object refers to.
 * @throws {MoltError} DAMAGED or HOSTILE when it is not what its type says
 */
export function listEdges(object: { readonly key: Buffer; readonly type: ObjectType }, bytes: Buffer): Edge[] {
  const id = keyText(object.key);
  switch (object.type) {
    case OBJECT.chunk:
      return [];
    case OBJECT.node:
      return parseNode(bytes, id as ChunkId).map((child) => ({
        key: chunkKey(child.id),
        mark: MARK.wantPart,
        sizeBytes: child.sizeBytes,
      }));
    case OBJECT.blob: {
      const { root, depth, sizeBytes } = parseBlobRecord(bytes, id as BlobId);
      const mark = wantMark(depth === 0 ? OBJECT.chunk : OBJECT.node);
      return root === undefined ? [] : [{ key: chunkKey(root), mark, sizeBytes }];
    }
    case OBJECT.tree:
      return parseTree(bytes, id as TreeId).map((entry) => ({
        key: gitKey(entry.id),
        mark: wantMark(entry.mode === TREE_MODES.tree ? OBJECT.tree : OBJECT.blob),
      }));
    case OBJECT.commit:
      return commitEdges(bytes, id);
    case OBJECT.tag:
      return [tagEdge(bytes, id)];
  }
}

/** Returns what an annotated tag names. @throws {MoltError} DAMAGED when it names no commit */
export function tagTarget(content: Buffer, id: string): GitId {
  const match = /^object ([0-9a-f]{40})\ntype commit\n/.exec(content.toString('latin1', 0, 100));
  if (match?.[1] === undefined) throw new MoltError('DAMAGED', `tag ${id} names no commit`);
  return match[1] as GitId;
}

function commitEdges(bytes: Buffer, id: string): Edge[] {
  const end = bytes.indexOf('\n\n');
  const [first = '', ...others] = bytes.toString('latin1', 0, end < 0 ? bytes.length : end).split('\n');
  const tree = /^tree ([0-9a-f]{40})$/.exec(first)?.[1];
  if (tree === undefined) throw new MoltError('DAMAGED', `commit ${id} has no tree`);
  const edges: Edge[] = [{ key: gitKey(tree as TreeId), mark: wantMark(OBJECT.tree) }];
  for (const line of others) {
    const parent = /^parent ([0-9a-f]{40})$/.exec(line)?.[1];
    if (parent === undefined) break;
    edges.push({ key: gitKey(parent as GitId), mark: wantMark(OBJECT.commit), isParent: true });
  }
  return edges;
}

function tagEdge(bytes: Buffer, id: string): Edge {
  return { key: gitKey(tagTarget(bytes, id)), mark: wantMark(OBJECT.commit) };
}
