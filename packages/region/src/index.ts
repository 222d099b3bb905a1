export * from './contracts/host.js';
export * from './contracts/transport.js';
