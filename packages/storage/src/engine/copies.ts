// @hot
/**
 * Copies of bytes that leave the overlays' shared memory. Small ones are cut from a common slab: an
 * ArrayBuffer of its own costs several times as much as the bytes it holds.
 */

const slabBytes = 16_384;
/** Larger copies get memory of their own, so that nobody keeps a slab alive for long by one of them. */
const slabCopyBytesMax = 1_024;
/** Up to this length a loop beats the call of `set`. */
const loopBytesMax = 96;

let slab = new Uint8Array(slabBytes);
let slabUsed = 0;

/** A copy of `source` from `from` to `to`, not shared with other threads. */
export function copyOf(source: Uint8Array, from: number, to: number): Uint8Array {
  const length = to - from;
  if (length > slabCopyBytesMax) return source.slice(from, to);
  if (slabUsed + length > slabBytes) {
    slab = new Uint8Array(slabBytes);
    slabUsed = 0;
  }
  const at = slabUsed;
  slabUsed = at + length;
  if (length > loopBytesMax) slab.set(source.subarray(from, to), at);
  else for (let i = 0; i < length; i++) slab[at + i] = source[from + i]!;
  return slab.subarray(at, at + length);
}
