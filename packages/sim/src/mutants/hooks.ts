/**
 * Node's module hooks that plant a mutant: they run on the loader's own thread, in processes that
 * `plant.ts` prepared, and change one module's text on its way.
 */
import type { InitializeHook, LoadHook } from 'node:module';
import { builtUrl } from './module-url.js';
import { plant } from './mutant.js';
import { mutantOf } from './mutants.js';

let mutant: ReturnType<typeof mutantOf> | undefined;
let url = '';

/** `name` of the mutant to plant. Throws INVALID_ARGUMENT for one that does not exist. */
export const initialize: InitializeHook<string> = (name) => {
  mutant = mutantOf(name);
  url = builtUrl(mutant.file);
};

/** Passes on what other hooks load; of the mutant's module, the text with the bug. */
export const load: LoadHook = async (loadedUrl, context, nextLoad) => {
  const loaded = await nextLoad(loadedUrl, context);
  if (mutant === undefined || loadedUrl !== url) return loaded;
  const source = new TextDecoder().decode(loaded.source as Uint8Array);
  return { ...loaded, source: plant(mutant, source) };
};
