// @hot
/**
 * Which replicas a turn visits: the dirty ones, once each; and which ones are ticked: the awake ones.
 * A replica in neither costs a turn nothing (P10).
 *
 * Invariants:
 *  S1 A replica is in the dirty queue exactly while `isDirty`.
 *  S2 awake[replica.awakeAt] is the replica, exactly while awakeAt >= 0.
 */
import { assert } from '@moku/base';
import type { Replica } from './replica.js';

export class Schedule {
  private dirty: Replica[] = [];
  private head = 0;
  private readonly awake: Replica[] = [];

  get dirtyCount(): number {
    return this.dirty.length - this.head;
  }

  get awakeCount(): number {
    return this.awake.length;
  }

  awakeOf(at: number): Replica | undefined {
    return this.awake[at];
  }

  markDirty(replica: Replica): void {
    if (replica.isDirty || replica.state !== 'running') return;
    replica.isDirty = true;
    this.dirty.push(replica);
  }

  /** The next dirty replica, no longer dirty; undefined when none is left. */
  takeDirty(): Replica | undefined {
    while (this.head < this.dirty.length) {
      const replica = this.dirty[this.head]!;
      this.head++;
      if (this.head === this.dirty.length) {
        this.dirty = [];
        this.head = 0;
      }
      replica.isDirty = false;
      if (replica.state === 'running') return replica;
    }
    return undefined;
  }

  wake(replica: Replica): void {
    if (replica.awakeAt >= 0) return;
    replica.awakeAt = this.awake.length;
    this.awake.push(replica);
  }

  rest(replica: Replica): void {
    const at = replica.awakeAt;
    if (at < 0) return;
    assert(this.awake[at] === replica, 'S2: an awake replica is where it says');
    const last = this.awake.pop()!;
    if (last !== replica) {
      this.awake[at] = last;
      last.awakeAt = at;
    }
    replica.awakeAt = -1;
  }
}
