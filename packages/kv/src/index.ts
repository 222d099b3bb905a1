export * from './command-codec.js';
export * from './command-outcome-codec.js';
export * from './commands.js';
export * from './contracts/engine.js';
export * from './contracts/machine.js';
export * from './keys.js';
export * from './query-codec.js';
export * from './query-outcome-codec.js';
