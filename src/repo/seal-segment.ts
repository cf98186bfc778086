// Seals a segment: blocks with their objects, ref moves and notes, for one place in the log.

import { ContainerWriter, type EncodedBlock, type FinishedContainer } from '../format/container.ts';
import type { Footer, ObjectEntry } from '../format/footer.ts';
import { KIND } from '../format/layout.ts';
import {
  encodeSegmentRecord,
  parseSegmentRecord,
  segmentName,
  type CommitNote,
  type RefMove,
  type SegmentRecord,
} from '../format/segment.ts';
import type { LogBase, PackNote } from '../format/log-base.ts';
import { MoltError } from '../model/error.ts';
import type { CommitId, GitId, PackId } from '../model/ids.ts';
import type { PlacedObject } from './block-builder.ts';
import type { NextSegment } from './log.ts';
import type { Repository } from './repository.ts';

/** An encoded block and what is in it. */
export interface SegmentBlock {
  readonly block: EncodedBlock;
  readonly objects: readonly PlacedObject[];
}

/** What a segment brings. */
export interface SegmentContent {
  /** Refs that move, or stay; sealing fails when one of them does not stand at `from` any more. */
  readonly moves: readonly RefMove[];
  readonly commits: readonly CommitNote[];
  readonly packs: readonly PackNote[];
  readonly blocks: readonly SegmentBlock[];
  readonly requires?: readonly CommitId[];
  /** Those of the packs that hold commits whose content is gone. */
  readonly history?: readonly PackId[];
  /** Makes a sweep of it: what is left, as of this segment. */
  readonly base?: LogBase;
}

/** A segment that is ready to be written. */
export interface SealedSegment {
  readonly container: FinishedContainer;
  readonly record: SegmentRecord;
  readonly footer: Footer;
}

/**
 * Seals a segment for a place in the log.
 * @throws {MoltError} CONFLICT when a ref was moved by somebody else
 */
export function sealSegment(
  repository: Repository,
  { seq, previous, holes }: NextSegment,
  { moves, commits, packs, blocks, requires, history, base }: SegmentContent,
): SealedSegment {
  for (const move of moves) checkMove(move, repository.refs.get(move.name));
  const writer = new ContainerWriter({
    ...repository.containerSpec(),
    kind: KIND.segment,
    seq,
    storageId: repository.storageId,
  });
  const objects: ObjectEntry[] = [];
  for (const { block, objects: placed } of blocks) {
    const number = writer.add(block);
    for (const object of placed) objects.push({ ...object, block: number });
  }
  const record: SegmentRecord = {
    type: base === undefined ? 'commit' : 'sweep',
    seq,
    previous,
    writer: repository.writerId,
    nonce: repository.random.bytes(16).toString('hex'),
    timeMs: repository.clock.now(),
    keyGeneration: repository.keyGeneration,
    holes,
    refs: moves.filter(({ from, to }) => from !== to),
    commits,
    packs,
    requires,
    ...(history !== undefined && history.length > 0 && { history }),
    ...(base !== undefined && { base }),
  };
  const value = encodeSegmentRecord(record);
  // A segment that no reader took would be a hole, and its commit lost: better to fail while nothing is written.
  parseSegmentRecord(value, segmentName(seq));
  const container = writer.finish(value, objects, 'padme');
  return { container, record, footer: { record, blocks: container.blocks, objects } };
}

function checkMove(move: RefMove, current: GitId | undefined): void {
  if (current === move.from) return;
  throw new MoltError('CONFLICT', `${move.name} was moved by another process`, {
    details: { ref: move.name, current },
  });
}
