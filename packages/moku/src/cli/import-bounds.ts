/**
 * Where the regions of a new range keyspace begin: at even shares of the keys of the file that is to be
 * imported, as far as a sample of bounded size tells.
 */
import { compareBytes, createPrng, MokuError, utf8 } from '@moku/base';
import type { Key } from '@moku/client';
import type { RecordBlock } from './import-lines.js';

const sampleKeysMax = 20_000;
/** The same file gives the same bounds. */
const sampleSeed = 1;

/** `regions` - 1 ascending keys. Throws INVALID_ARGUMENT when the sample has fewer different keys. */
export async function boundsFor(
  blocks: AsyncIterable<RecordBlock>,
  regions: number,
): Promise<Uint8Array[]> {
  const sample = await sampleKeys(blocks);
  sample.sort(compareBytes);
  const keys = sample.filter((key, i) => i === 0 || compareBytes(sample[i - 1] ?? key, key) < 0);
  if (keys.length < regions) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: '--regions',
      value: regions,
      max: keys.length,
      rule: 'no more regions than different keys in the file, or --bounds',
    });
  }
  const bounds: Uint8Array[] = [];
  for (let i = 1; i < regions; i++) {
    const key = keys[Math.floor((i * keys.length) / regions)];
    if (key !== undefined) bounds.push(key);
  }
  return bounds;
}

/** Every key has the same chance to be in it (Vitter 1985, algorithm R). */
async function sampleKeys(blocks: AsyncIterable<RecordBlock>): Promise<Uint8Array[]> {
  const prng = createPrng(sampleSeed);
  const sample: Uint8Array[] = [];
  let seen = 0;
  for await (const { records } of blocks) {
    for (const { key } of records) {
      seen += 1;
      if (sample.length < sampleKeysMax) sample.push(bytesOf(key));
      else {
        const at = prng.below(seen);
        if (at < sampleKeysMax) sample[at] = bytesOf(key);
      }
    }
  }
  return sample;
}

function bytesOf(key: Key): Uint8Array {
  return typeof key === 'string' ? utf8(key) : key;
}
