/**
 * All mutants. They prove that the simulator can fail: each is found within a stated number of seeds.
 */
import { MokuError } from '@moku/base';
import { clientMutants } from './client-mutants.js';
import { diskMutants } from './disk-mutants.js';
import { kvMutants } from './kv-mutants.js';
import type { Mutant } from './mutant.js';
import { raftMutants } from './raft-mutants.js';
import { regionMutants } from './region-mutants.js';
import { storageMutants } from './storage-mutants.js';

export const mutants: readonly Mutant[] = [
  ...raftMutants,
  ...regionMutants,
  ...kvMutants,
  ...clientMutants,
  ...storageMutants,
  ...diskMutants,
];

/** Throws INVALID_ARGUMENT when there is no such mutant. */
export function mutantOf(name: string): Mutant {
  const mutant = mutants.find((each) => each.name === name);
  if (mutant !== undefined) return mutant;
  const bound = mutants.map((each) => each.name).join('|');
  throw new MokuError('INVALID_ARGUMENT', { field: 'mutant', value: name, bound });
}
