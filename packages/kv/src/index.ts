export {
  decodeCommand,
  encodeCommand,
  validateCommand,
} from './command-codec.js';
export { decodeCommandOutcome, encodeCommandOutcome } from './command-outcome-codec.js';
export * from './commands.js';
export * from './contracts/engine.js';
export * from './contracts/machine.js';
export * from './keys.js';
export { createKvMachine } from './kv-machine.js';
export * from './memory-engine.js';
export { bootstrapMetaDescriptor, metaDescriptorOf } from './meta/bootstrap.js';
export { createMetaMachine } from './meta/meta-machine.js';
export * from './query-codec.js';
export * from './query-outcome-codec.js';
export * from './scan-page.js';
