export type { Admin, RegionDigest, RegionReport } from './admin.js';
export { ClientDatabase, type ClientOptions } from './client.js';
export * from './database.js';
