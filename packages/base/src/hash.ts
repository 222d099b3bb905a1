/**
 * xxHash64 of bytes. The WebAssembly module is loaded once, at import: the only await below floor 4.
 */
import createXxhash from 'xxhash-wasm';

const xxhash = await createXxhash();

/** xxHash64 of `bytes` as an unsigned 64-bit integer. */
export function hash64(bytes: Uint8Array, seed = 0n): bigint {
  return xxhash.h64Raw(bytes, seed);
}

/** xxHash32 of `bytes` as an unsigned 32-bit integer. */
export function hash32(bytes: Uint8Array, seed = 0): number {
  return xxhash.h32Raw(bytes, seed);
}
