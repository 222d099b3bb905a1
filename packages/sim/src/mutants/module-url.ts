/**
 * Where the built files lie that mutants change.
 */
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packageRequire = createRequire(import.meta.url);
/** Also for whoever runs the sources: a run itself is always of what was built. */
const ownFolder = fileURLToPath(new URL('../../dist/', import.meta.url));

/** Path of `file`, named as in a mutant. */
export function builtPath(file: string): string {
  const [name, ...path] = file.split('/');
  const folder =
    name === 'sim' ? ownFolder : dirname(realpathSync(packageRequire.resolve(`@moku/${name}`)));
  return join(folder, ...path);
}

/** The same as the URL under which Node loads it. */
export function builtUrl(file: string): string {
  return pathToFileURL(builtPath(file)).href;
}
