/**
 * Entries are applied exactly once, in the order of their index; and equal on every replica: the effect
 * of an index is the same wherever and whenever it is applied.
 */
import { ByteWriter, hash32 } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { SimNode } from '../sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class ApplyOnce implements Invariant {
  private readonly report: Report;
  private readonly effects = new Map<string, number>();

  constructor(report: Report) {
    this.report = report;
  }

  onApply(node: SimNode, write: EngineWrite): void {
    const { regionId, appliedIndex } = write;
    const before = node.disk.appliedIndex(regionId);
    const place = `node ${node.nodeId}, region ${regionId}`;
    if (appliedIndex !== before + 1) {
      this.report('apply once, in order', `${place}: ${appliedIndex} is applied after ${before}`);
    }
    const effect = hashOf(write);
    const key = `${regionId}/${appliedIndex}`;
    const known = this.effects.get(key);
    if (known === undefined) this.effects.set(key, effect);
    else if (known !== effect) {
      this.report('equal effects at equal index', `${place}: entry ${appliedIndex} differs`);
    }
  }
}

function hashOf({ appliedTerm, puts, removes }: EngineWrite): number {
  const bytes = new ByteWriter(256);
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
