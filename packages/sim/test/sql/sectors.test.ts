/** What a power cut leaves of files, in atoms. */
import { createPrng } from '@moku/base';
import { expect, it } from 'vitest';
import { type Remains, SectorDisk, type SectorFile } from '../../src/sql/sectors.js';

const path = '/machine/file';
const atomBytes = 512;

/** A disk whose file holds three atoms of 1, synced, and above them three of 2, which are not. */
function overwritten(): { disk: SectorDisk; file: SectorFile } {
  const disk = new SectorDisk();
  const file = disk.open(path, true)!;
  disk.write(file, 0, new Uint8Array(3 * atomBytes).fill(1));
  disk.sync(file);
  disk.write(file, 0, new Uint8Array(3 * atomBytes).fill(2));
  return { disk, file };
}

/** The first byte of each atom, and whether each atom is of one piece. */
function atoms({ current }: SectorFile): { values: number[]; areWhole: boolean } {
  const values: number[] = [];
  let areWhole = true;
  for (let at = 0; at < current.size; at += atomBytes) {
    const atom = current.bytes.subarray(at, Math.min(current.size, at + atomBytes));
    values.push(atom[0]!);
    areWhole &&= atom.every((byte) => byte === atom[0]);
  }
  return { values, areWhole };
}

it.each([
  ['nothing', [1, 1, 1]],
  ['everything', [2, 2, 2]],
] as const)('a cut that keeps %s leaves just that', (remains, expected) => {
  const { disk, file } = overwritten();
  disk.cut();
  disk.restore(remains, createPrng(1));
  expect(atoms(file).values).toEqual(expected);
});

it.each(['prefix', 'subset'] as const)(
  'a cut that keeps a %s tears a write between atoms',
  (remains) => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const { disk, file } = overwritten();
      disk.cut();
      disk.restore(remains, createPrng(seed));
      const { values, areWhole } = atoms(file);
      expect(areWhole).toBe(true);
      seen.add(values.join());
    }
    // Every mixture of old and new.
    expect(seen.size).toBe(8);
  },
);

it('what was synced stays, whatever a cut keeps', () => {
  for (const remains of ['nothing', 'everything', 'prefix', 'subset'] satisfies Remains[]) {
    const { disk, file } = overwritten();
    disk.sync(file);
    disk.write(file, 5 * atomBytes, new Uint8Array(10).fill(3));
    disk.cut();
    disk.restore(remains, createPrng(7));
    expect(atoms(file).values.slice(0, 3)).toEqual([2, 2, 2]);
  }
});

it('the power goes at the operation that was planned, and nothing works until it is back', () => {
  const { disk, file } = overwritten();
  disk.operationsLeft = 2;
  disk.write(file, 0, new Uint8Array(1));
  expect(() => disk.sync(file)).toThrow(/OFF/);
  expect(() => disk.write(file, 0, new Uint8Array(1))).toThrow(/OFF/);
  disk.restore('nothing', createPrng(1));
  expect(atoms(file).values).toEqual([1, 1, 1]);
  disk.write(file, 0, new Uint8Array(1));
});

it('a file that was never synced may be gone, and a removed one back, until the next new file is synced', () => {
  const { disk, file } = overwritten();
  disk.open('/machine/unsynced', true);
  disk.remove(file.path, false);
  const back = new Set<boolean>();
  for (let seed = 0; seed < 50; seed++) {
    const copy = new SectorDisk();
    const removed = copy.open(path, true)!;
    copy.sync(removed);
    copy.remove(path, false);
    copy.cut();
    copy.restore('nothing', createPrng(seed));
    back.add(copy.files.has(path));
  }
  expect(back).toEqual(new Set([true, false]));
  disk.sync(disk.open('/machine/other', true)!);
  disk.cut();
  disk.restore('nothing', createPrng(1));
  expect([...disk.files.keys()]).toEqual(['/machine/other']);
});

it('a full disk takes what needs no more space, and refuses the rest', () => {
  const { disk, file } = overwritten();
  disk.bytesMax = disk.bytesUsed();
  disk.write(file, 0, new Uint8Array(atomBytes).fill(9));
  expect(() => disk.write(file, 3 * atomBytes, new Uint8Array(1))).toThrow(/FULL/);
  expect(atoms(file).values).toEqual([9, 2, 2]);
});
