export {
  type EngineOptions,
  type EngineStats,
  openEngine,
  type SqliteEngine,
} from './engine/sqlite-engine.js';
export type { LogStats, SqliteLogStore } from './log/log-store.js';
export { type LogStoreOptions, openLogStore } from './log/open.js';
