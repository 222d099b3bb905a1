/**
 * Options of the simulator's commands. Every error is INVALID_ARGUMENT and names the field, what was given
 * and what may be given.
 */
import { availableParallelism } from 'node:os';
import { MokuError } from '@moku/base';
import { type ProfileName, profileNames } from '../run/profile.js';

const seedMax = Number.MAX_SAFE_INTEGER;
const jobsMax = 256;

/** Seeds `first` to `last`, both included. */
export interface SeedRange {
  readonly first: number;
  readonly last: number;
}

function invalid(field: string, value: string, bound: string): MokuError {
  return new MokuError('INVALID_ARGUMENT', { field, value, bound });
}

/** What `parse` (parseArgs) gives; its errors coded. */
export function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    const isOfOptions = cause instanceof TypeError && codeOf(cause).startsWith('ERR_PARSE_ARGS_');
    if (!isOfOptions) throw cause;
    throw new MokuError('INVALID_ARGUMENT', { rule: cause.message }, { cause });
  }
}

function codeOf(error: Error): string {
  return String((error as NodeJS.ErrnoException).code);
}

/** `text` as a safe integer in [min, max], in decimal digits. */
export function integerOf(field: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw invalid(field, text, `${min}..${max}`);
}

/** `A..B` with A <= B. */
export function seedRangeOf(field: string, text: string): SeedRange {
  const bound = `A..B with 0 <= A <= B <= ${seedMax}`;
  const ends = text.split('..');
  if (ends.length !== 2) throw invalid(field, text, bound);
  const [first, last] = ends.map((end) => integerOf(field, end, 0, seedMax)) as [number, number];
  if (first > last) throw invalid(field, text, bound);
  return { first, last };
}

export function seedOf(field: string, text: string): number {
  return integerOf(field, text, 0, seedMax);
}

/** Names of profiles, parted by commas, each once. */
export function profilesOf(field: string, text: string): readonly ProfileName[] {
  const names = text.split(',').map((part) => {
    const name = profileNames.find((each) => each === part);
    if (name === undefined) throw invalid(field, part, profileNames.join('|'));
    return name;
  });
  return [...new Set(names)];
}

/** How many processes run seeds; as many as there are cores when not given. */
export function jobsOf(field: string, text: string | undefined): number {
  if (text === undefined) return Math.min(availableParallelism(), jobsMax);
  return integerOf(field, text, 1, jobsMax);
}
