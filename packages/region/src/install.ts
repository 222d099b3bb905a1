/**
 * A snapshot whose content is the machine's state already and that is not the log's start yet: it waits
 * until the engine holds it durably. A crash before that leaves the former state and the former log; a
 * crash between the two leaves a state ahead of the log, which opening repairs.
 */
import type { SnapshotMeta } from '@moku/raft';

export interface Install {
  readonly meta: SnapshotMeta;
}
