export * from './requests/contract.js';
