export { type ErrorCode, isMokuError, limits, MokuError, type Outcome } from '@moku/base';
export type * from '@moku/client';
export { type ConnectOptions, connect } from './connect.js';
export { type EmbeddedDatabase, type MemberOptions, type OpenOptions, open } from './open.js';
