export { judgeIdentity, type NodeIdentity } from './links/handshake.js';
export { createLinks, type Links } from './links/links.js';
export type { LaneStatus, LinkPeer, LinkStatus, LinksOptions } from './links/options.js';
export type { TransportLogger } from './logger.js';
export {
  createMemoryNetwork,
  type MemoryNetwork,
  type MemoryNetworkOptions,
} from './memory/network.js';
export { AbortWatch } from './requests/abort-watch.js';
export { type DialChannelOptions, dialRequestChannel } from './requests/channel.js';
export * from './requests/contract.js';
export { localChannel } from './requests/local-channel.js';
export {
  createRequestServer,
  type RequestServer,
  type RequestServerOptions,
  type RequestServerStatus,
} from './requests/server.js';
export { formatAddress, type ListenAddress, parseAddress } from './sockets/address.js';
export type { CloseReason, SocketClose, SocketLayer } from './sockets/frame-socket.js';
export { createSystemClock } from './system-clock.js';
