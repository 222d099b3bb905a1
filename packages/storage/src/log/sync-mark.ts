/**
 * A note beside the write-ahead log of how far it was synced, so that the loss of its last commits, which
 * looks like a torn end, is noticed at the next opening.
 *
 * Invariants:
 *  Y1 The note is written after the sync it speaks of, and removed, durably, before the write-ahead log is
 *     emptied or removed: it never claims what was not synced, and never raises a false alarm.
 *  Y2 It is not synced: what kills only the process leaves it exact; a power loss may leave an older one,
 *     or none, which says less.
 */
import { join } from 'node:path';
import { hash32, utf8 } from '@moku/base';
import type { FileWriting, Medium } from '../medium.js';
import { readGeneration, type WalVerdict } from './wal-scan.js';

const markName = 'log.mark';
const generationChars = 16;
const framesChars = 12;

export class SyncMark {
  private readonly dir: string;
  private readonly medium: Medium;
  private file: FileWriting | undefined = undefined;
  private generation = '';
  private frames = 0;

  constructor(dir: string, medium: Medium) {
    this.dir = dir;
    this.medium = medium;
  }

  /** The first `frames` frames of the write-ahead log are synced. */
  synced(frames: number): void {
    const { medium, dir } = this;
    if (medium.openWriting === undefined) return;
    if (this.generation === '' || frames < this.frames) {
      this.generation = readGeneration(join(dir, 'log.db-wal'), medium);
    }
    this.frames = frames;
    this.file ??= medium.openWriting(join(dir, markName));
    this.file.write(utf8(format(this.generation, frames)));
  }

  /** The next commit may begin the write-ahead log anew. */
  checkpointed(): void {
    this.generation = '';
  }

  /** The write-ahead log is about to be emptied or removed (Y1). */
  remove(): void {
    this.file?.close();
    this.file = undefined;
    removeMark(this.dir, this.medium);
  }
}

/** Removes what a former process noted, once it was judged (Y1). */
export function removeMark(dir: string, medium: Medium): void {
  const path = join(dir, markName);
  if (medium.exists(path)) medium.remove(path);
}

/** Why synced commits are missing from the write-ahead log, of which `verdict` is; empty: nothing speaks for it. */
export function lossByMark(dir: string, verdict: WalVerdict, medium: Medium): string {
  const path = join(dir, markName);
  if (!medium.exists(path)) return '';
  const mark = parse(medium.readText(path));
  if (mark === undefined) return '';
  const { generation, frames } = verdict;
  // Another generation: it was begun anew behind the note, which says nothing of it.
  if (generation !== '' && generation !== mark.generation) return '';
  if (frames >= mark.frames) return '';
  return `the write-ahead log ends after ${frames} frames, and ${mark.frames} were synced`;
}

function format(generation: string, frames: number): string {
  const noted = `${generation} ${String(frames).padStart(framesChars)}`;
  return `${noted} ${hash32(utf8(noted)).toString(16).padStart(8, '0')}\n`;
}

/** undefined: it was torn, or is none. */
function parse(written: string): { generation: string; frames: number } | undefined {
  const generation = written.slice(0, generationChars);
  const frames = Number(written.slice(generationChars, generationChars + 1 + framesChars));
  return format(generation, frames) === written ? { generation, frames } : undefined;
}
