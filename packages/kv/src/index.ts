export * from './commands.js';
export * from './contracts/engine.js';
