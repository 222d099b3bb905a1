export { readEntries, writeEntries } from './codec/entries.js';
export { readMessage, writeMessage } from './codec/messages.js';
export {
  readConfState,
  readHardState,
  readSnapshotMeta,
  writeConfState,
  writeHardState,
  writeSnapshotMeta,
} from './codec/states.js';
export * from './conf-change.js';
export * from './contracts/log-store.js';
export * from './contracts/state-machine.js';
export { defaultRaftLimits, type RaftLimits } from './limits.js';
export { MemoryLogStore, type MemoryLogStoreOptions } from './memory-log-store.js';
export type { ProgressState, ProgressView } from './progress.js';
export { Raft, type RaftConfig } from './raft.js';
export type { ReadIndexResult } from './reads.js';
export * from './types.js';
