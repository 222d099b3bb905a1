/**
 * Names, format and tables of the engine's files.
 */

export const dataFileName = 'data.db';
/** Held locked by the process that has the engine open. */
export const lockFileName = 'data.lock';
export const formatVersion = 1;

/** `value`, `checksum`: see `row.ts`. `ts_max`: newest timestamp ever put in the replica's store; -1: none. */
export const schema = `
CREATE TABLE IF NOT EXISTS version (store INTEGER NOT NULL, key BLOB NOT NULL, ts INTEGER NOT NULL,
  value BLOB NOT NULL, PRIMARY KEY (store, key, ts DESC)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replica (region INTEGER PRIMARY KEY, replica_id INTEGER NOT NULL,
  store INTEGER NOT NULL, applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  ts_max INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;
