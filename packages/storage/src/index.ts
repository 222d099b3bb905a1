export {
  type EngineOptions,
  type EngineStats,
  openEngine,
  openEngineOver,
  type SqliteEngine,
} from './engine/sqlite-engine.js';
export { WriterLoop, type WriterPort } from './engine/writer-loop.js';
export type { StartWriterLink, WriterLink, WriterLinkEvents } from './engine/writer-thread.js';
export type { LogStats, SqliteLogStore } from './log/log-store.js';
export { type LogStoreOptions, openLogStore, openLogStoreOver } from './log/open.js';
export { type LogPort, type LogThread, startLogThread } from './log/thread.js';
export type { LogLink, StartLogLink, ThreadListener } from './log/thread-link.js';
export type {
  ConnectOptions,
  FileReading,
  FileWriting,
  Medium,
  SqlConnection,
  SqlStatement,
  SqlValue,
} from './medium.js';
