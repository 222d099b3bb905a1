export * from './contracts/log-store.js';
export * from './contracts/state-machine.js';
export * from './types.js';
