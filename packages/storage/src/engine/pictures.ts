/**
 * Consistent pictures of stores: a read transaction on a connection of its own, under clones of the
 * overlays' trees. Connections are kept for the next picture.
 *
 * A picture holds its overlays' chunks (O2) and keeps checkpoints from going past its transaction until
 * it is closed; flushes then become durable by a sync of the write-ahead log (see `Writer`).
 */
import { assert, equalBytes } from '@moku/base';
import type { StorePicture, VersionedValue } from '@moku/kv';
import type { Medium } from '../medium.js';
import type { ChunkTable } from './chunks.js';
import { closeCursors, firstCursor, OverlayCursor, type VersionCursor } from './cursors.js';
import type { Overlay, StoreState } from './overlay.js';
import { Reader } from './reader.js';

/** Page cache of a picture's connection: it reads in order, so a little is enough. */
const cacheKiB = 1_024;
const idleReadersMax = 2;

export class Pictures {
  private readonly directory: string;
  private readonly table: ChunkTable;
  private readonly medium: Medium;
  private readonly idle: Reader[] = [];
  private readonly open = new Set<Picture>();

  constructor(directory: string, table: ChunkTable, medium: Medium) {
    this.directory = directory;
    this.table = table;
    this.medium = medium;
  }

  /** A picture of `store` as it is now; `overlays` are those with versions of it. */
  take(store: StoreState, overlays: readonly Overlay[]): StorePicture {
    const reader = this.idle.pop() ?? new Reader(this.directory, cacheKiB, this.medium);
    const cursors: VersionCursor[] = [];
    try {
      reader.hold();
      for (const tree of [store.active, store.frozen]) {
        if (tree !== undefined)
          cursors.push(new OverlayCursor(this.table, tree.clone(), undefined));
      }
      cursors.push(reader.all(store.storeId));
    } catch (error) {
      closeCursors(cursors);
      reader.close();
      throw error;
    }
    for (const overlay of overlays) overlay.pin();
    const picture = new Picture(cursors, () => {
      this.open.delete(picture);
      for (const overlay of overlays) overlay.unpin();
      reader.release();
      if (this.idle.length < idleReadersMax) this.idle.push(reader);
      else reader.close();
    });
    this.open.add(picture);
    return picture;
  }

  /** Ends all pictures and closes their connections. */
  close(): void {
    for (const picture of [...this.open]) picture.close();
    for (const reader of this.idle) reader.close();
    this.idle.length = 0;
  }
}

class Picture implements StorePicture {
  private readonly cursors: readonly VersionCursor[];
  private readonly release: () => void;
  private isOpen = true;

  constructor(cursors: readonly VersionCursor[], release: () => void) {
    this.cursors = cursors;
    this.release = release;
  }

  next(bytesMax: number): readonly VersionedValue[] {
    assert(this.isOpen, 'a picture is read until it is closed');
    const batch: VersionedValue[] = [];
    let bytes = 0;
    for (;;) {
      const first = firstCursor(this.cursors, false);
      if (first === undefined) return batch;
      if (!first.isRemoval) {
        const version = first.version();
        bytes += version.key.length + (version.value?.length ?? 0);
        if (batch.length > 0 && bytes > bytesMax) return batch;
        batch.push(version);
      }
      passVersion(this.cursors, first);
    }
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    closeCursors(this.cursors);
    this.release();
  }
}

/** Moves all cursors past the key and timestamp of `first`. */
function passVersion(cursors: readonly VersionCursor[], first: VersionCursor): void {
  const { key, timestamp } = first;
  for (const cursor of cursors) {
    if (cursor === first || cursor.isDone || cursor.timestamp !== timestamp) continue;
    if (equalBytes(cursor.key, key)) cursor.advance();
  }
  first.advance();
}
