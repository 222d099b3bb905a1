export { Claims } from './claims/claims.js';
export type { ClaimsState, PeerState, SessionState } from './claims/state.js';
export type {
  ClaimsOptions,
  ClaimsReplicas,
  ControlItem,
  FollowerView,
  ListItem,
} from './claims/types.js';
export {
  defaultRegionHostConfig,
  type RegionHostConfig,
} from './config.js';
export * from './contracts/host.js';
export * from './contracts/transport.js';
export { createRegionHost, type RegionHostOptions } from './manager.js';
export { readFrame } from './wire/read-frame.js';
export type { FrameVisitor, SnapshotChunk, SnapshotSignal } from './wire/types.js';
