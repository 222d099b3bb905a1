import { createPrng, hash64, isMokuError, limits, type Timestamp, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copySnapshot, put, RegionDriver, write } from './support.js';

const seed = 7005;

function chunksOf(region: RegionDriver): Uint8Array[] {
  const source = region.machine.snapshot();
  const chunks: Uint8Array[] = [];
  for (let chunk = source.next(); chunk !== undefined; chunk = source.next()) chunks.push(chunk);
  source.close();
  return chunks;
}

/** Installs chunks as the snapshot of `index`; the code of the refusal, or undefined. */
function installed(region: RegionDriver, chunks: readonly Uint8Array[], index: number) {
  const sink = region.machine.install(index, 1);
  try {
    for (const chunk of chunks) sink.write(chunk);
    sink.finish();
    return undefined;
  } catch (error) {
    sink.abort();
    if (isMokuError(error)) return error.code;
    throw error;
  }
}

function filled(records: number, valueBytes: number): RegionDriver {
  const region = new RegionDriver();
  const prng = createPrng(seed);
  region.openSession();
  for (let i = 0; i < records; i++) {
    const value = String.fromCharCode(97 + prng.below(26)).repeat(prng.below(valueBytes));
    region.run(write([put(`key-${i}`, value)]));
  }
  return region;
}

describe('a snapshot', () => {
  it('carries the whole state: records, sessions, clock and position', () => {
    const [from, to] = [filled(50, 100), new RegionDriver()];
    from.wallMs += 1e9;
    from.run(write([put('k', 'v')]));
    copySnapshot(from.machine, to.machine);
    expect(to.digest()).toBe(from.digest());
    expect(to.machine.appliedIndex).toBe(from.machine.appliedIndex);
    expect(to.machine.appliedTerm).toBe(1);
    expect(to.value('k')).toBe('v');
    to.wallMs = from.wallMs - 1e9;
    const written = to.run(write([put('k', 'w')]));
    expect(written.type === 'written' && written.version).toBe(from.get('k')!.version + 1);
  });

  it('of an empty region is installed too', () => {
    const [from, to] = [new RegionDriver(), filled(3, 10)];
    for (let i = 0; i < 10; i++) {
      from.machine.apply({ term: 1, index: i + 1, kind: 'normal', data: new Uint8Array(0) });
    }
    copySnapshot(from.machine, to.machine);
    expect(to.digest()).toBe(from.digest());
    expect(to.get('key-0')).toBeUndefined();
  });

  it('is cut into bounded chunks, also within a record of the largest size', () => {
    const from = new RegionDriver();
    from.run(write([put('large', 'v'.repeat(limits.valueBytesMax))]));
    for (let i = 0; i < 20; i++) from.run(write([put(`k${i}`, 'v'.repeat(50_000))]));
    const chunks = chunksOf(from);
    expect(chunks.length).toBeGreaterThan(7);
    for (const chunk of chunks)
      expect(chunk.length).toBeLessThanOrEqual(limits.snapshotChunkBytesMax);
    const to = new RegionDriver();
    expect(installed(to, chunks, from.machine.appliedIndex)).toBeUndefined();
    expect(to.digest()).toBe(from.digest());
  });

  it('shows the state as of its index, whatever is applied while it is read', () => {
    const [from, to] = [filled(30, 20_000), new RegionDriver()];
    const digest = from.digest();
    const source = from.machine.snapshot();
    const sink = to.machine.install(source.index, source.term);
    for (let chunk = source.next(); chunk !== undefined; chunk = source.next()) {
      sink.write(chunk);
      from.run(write([put('key-29', 'changed'), put('new', 'v')]));
    }
    sink.finish();
    expect(to.digest()).toBe(digest);
    expect(to.machine.appliedIndex).toBe(source.index);
  });

  it('changes nothing before it is finished, or when it is given up', () => {
    const [from, to] = [filled(30, 100), filled(2, 10)];
    const digest = to.digest();
    const sink = to.machine.install(from.machine.appliedIndex, 1);
    for (const chunk of chunksOf(from)) sink.write(chunk);
    expect(to.digest()).toBe(digest);
    sink.abort();
    expect(to.digest()).toBe(digest);
    expect(to.run(write([put('k', 'v')])).type).toBe('written');
  });

  it('carries deletions as what they are', () => {
    const [from, to] = [filled(1, 10), new RegionDriver()];
    const { regionId } = from.region;
    const key = utf8('\u0001gone');
    const deletion = { key, timestamp: 5 as Timestamp, value: undefined };
    const at = { appliedIndex: from.machine.appliedIndex, appliedTerm: 1 };
    from.engine.write({ regionId, ...at, puts: [deletion], removes: [] });
    copySnapshot(from.machine, to.machine);
    const found = to.engine.get(regionId, key, Number.MAX_SAFE_INTEGER as Timestamp);
    expect(found).toEqual(deletion);
  });

  it('source ends once, also when it is closed early', () => {
    const source = filled(3, 10).machine.snapshot();
    source.close();
    expect(source.next()).toBeUndefined();
    source.close();
  });
});

describe('a damaged snapshot', () => {
  const from = filled(200, 5_000);
  const chunks = chunksOf(from);
  const index = from.machine.appliedIndex;

  function refused(damaged: readonly Uint8Array[], at = index): void {
    const to = filled(2, 10);
    const digest = to.digest();
    expect(installed(to, damaged, at)).toBe('FRAME_CORRUPT');
    expect(to.digest()).toBe(digest);
    expect(installed(to, chunks, index)).toBeUndefined();
    expect(to.digest()).toBe(from.digest());
  }

  it('is refused when any bit of it is flipped', () => {
    expect(chunks.length).toBeGreaterThanOrEqual(3);
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), (which, where, bit) => {
        const damaged = chunks.map((chunk) => chunk.slice());
        const chunk = damaged[which % damaged.length]!;
        chunk[where % chunk.length]! ^= 1 << bit;
        refused(damaged);
      }),
      { seed, numRuns: 40 },
    );
  });

  it('is refused when a chunk is lost, repeated, swapped, cut or added', () => {
    refused(chunks.slice(1));
    refused([chunks[0]!, ...chunks.slice(2)]);
    refused(chunks.slice(0, -1));
    refused([chunks[0]!, ...chunks]);
    refused([chunks[1]!, chunks[0]!, ...chunks.slice(2)]);
    refused([...chunks, chunks.at(-1)!]);
    refused([chunks[0]!.subarray(0, 40), ...chunks.slice(1)]);
    refused([new Uint8Array(0), ...chunks]);
    refused([new Uint8Array(limits.snapshotChunkBytesMax + 1), ...chunks]);
    refused([]);
  });

  /** A chunk with other content and a checksum that fits it. */
  function resealed(chunk: Uint8Array, change: (content: Uint8Array) => void): Uint8Array {
    const copy = chunk.slice();
    const content = copy.subarray(0, -8);
    change(content);
    new DataView(copy.buffer).setBigUint64(content.length, hash64(content), true);
    return copy;
  }

  it('is refused at once: nothing behind the damage is taken in', () => {
    const sink = new RegionDriver().machine.install(index, 1);
    const damaged = chunks[0]!.slice();
    damaged[damaged.length - 20]! ^= 1;
    expect(() => sink.write(damaged)).toThrow('FRAME_CORRUPT');
    const other = new RegionDriver().machine.install(index, 1);
    expect(() => other.write(chunks[1]!)).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ field: 'number', value: 1 }) }),
    );
    expect(() => other.write(chunks[0]!)).toThrow('FRAME_CORRUPT');
    expect(() => other.finish()).toThrow('FRAME_CORRUPT');
  });

  it('is refused by its digest when a chunk fits its own checksum', () => {
    const inValue = (content: Uint8Array) => {
      content[content.length - 20]! ^= 1;
    };
    refused([resealed(chunks[0]!, inValue), ...chunks.slice(1)]);
  });

  it('is refused when the number of records is another', () => {
    const last = chunks.at(-1)!;
    // Kind, number, region, index (2 bytes) and term come before the number of records (2 bytes).
    const inCount = (content: Uint8Array) => {
      content[6]! ^= 1;
    };
    expect(index).toBeGreaterThan(127);
    refused([...chunks.slice(0, -1), resealed(last, inCount)]);
  });

  it('is refused when it is of another index', () => {
    refused(chunks, index + 1);
  });

  it('is refused when chunks of two snapshots are mixed', () => {
    const other = filled(200, 4_000);
    const mixed = [chunks[0]!, ...chunksOf(other).slice(1)];
    expect(mixed.length).toBeGreaterThanOrEqual(3);
    refused(mixed);
  });
});
