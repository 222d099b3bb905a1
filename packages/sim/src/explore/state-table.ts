/**
 * A set of states in flat memory: each once, numbered in the order of coming, with two more integers
 * each (where it came from, by which event). 36 bytes a state, and 4 to 8 of the table of hashes.
 */
import { type State, stateLength } from './world.js';

const rowLength = stateLength + 2;

export class StateTable {
  size = 0;
  private rows = new Int32Array(rowLength << 12);
  private slots = new Int32Array(1 << 13).fill(-1);

  /** Bytes held. */
  get bytes(): number {
    return this.rows.byteLength + this.slots.byteLength;
  }

  has(state: State): boolean {
    return this.slots[this.slotOf(state)]! >= 0;
  }

  /** False when it was in already. */
  add(state: State, parent: number, event: number): boolean {
    const slot = this.slotOf(state);
    if (this.slots[slot]! >= 0) return false;
    const start = this.size * rowLength;
    if (start === this.rows.length) {
      const rows = new Int32Array(this.rows.length * 2);
      rows.set(this.rows);
      this.rows = rows;
    }
    this.rows.set(state, start);
    this.rows[start + stateLength] = parent;
    this.rows[start + stateLength + 1] = event;
    this.slots[slot] = this.size;
    this.size += 1;
    if (this.size * 2 > this.slots.length) this.grow();
    return true;
  }

  at(index: number): State {
    return this.rows.slice(index * rowLength, index * rowLength + stateLength);
  }

  parentOf(index: number): number {
    return this.rows[index * rowLength + stateLength]!;
  }

  eventOf(index: number): number {
    return this.rows[index * rowLength + stateLength + 1]!;
  }

  private slotOf(state: State): number {
    const mask = this.slots.length - 1;
    let slot = hashOf(state, 0) & mask;
    for (;;) {
      const index = this.slots[slot]!;
      if (index < 0 || this.isAt(index, state)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  private isAt(index: number, state: State): boolean {
    const start = index * rowLength;
    for (let i = 0; i < stateLength; i++) {
      if (this.rows[start + i] !== state[i]) return false;
    }
    return true;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 2).fill(-1);
    const mask = this.slots.length - 1;
    for (let index = 0; index < this.size; index++) {
      let slot = hashOf(this.rows, index * rowLength) & mask;
      while (this.slots[slot]! >= 0) slot = (slot + 1) & mask;
      this.slots[slot] = index;
    }
  }
}

function hashOf(values: Int32Array, start: number): number {
  let hash = 0x2545f491;
  for (let i = 0; i < stateLength; i++) {
    hash = Math.imul(hash ^ values[start + i]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
