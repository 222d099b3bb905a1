/**
 * What two nodes tell each other before a session: the dialer's hello and the acceptor's welcome, one
 * of each per lane; and how each judges the other. A refusal is a code that travels as the reason of
 * the close (`FrameSocket.close`), with the field that was refused.
 *
 * Invariants:
 *  H1 A session's two lanes were opened by one dialer process for one session, by equal hellos.
 *  H2 Nobody opens a session with a node of another cluster, version, id or directory.
 *  H3 A process that is older than one already heard of, or a session that is not newer, is refused.
 *
 * Authentication (design §11): `FrameSocket.identity` is held against the node id that is claimed.
 */
import { ByteReader, ByteWriter, type ErrorCode, MokuError, type NodeId } from '@moku/base';
import type { Lane } from '@moku/region';
import { encodeFrame, faultOf, frameTypes, payloadOf, typeOf } from './frame.js';

/** Raised by every change of the wire between nodes. */
const linkProtocolVersion = 1;

/** URL path of a link's sockets. */
export const linkPath = '/moku/link';

const nameBytesMax = 256;

/** Who a node is. */
export interface NodeIdentity {
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** Of its directory: another one means that it may have forgotten votes (P6). */
  readonly storeId: string;
  readonly incarnation: number;
}

export interface Hello extends NodeIdentity {
  readonly to: NodeId;
  readonly lane: Lane;
  /** Counts the sessions that the dialer's process began with anybody. */
  readonly counter: number;
}

export interface Welcome extends NodeIdentity {
  readonly lane: Lane;
  /** The hello's. */
  readonly counter: number;
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly field: string;
}

/** Same on both ends, and never again (T3). */
export function sessionIdOf(dialer: NodeId, dialerIncarnation: number, counter: number): string {
  return `${dialer}.${dialerIncarnation}.${counter}`;
}

export function encodeHello(hello: Hello): Uint8Array {
  const writer = identityWriter(hello);
  writer.uvarint(hello.to);
  writer.u8(hello.lane === 'control' ? 0 : 1);
  writer.uvarint(hello.counter);
  return encodeFrame(frameTypes.hello, 0, 0, writer.view());
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const writer = identityWriter(welcome);
  writer.u8(welcome.lane === 'control' ? 0 : 1);
  writer.uvarint(welcome.counter);
  return encodeFrame(frameTypes.welcome, 0, 0, writer.view());
}

function identityWriter({ clusterId, nodeId, storeId, incarnation }: NodeIdentity): ByteWriter {
  const writer = new ByteWriter(256);
  writer.uvarint(linkProtocolVersion);
  writer.string(clusterId);
  writer.uvarint(nodeId);
  writer.string(storeId);
  writer.uvarint(incarnation);
  return writer;
}

/** Throws a MokuError whose code and `field` are the refusal. */
export function decodeHello(frame: Uint8Array): Hello {
  const reader = openHandshake(frame, frameTypes.hello);
  const identity = readIdentity(reader);
  const to = reader.uvarint() as NodeId;
  const lane = readLane(reader);
  const counter = reader.uvarint();
  reader.finish();
  return { ...identity, to, lane, counter };
}

/** Throws a MokuError whose code and `field` are the refusal. */
export function decodeWelcome(frame: Uint8Array): Welcome {
  const reader = openHandshake(frame, frameTypes.welcome);
  const identity = readIdentity(reader);
  const lane = readLane(reader);
  const counter = reader.uvarint();
  reader.finish();
  return { ...identity, lane, counter };
}

function openHandshake(frame: Uint8Array, type: number): ByteReader {
  const fault = faultOf(frame, 0, 0);
  if (fault !== undefined) throw new MokuError(fault.code, { field: fault.field });
  if (typeOf(frame) !== type) throw new MokuError('FRAME_MALFORMED', { field: 'type' });
  const reader = new ByteReader(payloadOf(frame));
  const version = reader.uvarint();
  if (version !== linkProtocolVersion) {
    const expected = linkProtocolVersion;
    throw new MokuError('VERSION_MISMATCH', { field: 'protocolVersion', expected, got: version });
  }
  return reader;
}

function readIdentity(reader: ByteReader): NodeIdentity {
  const clusterId = readName(reader, 'clusterId');
  const nodeId = reader.uvarint() as NodeId;
  const storeId = readName(reader, 'storeId');
  const incarnation = reader.uvarint();
  return { clusterId, nodeId, storeId, incarnation };
}

function readName(reader: ByteReader, field: string): string {
  const name = reader.string();
  if (name.length === 0 || name.length > nameBytesMax) {
    throw new MokuError('FRAME_MALFORMED', { field, length: name.length, max: nameBytesMax });
  }
  return name;
}

function readLane(reader: ByteReader): Lane {
  const lane = reader.u8();
  if (lane > 1) throw new MokuError('FRAME_MALFORMED', { field: 'lane' });
  return lane === 0 ? 'control' : 'bulk';
}

/** What this node knows of the peer whose word is judged. */
export interface PeerKnowledge {
  /** By the certificate; undefined when there is none. */
  readonly certifiedNodeId: NodeId | undefined;
  readonly storeId: string | undefined;
  /** The greatest incarnation heard of since this process started; 0: none. */
  readonly incarnation: number;
}

/** Judges what a peer says of itself; the `expected` node is who was dialed or who is known by that id. */
export function judgeIdentity(
  claimed: NodeIdentity,
  expected: { readonly clusterId: string; readonly nodeId: NodeId },
  known: PeerKnowledge,
): Refusal | undefined {
  if (claimed.clusterId !== expected.clusterId) {
    return { code: 'CLUSTER_MISMATCH', field: 'clusterId' };
  }
  if (claimed.nodeId !== expected.nodeId) return { code: 'NODE_MISMATCH', field: 'nodeId' };
  if (known.certifiedNodeId !== undefined && known.certifiedNodeId !== claimed.nodeId) {
    return { code: 'NODE_MISMATCH', field: 'certificate' };
  }
  if (known.storeId !== undefined && known.storeId !== claimed.storeId) {
    return { code: 'NODE_REPLACED', field: 'storeId' };
  }
  // An older incarnation of the same directory: a copy, or a backup that was put back.
  if (claimed.incarnation < known.incarnation) {
    return { code: 'NODE_REPLACED', field: 'incarnation' };
  }
  return undefined;
}
