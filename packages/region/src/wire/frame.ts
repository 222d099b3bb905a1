/**
 * The form of a frame: a version byte, then items one behind the other, each a tag byte and its fields.
 * A frame has no length and no checksum of its own; the transport sees to both.
 */
import { controlTagsEnd } from './control-codec.js';

/** Raised with every change that a former reader would misread. */
export const frameVersion = 2;
/** Items of one frame. */
export const frameItemsMax = 65_536;

/** Tags below are control items (`control-codec.ts`). */
export const tagRaft: number = controlTagsEnd;
export const tagSnapshot: number = controlTagsEnd + 1;
export const tagSnapshotSignal: number = controlTagsEnd + 2;
