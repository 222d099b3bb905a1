export { ClientDatabase, type ClientOptions } from './client.js';
export * from './database.js';
