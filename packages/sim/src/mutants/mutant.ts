/**
 * What a mutant is: a planted bug, made by changing the built text of one module while it is loaded. The
 * product does not know of it: only a process that the simulator started can have one.
 *
 * Invariant M1: an edit is made where its fragment occurs, and it occurs exactly once; anything else is
 * an error, never a run without the bug.
 */
import { MokuError } from '@moku/base';
import type { ProfileName } from '../run/profile.js';

export interface Edit {
  /** Text of the built module; occurs exactly once in it. */
  readonly fragment: string;
  readonly replacement: string;
}

export interface Mutant {
  readonly name: string;
  /** The promise that it breaks, in one sentence. */
  readonly breaks: string;
  /** A built file, named by package and path, e.g. `raft/election.js`. */
  readonly file: string;
  readonly edits: readonly Edit[];
  /** In which its seeds are sought; swarm when not given. */
  readonly profile?: ProfileName;
}

/** Under this name in `globalThis` a module that was changed leaves the mutant's name when it runs. */
export const plantedKey = 'mokuPlantedMutant';

/** `source` with the mutant's edits. Throws CONFIG_INVALID when a fragment does not occur exactly once. */
export function plant({ name, file, edits }: Mutant, source: string): string {
  let planted = source;
  for (const { fragment, replacement } of edits) {
    const parts = planted.split(fragment);
    if (parts.length !== 2) {
      const occurrences = parts.length - 1;
      throw new MokuError('CONFIG_INVALID', {
        mutant: name,
        file,
        fragment,
        occurrences,
        bound: 1,
      });
    }
    planted = parts.join(replacement);
  }
  return `${planted}\nglobalThis.${plantedKey} = ${JSON.stringify(name)};\n`;
}
