/**
 * What every keyspace of one database shares: routing, attempts, sessions, and the calls under way.
 */
import type { Calls } from './deadline.js';
import type { Reads } from './reads.js';
import type { Router } from './router.js';
import type { Writes } from './writes.js';

export interface ClientCore {
  readonly calls: Calls;
  readonly router: Router;
  readonly writes: Writes;
  readonly reads: Reads;
}
