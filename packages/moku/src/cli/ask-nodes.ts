/**
 * The same question to every node. A node that does not answer is part of the answer.
 */
import type { NodeDescriptor } from '@moku/base';
import type { CallOptions } from '@moku/client';
import type { ClusterView } from '@moku/kv';
import { codedError } from './errors.js';
import type { Output } from './output.js';

export type NodeAnswer<T> =
  | { readonly node: NodeDescriptor; readonly answer: T }
  | { readonly node: NodeDescriptor; readonly code: string };

/** A node that hangs must not make the others wait for long. */
const nodeTimeoutMsMax = 3_000;

/** Asks all nodes of `view` at once, each for at most three seconds. */
export function askNodes<T>(
  view: Pick<ClusterView, 'nodes'>,
  call: CallOptions,
  ask: (node: NodeDescriptor, call: CallOptions) => Promise<T>,
): Promise<NodeAnswer<T>[]> {
  const timeoutMs = Math.min(call.timeoutMs ?? nodeTimeoutMsMax, nodeTimeoutMsMax);
  return Promise.all(
    view.nodes.map(async (node) => {
      try {
        return { node, answer: await ask(node, { ...call, timeoutMs }) };
      } catch (error) {
        return { node, code: codedError(error).code };
      }
    }),
  );
}

/** Says which nodes did not answer; true when all did. */
export async function tellSilent(
  answers: readonly NodeAnswer<unknown>[],
  out: Output,
): Promise<boolean> {
  const silent = answers.filter((item) => 'code' in item);
  for (const { node, code } of silent) {
    await out.note(`moku: node ${node.nodeId} at ${node.clientAddress} does not answer: ${code}`);
  }
  return silent.length === 0;
}
