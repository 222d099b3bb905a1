/**
 * A directory whose log is gone, though its data is there: refused at every start, not only at the first
 * one, which made a new log (P6).
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMokuError, metaRegionId, noAddress, toNodeId } from '@moku/base';
import { createSystemClock } from '@moku/transport';
import { describe, expect, it } from 'vitest';
import { type RunningNode, startNode } from '../src/start.js';

const nodeId = toNodeId(1);

function start(dir: string): Promise<RunningNode> {
  const nodes = [{ nodeId, peerAddress: noAddress, clientAddress: noAddress }];
  return startNode({ dir, clusterId: 'test', nodeId, nodes });
}

async function refusalOf(dir: string): Promise<unknown> {
  try {
    const node = await start(dir);
    await node.close(0);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Until meta knows the node: its engine has applied something. */
async function applied(node: RunningNode): Promise<void> {
  const clock = createSystemClock();
  for (let look = 0; look < 500; look++) {
    const request = { kind: 'regions', withWhy: false } as const;
    const answer = await node.handler.handle(request, new AbortController().signal);
    const regions = answer.kind === 'json' ? answer.value : [];
    const isApplied =
      Array.isArray(regions) &&
      regions.some((each) => each.regionId === metaRegionId && each.appliedIndex >= 2);
    if (isApplied) return;
    await new Promise<void>((resolve) => {
      clock.after(10, resolve);
    });
  }
  throw new Error('nothing was applied');
}

describe('a node whose log is gone beside its data', () => {
  it('is refused at every start', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'moku-lost-'));
    try {
      const node = await start(dir);
      await applied(node);
      await node.close(0);
      for (const file of readdirSync(dir)) {
        if (file.startsWith('log.')) rmSync(join(dir, file));
      }
      const first = await refusalOf(dir);
      const second = await refusalOf(dir);
      const third = await refusalOf(dir);
      for (const refusal of [first, second, third]) {
        expect(isMokuError(refusal, 'LOG_AMNESIA')).toBe(true);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
