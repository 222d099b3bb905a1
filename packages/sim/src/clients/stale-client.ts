/**
 * A client that has not heard of its region's last change: now and then it sends a write for another epoch
 * than the present one, which must be refused, whatever its keys.
 */
import { isMokuError, metaRegionId, type Prng, type RegionDescriptor } from '@moku/base';
import { decodeCommandOutcome, encodeCommand } from '@moku/kv';
import type { Report } from '../invariants/invariant.js';
import { clientAddressOf, dialSimulated } from './channel.js';
import type { ClientWorld } from './client.js';

const meanPauseMs = 2_000;
const noSession = { sessionId: 0, sequence: 1, answeredBelow: 1 };

export class StaleClient {
  private readonly world: ClientWorld;
  private readonly prng: Prng;
  private readonly report: Report;
  private isStopping = false;

  constructor(world: ClientWorld, prng: Prng, report: Report) {
    // Its messages draw from its own stream, too.
    const channels = { ...world.channels, prng, latencyMs: () => 0.1 + prng.unit() * 5 };
    this.world = { ...world, channels };
    this.prng = prng;
    this.report = report;
  }

  start(): void {
    this.world.scheduler.after(this.prng.unit() * 2 * meanPauseMs, () => {
      if (this.isStopping) return;
      this.world.scheduler.needsDrain = true;
      void this.attempt();
      this.start();
    });
  }

  /** No further writes. */
  stop(): void {
    this.isStopping = true;
  }

  private async attempt(): Promise<void> {
    const { nodes } = this.world.channels;
    const { nodeId, running } = nodes[this.prng.below(nodes.length)]!;
    const regionIds = (running?.host.regionIds() ?? []).filter((id) => id !== metaRegionId);
    if (regionIds.length === 0) return;
    const descriptor = running?.host.descriptor(regionIds[this.prng.below(regionIds.length)]!);
    if (descriptor === undefined) return;
    try {
      const channel = await dialSimulated(this.world.channels, clientAddressOf(nodeId));
      const answer = await channel.request(this.request(descriptor));
      if (answer.kind === 'bytes') this.judge(descriptor, answer.bytes);
    } catch (error) {
      if (!isMokuError(error)) throw error;
      this.world.trace.note(`stale ${error.code}`);
    }
  }

  private request({ regionId, epoch, startKey }: RegionDescriptor) {
    const epochVersion = this.prng.below(2) === 0 ? epoch.version - 1 : epoch.version + 1;
    const key = new Uint8Array(startKey.length + 1);
    key.set(startKey);
    const operations = [{ type: 'delete', key, condition: undefined }] as const;
    const command = encodeCommand({ type: 'write', session: noSession, epochVersion, operations });
    return { kind: 'execute', regionId, command } as const;
  }

  private judge({ regionId, epoch }: RegionDescriptor, bytes: Uint8Array): void {
    const outcome = decodeCommandOutcome(bytes);
    if (outcome.type === 'refused' && outcome.reason === 'epochMismatch') return;
    const what = `region ${regionId} in epoch ${epoch.version}: a write for another epoch is ${JSON.stringify(outcome)}`;
    this.report('stale epochs are refused', what);
  }
}
