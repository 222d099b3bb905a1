// @hot
/**
 * Committed entries on their way into the state machines: strictly by index, each exactly once, bounded
 * per turn, and not at all while the engine is full.
 *
 * Invariants:
 *  A1 A machine applies index appliedIndex + 1 next; what it holds already (after a restart, or by a
 *     snapshot) is passed over, never applied again.
 *  A2 The core hears of every entry in order, applied or passed over; of configuration changes too.
 *  A3 A proposal is answered by the entry at its index, after that entry was applied here.
 */
import { assert } from '@moku/base';
import { decodeConfChange, type Entry } from '@moku/raft';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import type { Truncation } from './truncation.js';

/** What an entry costs beside its bytes, so that empty ones are bounded too. */
const entryOverheadBytes = 128;

export interface ApplierParts {
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly rest: Rest;
  readonly truncation: Truncation;
  /** False while the engine is full. */
  readonly canApply: () => boolean;
}

export class Applier {
  private readonly parts: ApplierParts;
  private queue: Replica[] = [];
  private head = 0;
  applied = 0;
  commandsApplied = 0;

  constructor(parts: ApplierParts) {
    this.parts = parts;
  }

  /** The core handed out `entries`, in order behind what it handed out before. */
  add(replica: Replica, entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    const { toApply } = replica;
    if (toApply === undefined) {
      replica.toApply = entries as Entry[];
      replica.applyAt = 0;
      this.queue.push(replica);
      return;
    }
    replica.toApply = toApply.slice(replica.applyAt).concat(entries);
    replica.applyAt = 0;
  }

  /** Applies up to `bytesMax`. Returns whether there is more that could be applied now. */
  run(bytesMax: number, tick: number): boolean {
    let bytesLeft = bytesMax;
    while (this.head < this.queue.length) {
      if (!this.parts.canApply()) return false;
      if (bytesLeft <= 0) return true;
      const replica = this.queue[this.head]!;
      // A snapshot may have taken the place of what waited.
      if (replica.state === 'running' && replica.hasToApply()) {
        bytesLeft -= this.applySome(replica, bytesLeft, tick);
      }
      if (replica.state === 'running' && replica.hasToApply()) continue;
      this.head++;
      if (this.head === this.queue.length) {
        this.queue = [];
        this.head = 0;
      }
    }
    return false;
  }

  /** Applies entries of one replica, at least one; returns what they cost. */
  private applySome(replica: Replica, bytesMax: number, tick: number): number {
    const entries = replica.toApply!;
    let cost = 0;
    try {
      while (replica.applyAt < entries.length && cost < bytesMax) {
        const entry = entries[replica.applyAt]!;
        this.applyOne(replica, entry, tick);
        cost += entry.data.length + entryOverheadBytes;
        if (replica.toApply !== entries) break;
        replica.applyAt++;
      }
      if (replica.toApply === entries) {
        if (replica.applyAt > 0) replica.raft.applied(entries[replica.applyAt - 1]!.index);
        if (replica.applyAt === entries.length) replica.toApply = undefined;
      }
    } catch (error) {
      this.parts.failures.fail(replica, error);
      return cost;
    }
    replica.reads?.applied(replica.machine.appliedIndex);
    this.parts.truncation.touch(replica);
    this.parts.rest.consider(replica);
    return cost;
  }

  private applyOne(replica: Replica, entry: Entry, tick: number): void {
    const { machine } = replica;
    if (entry.index > machine.appliedIndex) {
      assert(entry.index === machine.appliedIndex + 1, 'A1: applied strictly by index');
      const results = machine.apply(entry);
      assert(machine.appliedIndex === entry.index, 'A1: the machine applied the entry');
      this.applied++;
      this.commandsApplied += results.length;
      replica.proposals?.applied(entry, results, replica.leaderNodeId());
    } else {
      replica.proposals?.skippedTo(entry.index, replica.leaderNodeId());
    }
    if (entry.kind === 'confChange') this.applyConfChange(replica, entry, tick);
  }

  private applyConfChange(replica: Replica, entry: Entry, tick: number): void {
    const { index } = entry;
    const confState = replica.raft.applyConfChange(decodeConfChange(entry.data), index);
    replica.raft.applied(index);
    if (confState !== undefined) replica.confToWrite = { index, confState };
    this.parts.leadership.reconfigured(replica, tick);
    this.parts.rest.markDirty(replica);
  }
}
