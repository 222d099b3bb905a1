// @hot
/**
 * What one entry writes to user keys, before it goes to the engine in one piece: each key touched has
 * one slot with its state as of the command that is being applied. Commands of one entry see each
 * other's effects here; a batch that fails is rolled back.
 *
 * Invariants:
 *  W1 A slot's `version` is 0 exactly when the key is absent, and then `record` is undefined.
 *  W2 A key whose time has passed by the entry's own timestamp is absent to every command that touches
 *     it, and leaves the engine with this entry: the touch settles it.
 *  W3 After `drain` the engine holds at most one version of each key.
 */
import { assert, type RegionId, type Timestamp, zeroTimestamp } from '@moku/base';
import { Arena } from './arena.js';
import type { Engine, VersionedValue } from './contracts/engine.js';
import { encodeValue, engineKey, expiryOf, newest } from './records.js';

export interface Slot {
  readonly engineKey: Uint8Array;
  /** The version in the engine; 0: none. */
  readonly storedVersion: Timestamp;
  version: Timestamp;
  record: Uint8Array | undefined;
}

/** Serves all regions: an entry is applied in one piece, and the engine copies what it keeps. */
const arena = new Arena();

export class WriteSet {
  private readonly engine: Engine;
  private readonly regionId: RegionId;
  private readonly slots = new Map<string, Slot>();
  /** Former states of slots set since `begin`, for `rollback`. */
  private readonly undoSlots: Slot[] = [];
  private readonly undoVersions: Timestamp[] = [];
  private readonly undoRecords: (Uint8Array | undefined)[] = [];
  private undoCount = 0;
  private wallMs = 0;

  constructor(engine: Engine, regionId: RegionId) {
    this.engine = engine;
    this.regionId = regionId;
  }

  /** Starts an entry whose proposer's clock showed `wallMs`. */
  startEntry(wallMs: number): void {
    assert(this.slots.size === 0, 'the former entry was drained');
    this.wallMs = wallMs;
    arena.reset();
  }

  /** Starts a command: what is set from here on can be rolled back. */
  begin(): void {
    this.undoCount = 0;
  }

  /** State of a stored key as left by the commands before. */
  slot(stored: Uint8Array): Slot {
    // A string of the bytes: the engine's hash of strings is seeded, so keys cannot be made to collide.
    const name: string = Reflect.apply(String.fromCharCode, undefined, stored);
    const known = this.slots.get(name);
    if (known !== undefined) return known;
    const slot = this.load(stored);
    this.slots.set(name, slot);
    return slot;
  }

  private load(stored: Uint8Array): Slot {
    const key = engineKey(stored, arena);
    const found = this.engine.get(this.regionId, key, newest);
    if (found === undefined || found.value === undefined) {
      return {
        engineKey: key,
        storedVersion: zeroTimestamp,
        version: zeroTimestamp,
        record: undefined,
      };
    }
    const expiresAtMs = expiryOf(found.value);
    const isOver = expiresAtMs !== undefined && expiresAtMs <= this.wallMs; // W2
    return {
      engineKey: key,
      storedVersion: found.timestamp,
      version: isOver ? zeroTimestamp : found.timestamp,
      record: isOver ? undefined : found.value,
    };
  }

  /** Makes `payload` the value of the slot's key, until `expiresAtMs` when that is given. */
  put(slot: Slot, version: Timestamp, payload: Uint8Array, expiresAtMs: number | undefined): void {
    this.set(slot, version, encodeValue(payload, expiresAtMs, arena));
  }

  /** The slot's key is gone. */
  remove(slot: Slot): void {
    this.set(slot, zeroTimestamp, undefined); // W1
  }

  private set(slot: Slot, version: Timestamp, record: Uint8Array | undefined): void {
    const at = this.undoCount++;
    this.undoSlots[at] = slot;
    this.undoVersions[at] = slot.version;
    this.undoRecords[at] = slot.record;
    slot.version = version;
    slot.record = record;
  }

  /** Takes back everything set since `begin`. */
  rollback(): void {
    for (let i = this.undoCount - 1; i >= 0; i--) {
      const slot = this.undoSlots[i]!;
      slot.version = this.undoVersions[i]!;
      slot.record = this.undoRecords[i];
    }
    this.undoCount = 0;
  }

  /** Adds what the entry changed to the engine's write, and forgets it. */
  drain(puts: VersionedValue[], removes: { key: Uint8Array; timestamp: Timestamp }[]): void {
    for (const slot of this.slots.values()) {
      if (slot.version === slot.storedVersion) continue;
      if (slot.storedVersion !== 0) {
        removes.push({ key: slot.engineKey, timestamp: slot.storedVersion }); // W3
      }
      if (slot.record !== undefined) {
        puts.push({ key: slot.engineKey, timestamp: slot.version, value: slot.record });
      }
    }
    this.slots.clear();
    this.undoSlots.length = 0;
    this.undoVersions.length = 0;
    this.undoRecords.length = 0;
  }
}
