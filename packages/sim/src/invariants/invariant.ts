/**
 * What an invariant may look at and how it says that it is broken. It reads; it changes nothing.
 */
import type { MokuError, NodeId, RegionId } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { Message, RegionWrite } from '@moku/raft';
import type { HostStatus, RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';

/** Takes down that `invariant` is broken; the run ends after the present event. */
export type Report = (invariant: string, what: string) => void;

export interface Invariant {
  /** `node` says that it leads since now. */
  onLeader?(node: SimNode, status: RegionStatus): void;
  /** A Raft message is about to leave. */
  onSend?(node: SimNode, peer: NodeId, regionId: RegionId, message: Message): void;
  /** The engine is about to take the effect of an entry. */
  onApply?(node: SimNode, write: EngineWrite): void;
  /** The log is about to take a write. */
  onLogWrite?(node: SimNode, write: RegionWrite): void;
  /** The process has just started, or is about to end. */
  onStart?(node: SimNode): void;
  onStop?(node: SimNode): void;
  /** Its stores refused to open. */
  onRefused?(node: SimNode, error: MokuError): void;
  /** Every few events: the status of each replica that changed; now and then that of every one. */
  onStatus?(node: SimNode, status: RegionStatus): void;
  /** Now and then, once per running node. */
  onNode?(node: SimNode, status: HostStatus): void;
}
