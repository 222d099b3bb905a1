/**
 * The bytes of a region's row in table `region`: hard state, floor, configuration, or a tombstone.
 * Under its own hash, the region id included (W1).
 */
import {
  ByteReader,
  type ByteWriter,
  hash64,
  isMokuError,
  MokuError,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import {
  type ConfState,
  type HardState,
  readConfState,
  readHardState,
  writeConfState,
  writeHardState,
} from '@moku/raft';

/** What is kept of a region beside its entries. */
export interface RegionState {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly hardState: HardState;
  readonly confState: ConfState;
  readonly confStateIndex: number;
  readonly truncatedIndex: number;
  readonly truncatedTerm: number;
  /** Records in rows below this are dead, whatever their index (L3). */
  readonly lowestValidSeq: number;
}

export interface TombstoneState {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly isTombstone: true;
}

const kindLive = 1;
const kindTombstone = 2;

/** Appends `regionId f64 · length u32 · state` to `writer`. */
export function appendState(writer: ByteWriter, state: RegionState | TombstoneState): void {
  writer.f64(state.regionId);
  const lengthAt = writer.length;
  writer.u32(0);
  const from = writer.length;
  writer.u64(0n);
  writer.f64(state.regionId);
  writer.u8('isTombstone' in state ? kindTombstone : kindLive);
  writer.u32(state.replicaId);
  if (!('isTombstone' in state)) appendLive(writer, state);
  writer.patchU32(lengthAt, writer.length - from);
  writer.patchU64(from, hash64(writer.view().subarray(from + 8)));
}

function appendLive(writer: ByteWriter, state: RegionState): void {
  writeHardState(writer, state.hardState);
  writer.uvarint(state.truncatedIndex);
  writer.uvarint(state.truncatedTerm);
  writer.uvarint(state.lowestValidSeq);
  writer.uvarint(state.confStateIndex);
  writeConfState(writer, state.confState);
}

/** All states of a buffer of `appendState`. Throws LOG_CORRUPT naming the region whose state is damaged. */
export function readStates(bytes: Uint8Array): (RegionState | TombstoneState)[] {
  const reader = new ByteReader(bytes);
  const states: (RegionState | TombstoneState)[] = [];
  while (reader.remaining > 0) {
    const regionId = reader.f64() as RegionId;
    const state = reader.raw(reader.u32());
    try {
      states.push(readState(regionId, state));
    } catch (error) {
      if (!isMokuError(error, 'FRAME_MALFORMED')) throw error;
      throw corrupt(regionId, error);
    }
  }
  return states;
}

function readState(regionId: RegionId, bytes: Uint8Array): RegionState | TombstoneState {
  const reader = new ByteReader(bytes);
  if (reader.u64() !== hash64(bytes.subarray(8))) throw corrupt(regionId);
  if (reader.f64() !== regionId) throw corrupt(regionId);
  const kind = reader.u8();
  const replicaId = reader.u32() as ReplicaId;
  if (kind === kindTombstone) return { regionId, replicaId, isTombstone: true };
  const hardState = readHardState(reader);
  const truncatedIndex = reader.uvarint();
  const truncatedTerm = reader.uvarint();
  const lowestValidSeq = reader.uvarint();
  const confStateIndex = reader.uvarint();
  const confState = readConfState(reader);
  reader.finish();
  return {
    regionId,
    replicaId,
    hardState,
    confState,
    confStateIndex,
    truncatedIndex,
    truncatedTerm,
    lowestValidSeq,
  };
}

function corrupt(regionId: RegionId, cause?: unknown): MokuError {
  return new MokuError('LOG_CORRUPT', { field: 'region.state', regionId }, { cause });
}
