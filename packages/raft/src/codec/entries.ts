// @hot
/**
 * The binary form of a run of entries, the same in a record of the log and in an append frame, so that a
 * follower can hand received bytes to its log. The first index is implied by what stands around the block.
 *
 *   block := count uvarint, entry × count
 *   entry := term uvarint, kind u8 (0 normal, 1 confChange), length uvarint, data
 *
 * Invariants:
 *  W1 Indexes of a block are contiguous; terms never decrease.
 *  W2 Nothing is allocated by a count that the remaining bytes cannot hold.
 */
import { assert, type ByteReader, type ByteWriter, limits } from '@moku/base';
import type { Entry } from '../types.js';
import { malformed } from './checks.js';

/** Bytes of the smallest entry. */
const entryBytesMin = 3;
const kindNormal = 0;
const kindConfChange = 1;

/** Writes `entries`; indexes must be contiguous (W1). An empty run is one byte. */
export function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
  writer.uvarint(entries.length);
  if (entries.length === 0) return;
  const firstIndex = entries[0]!.index;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    assert(entry.index === firstIndex + i, 'W1: indexes are contiguous');
    writer.uvarint(entry.term);
    writer.u8(entry.kind === 'normal' ? kindNormal : kindConfChange);
    writer.bytes(entry.data);
  }
}

/**
 * Reads what writeEntries wrote; the first entry has index `firstIndex`. Data aliases the input. Throws
 * FRAME_MALFORMED naming the field: count, index, term, kind, data.
 */
export function readEntries(reader: ByteReader, firstIndex: number): Entry[] {
  const count = reader.uvarint();
  if (count > reader.remaining / entryBytesMin) throw malformed('count');
  if (!Number.isSafeInteger(firstIndex + count)) throw malformed('index');
  const entries: Entry[] = [];
  let lastTerm = 0;
  for (let i = 0; i < count; i++) {
    const term = reader.uvarint();
    if (term < lastTerm) throw malformed('term');
    lastTerm = term;
    const kind = reader.u8();
    if (kind > kindConfChange) throw malformed('kind');
    const data = reader.bytes();
    if (data.length > limits.entryBytesMax) throw malformed('data');
    entries.push({
      term,
      index: firstIndex + i,
      kind: kind === kindNormal ? 'normal' : 'confChange',
      data,
    });
  }
  return entries;
}
