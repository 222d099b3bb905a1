/**
 * What became of each request, as the engines see it. Every request of a run writes a value to a key that no
 * other request writes to it, so that (key, value) names the request.
 *
 *  - Deduplication: a request takes effect at one index of one term, however often its entries are in the log.
 *  - An acknowledged write is present: by then it has taken effect, and that entry is the committed one, at
 *    once and at the end of the run.
 */
import type { RegionId } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { HistoryEvent } from '../check/history.js';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Effect {
  readonly regionId: RegionId;
  readonly index: number;
  readonly term: number;
}

/** Where the entry that was committed at an index is found. */
export interface CommittedTerms {
  /** Undefined when nobody was seen to know it as committed. */
  termOf(regionId: RegionId, index: number): number | undefined;
}

/** First byte of engine keys that are users' (packages/kv/src/records.ts). */
const userSpace = 0x01;
/** Behind it, in a hashed keyspace, the hash of the routing prefix. */
const keyOffset = 9;
/** Flags; behind them the clients' values are JSON. */
const valueOffset = 1;
/** Longer ones are no workload's. */
const valueBytesMax = 64;

export class RequestEffects implements Invariant {
  private readonly report: Report;
  private readonly committed: CommittedTerms;
  /** By the engine's key and value. */
  private readonly effects = new Map<string, Effect>();
  /** By the client's. */
  private readonly byRequest = new Map<string, Effect>();

  constructor(report: Report, committed: CommittedTerms) {
    this.report = report;
    this.committed = committed;
  }

  onApply(node: SimNode, { regionId, appliedIndex, appliedTerm, puts }: EngineWrite): void {
    for (const { key, value } of puts) {
      if (key[0] !== userSpace || value === undefined || value.length > valueBytesMax) continue;
      const written = nameOf(textOf(key, 0), textOf(value, 0));
      const request = nameOf(textOf(key, keyOffset), textOf(value, valueOffset));
      const before = this.effects.get(written);
      if (before === undefined) {
        const effect: Effect = { regionId, index: appliedIndex, term: appliedTerm };
        this.effects.set(written, effect);
        this.byRequest.set(request, effect);
      } else if (before.index !== appliedIndex || before.term !== appliedTerm) {
        const what = `node ${node.nodeId}, region ${regionId}: ${request} takes effect at ${appliedIndex} of term ${appliedTerm}, and did at ${before.index} of term ${before.term}`;
        this.report('deduplication', what);
      }
    }
  }

  /** A client was just told that its write of `value` to `key` happened. */
  acknowledged(key: string, value: string): void {
    const request = requestOf(key, value);
    const effect = this.byRequest.get(request);
    if (effect === undefined) {
      this.report('acknowledged is present', `${request} is acknowledged and applied nowhere`);
      return;
    }
    const { regionId, index, term } = effect;
    const committed = this.committed.termOf(regionId, index);
    if (committed === undefined || committed === term) return;
    const what = `${request} is acknowledged at ${index} of term ${term}, where term ${committed} is committed`;
    this.report('acknowledged is present', what);
  }

  /** Holds every write that a history shows as acknowledged against the entries and the logs of now. */
  checkHistory(events: readonly HistoryEvent[], nodes: readonly SimNode[]): void {
    const open = new Map<unknown, HistoryEvent>();
    for (const event of events) {
      if (event.type === 'invoke') open.set(event.process, event);
      if (event.type !== 'ok') continue;
      const { f, key, value } = open.get(event.process) ?? event;
      const isWrite = f === 'write' || (f === 'putIfAbsent' && event.value === true);
      if (!isWrite || typeof key !== 'string' || typeof value !== 'string') continue;
      this.acknowledged(key, value);
      this.compareLogs(requestOf(key, value), nodes);
    }
  }

  private compareLogs(request: string, nodes: readonly SimNode[]): void {
    const effect = this.byRequest.get(request);
    if (effect === undefined) return;
    const { regionId, index, term } = effect;
    for (const node of nodes) {
      if (node.running === undefined) continue;
      const status = node.running.host.regionStatus(regionId);
      if (status === undefined || status.commitIndex < index) continue;
      const found = node.disk.visible(regionId)?.term(index);
      if (found === undefined || found === term) continue;
      const what = `node ${node.nodeId}, region ${regionId}: ${request} was acknowledged at ${index} of term ${term}; its log has term ${found} there`;
      this.report('acknowledged is present', what);
    }
  }
}

function nameOf(key: string, value: string): string {
  return `${key}=${value}`;
}

/** As `onApply` names it. */
function requestOf(key: string, value: string): string {
  return nameOf(key, JSON.stringify(value));
}

function textOf(bytes: Uint8Array, from: number): string {
  return String.fromCharCode(...bytes.subarray(from));
}
