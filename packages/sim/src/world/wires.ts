/**
 * The wires between nodes: one per ordered pair, with a latency and faults of its own. What a wire does to
 * the frames on it is decided here; what that means for sessions, by the networks built on it.
 *
 * Invariants:
 *  V1 Without effects and holds a wire only delays, in order.
 *  V2 A hold and an effect end by their own release, once, whatever else holds or affects the wire.
 */
import type { NodeId, Prng } from '@moku/base';

/** What may befall a frame. `late`: it arrives, later than it would; what is behind it waits or passes it. */
export type Fate = 'arrives' | 'stalled' | 'lost' | 'twice' | 'late' | 'corrupt';

/** Something that is wrong with a wire. */
export type WireEffect =
  /** Each frame takes up to `ms` longer. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Each frame meets `fate` with this chance in [0, 1]. */
  | { readonly kind: 'chance'; readonly fate: Fate; readonly chance: number };

export interface WireTimes {
  /** Latency of a frame on an ordinary wire. */
  readonly latencyMs: () => number;
}

/** Retransmissions: a lost packet costs a timeout, and the next loss twice of it. */
const stallMsMin = 200;
const stallMsMax = 3_000;

export class Wire {
  readonly from: NodeId;
  readonly to: NodeId;
  /** Multiplies the latency; drawn per wire. */
  readonly slowness: number;
  isCut = false;
  private holds = 0;
  private effects: WireEffect[] = [];

  constructor(from: NodeId, to: NodeId, slowness: number) {
    this.from = from;
    this.to = to;
    this.slowness = slowness;
  }

  /** Frames and news wait. */
  get isClogged(): boolean {
    return this.isCut || this.holds > 0;
  }

  get isSound(): boolean {
    return this.effects.length === 0;
  }

  hold(): void {
    this.holds += 1;
  }

  release(): void {
    this.holds -= 1;
  }

  add(effect: WireEffect): void {
    this.effects.push(effect);
  }

  remove(effect: WireEffect): void {
    this.effects = this.effects.filter((each) => each !== effect);
  }

  /** All of it: cuts, holds, effects. */
  mend(): void {
    this.isCut = false;
    this.holds = 0;
    this.effects = [];
  }

  slowMs(prng: Prng): number {
    let ms = 0;
    for (const each of this.effects) if (each.kind === 'slow') ms += prng.unit() * each.ms;
    return ms;
  }

  fate(prng: Prng): Fate {
    for (const each of this.effects) {
      if (each.kind === 'chance' && prng.unit() < each.chance) return each.fate;
    }
    return 'arrives';
  }
}

export class Wires {
  private readonly times: WireTimes;
  private readonly prng: Prng;
  /** Greatest factor between the latencies of two wires of the run. */
  private readonly unevenness: number;
  private readonly wires = new Map<number, Wire>();

  /** `unevenness` >= 1: wires are up to so many times as fast or slow as an ordinary one. */
  constructor(times: WireTimes, prng: Prng, unevenness: number) {
    this.times = times;
    this.prng = prng;
    this.unevenness = unevenness;
  }

  wire(from: NodeId, to: NodeId): Wire {
    const key = from * 65_536 + to;
    let wire = this.wires.get(key);
    if (wire === undefined) {
      const slowness = this.unevenness ** (2 * this.prng.unit() - 1);
      wire = new Wire(from, to, slowness);
      this.wires.set(key, wire);
    }
    return wire;
  }

  all(): Iterable<Wire> {
    return this.wires.values();
  }

  /** How long a frame that leaves now is under way. */
  latencyMs(wire: Wire): number {
    const ms = this.times.latencyMs() * wire.slowness;
    return wire.isSound ? ms : ms + wire.slowMs(this.prng);
  }

  fate(wire: Wire): Fate {
    return wire.isSound ? 'arrives' : wire.fate(this.prng);
  }

  /** How much later than it would a frame arrives that was stalled or is late. */
  delayMs(): number {
    return stallMsMin * (stallMsMax / stallMsMin) ** this.prng.unit();
  }
}

/** `bytes` with one bit changed. */
export function corrupted(bytes: Uint8Array, prng: Prng): Uint8Array {
  const changed = bytes.slice();
  if (changed.length > 0) {
    const at = prng.below(changed.length);
    changed[at] = changed[at]! ^ (1 << prng.below(8));
  }
  return changed;
}
