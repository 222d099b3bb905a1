/** A deep copy of the claims module's state. Items, claims and events are immutable and shared. */
import {
  type ClaimsState,
  createState,
  type PeerState,
  type SessionState,
} from '../../../src/claims/state.js';

export function cloneState(state: ClaimsState): ClaimsState {
  const copy = createState();
  for (const [peer, peerState] of state.peers) copy.peers.set(peer, clonePeer(peerState));
  for (const [regionId, claim] of state.followed) copy.followed.set(regionId, claim);
  Object.assign(copy.counters, state.counters);
  copy.events = [...state.events];
  return copy;
}

function clonePeer(peer: PeerState): PeerState {
  return { ...peer, session: peer.session && cloneSession(peer.session) };
}

function cloneSession(session: SessionState): SessionState {
  const { check } = session;
  return {
    ...session,
    led: new Map(session.led),
    ledDigest: { ...session.ledDigest },
    followedDigest: { ...session.followedDigest },
    check: check && { ...check, digest: { ...check.digest }, left: new Map(check.left) },
    queue: [...session.queue],
  };
}
