export * from './commands.js';
export * from './contracts/engine.js';
export * from './contracts/machine.js';
export * from './keys.js';
