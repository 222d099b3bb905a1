/**
 * What a node has to be told. Values are checked by whoever reads them from users (the command line);
 * `checkNodeConfig` holds what no caller may break.
 */
import { MokuError, type NodeDescriptor, type NodeId } from '@moku/base';

export interface NodeTimings {
  /** Length of a tick. Default 50. */
  readonly tickMs: number;
  /** Ticks without a leader until a campaign: drawn from [electionTicks, 2 × electionTicks). Default 10. */
  readonly electionTicks: number;
  /** Pause between the heartbeats of a node pair. Default 100. */
  readonly heartbeatMs: number;
}

export const defaultTimings: NodeTimings = { tickMs: 50, electionTicks: 10, heartbeatMs: 100 };

/** The initial roster is the same on every node and names each node's addresses. */
export interface NodeConfig {
  readonly nodeId: NodeId;
  readonly clusterId: string;
  /** All nodes, this one included, ascending by id. */
  readonly roster: readonly NodeDescriptor[];
  readonly timings: NodeTimings;
}

/** Throws CONFIG_INVALID naming the field. */
export function checkNodeConfig(config: NodeConfig): void {
  const { roster, nodeId, clusterId } = config;
  if (clusterId.length === 0 || clusterId.length > 64) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'cluster',
      length: clusterId.length,
      min: 1,
      max: 64,
    });
  }
  if (!roster.some((node) => node.nodeId === nodeId)) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'nodes',
      rule: `lists this node (id ${nodeId})`,
    });
  }
  for (let i = 1; i < roster.length; i++) {
    if (roster[i]!.nodeId <= roster[i - 1]!.nodeId) {
      throw new MokuError('CONFIG_INVALID', { field: 'nodes', rule: 'ids ascend and are unique' });
    }
  }
}
