/**
 * Entries are applied exactly once, in the order of their index; and equal on every replica: the effect
 * of an index is the same wherever and whenever it is applied.
 */
import { ByteWriter, hash32, type RegionId } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class ApplyOnce implements Invariant {
  private readonly report: Report;
  /** Per region and index. */
  private readonly effects = new Map<RegionId, Map<number, number>>();

  constructor(report: Report) {
    this.report = report;
  }

  onApply(node: SimNode, write: EngineWrite): void {
    const { regionId, appliedIndex } = write;
    const before = node.disk.appliedIndex(regionId);
    if (appliedIndex !== before + 1) {
      const what = `${placeOf(node, regionId)}: ${appliedIndex} is applied after ${before}`;
      this.report('apply once, in order', what);
    }
    const effect = hashOf(write);
    let effects = this.effects.get(regionId);
    if (effects === undefined) {
      effects = new Map();
      this.effects.set(regionId, effects);
    }
    const known = effects.get(appliedIndex);
    if (known === undefined) effects.set(appliedIndex, effect);
    else if (known !== effect) {
      const what = `${placeOf(node, regionId)}: entry ${appliedIndex} differs`;
      this.report('equal effects at equal index', what);
    }
  }
}

function placeOf(node: SimNode, regionId: RegionId): string {
  return `node ${node.nodeId}, region ${regionId}`;
}

const bytes = new ByteWriter();

function hashOf({ appliedTerm, puts, removes }: EngineWrite): number {
  bytes.reset();
  bytes.uvarint(appliedTerm);
  for (const { key, timestamp, value } of puts) {
    bytes.bytes(key);
    bytes.uvarint(timestamp);
    if (value !== undefined) bytes.bytes(value);
  }
  for (const { key, timestamp } of removes) {
    bytes.bytes(key);
    bytes.uvarint(timestamp);
  }
  return hash32(bytes.view());
}
