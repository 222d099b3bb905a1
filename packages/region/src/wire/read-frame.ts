// @hot
/**
 * Reads a frame whole before anything of it takes effect.
 *
 * Invariants:
 *  W6 A frame that is not well-formed to its last byte throws FRAME_MALFORMED, and no item of it was
 *     handed out.
 *  W7 Memory taken for a frame is proportional to its bytes: every count is held against what is left.
 */
import { ByteReader, limits, MokuError, unreachable } from '@moku/base';
import { readMessage } from '@moku/raft';
import { readControl } from './control-codec.js';
import { malformed, readRegionId } from './fields.js';
import { frameItemsMax, frameVersion, tagRaft, tagSnapshot, tagSnapshotSignal } from './frame.js';
import { readSnapshotChunk, readSnapshotSignal } from './snapshot-codec.js';
import type { FrameItem, FrameVisitor } from './types.js';

/**
 * Hands the items of a frame to `visitor`, in order. Throws FRAME_MALFORMED, naming the field, before
 * the first of them when any is not well-formed; FRAME_TOO_LARGE past limits.frameBytesMax;
 * VERSION_MISMATCH for another version. Entries and chunks alias `bytes`.
 */
export function readFrame(bytes: Uint8Array, visitor: FrameVisitor): void {
  const items = decodeFrame(bytes);
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    switch (item.kind) {
      case 'control':
        visitor.onControl(item.item);
        break;
      case 'raft':
        visitor.onRaft(item.regionId, item.message);
        break;
      case 'snapshot':
        visitor.onSnapshot(item.chunk);
        break;
      case 'snapshotSignal':
        visitor.onSnapshotSignal(item.signal);
        break;
      default:
        unreachable(item);
    }
  }
}

function decodeFrame(bytes: Uint8Array): FrameItem[] {
  if (bytes.length > limits.frameBytesMax) {
    throw new MokuError('FRAME_TOO_LARGE', { bytes: bytes.length, bound: limits.frameBytesMax });
  }
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== frameVersion) {
    throw new MokuError('VERSION_MISMATCH', { field: 'frame', version, expected: frameVersion });
  }
  const items: FrameItem[] = [];
  while (reader.remaining > 0) {
    if (items.length === frameItemsMax) throw malformed('items');
    const tag = reader.u8();
    if (tag === tagRaft) {
      const regionId = readRegionId(reader);
      items.push({ kind: 'raft', regionId, message: readMessage(reader) });
    } else if (tag === tagSnapshot) {
      items.push({ kind: 'snapshot', chunk: readSnapshotChunk(reader) });
    } else if (tag === tagSnapshotSignal) {
      items.push({ kind: 'snapshotSignal', signal: readSnapshotSignal(reader) });
    } else {
      items.push({ kind: 'control', item: readControl(reader, tag) });
    }
  }
  return items;
}
