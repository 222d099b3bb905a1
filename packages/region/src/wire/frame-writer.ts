// @hot
/**
 * Gathers what goes to one peer in one turn into frames of at most limits.frameBytesTarget, in order.
 * One writer serves all peers and turns, one after the other; its buffer stays.
 *
 * Invariants:
 *  W3 Items come out in the order in which they went in, each whole in one frame.
 *  W4 A frame is longer than limits.frameBytesTarget only when it holds a single item, and never longer
 *     than limits.frameBytesMax: entries and chunks are bounded below that.
 *  W5 A frame handed out is a copy that the writer never touches again (T4).
 */
import { assert, ByteWriter, limits, type RegionId } from '@moku/base';
import { type Message, writeMessage } from '@moku/raft';
import type { ControlItem } from '../claims/types.js';
import { writeControl } from './control-codec.js';
import { frameItemsMax, frameVersion, tagRaft, tagSnapshot, tagSnapshotSignal } from './frame.js';
import { writeSnapshotChunk, writeSnapshotSignal } from './snapshot-codec.js';
import type { SnapshotChunk, SnapshotSignal } from './types.js';

const capacityBytes = 64 * 1024;
const headerBytes = 1;

export class FrameWriter {
  private readonly writer: ByteWriter = new ByteWriter(capacityBytes);
  private frames: Uint8Array[] = [];
  private framedBytes = 0;
  /** Items in the frame under way. */
  private items = 0;

  /** Starts anew; what was not finished is forgotten. */
  begin(): void {
    this.writer.reset();
    this.frames = [];
    this.framedBytes = 0;
    this.items = 0;
  }

  control(item: ControlItem): void {
    const start = this.open();
    writeControl(this.writer, item);
    this.close(start);
  }

  raft(regionId: RegionId, message: Message): void {
    const start = this.open();
    this.writer.u8(tagRaft);
    this.writer.uvarint(regionId);
    writeMessage(this.writer, message);
    this.close(start);
  }

  snapshot(chunk: SnapshotChunk): void {
    const start = this.open();
    this.writer.u8(tagSnapshot);
    writeSnapshotChunk(this.writer, chunk);
    this.close(start);
  }

  snapshotSignal(signal: SnapshotSignal): void {
    const start = this.open();
    this.writer.u8(tagSnapshotSignal);
    writeSnapshotSignal(this.writer, signal);
    this.close(start);
  }

  /** Bytes of everything written since `begin`. */
  bytes(): number {
    return this.framedBytes + this.writer.length;
  }

  /** The frames, in order; none when nothing was written. Starts anew. */
  finish(): Uint8Array[] {
    if (this.items > 0) this.frameUpTo(this.writer.length);
    const frames = this.frames;
    this.begin();
    return frames;
  }

  /** Where the next item starts; behind the header. */
  private open(): number {
    if (this.writer.length === 0) this.writer.u8(frameVersion);
    return this.writer.length;
  }

  /** Cuts before the item that began at `start` when it does not fit, and behind it when it alone is too long. */
  private close(start: number): void {
    this.items += 1;
    if (this.writer.length <= limits.frameBytesTarget && this.items <= frameItemsMax) return;
    if (start > headerBytes) {
      const rest = this.writer.view().slice(start);
      this.frameUpTo(start);
      this.writer.u8(frameVersion);
      this.writer.raw(rest);
      this.items = 1;
    }
    if (this.writer.length > limits.frameBytesTarget) this.frameUpTo(this.writer.length);
  }

  private frameUpTo(end: number): void {
    assert(end <= limits.frameBytesMax, 'W4: a frame is at most limits.frameBytesMax');
    this.frames.push(this.writer.view().slice(0, end));
    this.framedBytes += end;
    this.writer.reset();
    this.items = 0;
  }
}
