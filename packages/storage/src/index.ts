export {
  type EngineOptions,
  type EngineStats,
  openEngine,
  type SqliteEngine,
} from './engine/sqlite-engine.js';
