export { createLinks, type Links } from './links/links.js';
export type { LaneStatus, LinkPeer, LinkStatus, LinksOptions } from './links/options.js';
export type { TransportLogger } from './logger.js';
export * from './requests/contract.js';
export { formatAddress, type ListenAddress, parseAddress } from './sockets/address.js';
export type { SocketLayer } from './sockets/frame-socket.js';
export { createSystemClock } from './system-clock.js';
