/**
 * The fast path of the linearizability check: a register that is only read and overwritten, each time
 * with another value. Then every read names its write, and zones decide in O(n log n)
 * (Gibbons and Korach, Testing Shared Memories, 1997).
 *
 * The zone of a value lies between the first return and the last invocation among its write and its
 * reads. When the return comes first, the register must hold the value through all of the zone
 * ("forward"); else the value needs just one moment within it ("backward"). An order exists exactly when
 *  Z1 every value that was read was written, and none was read before its write was invoked,
 *  Z2 no two forward zones overlap,
 *  Z3 no backward zone lies within a forward one.
 */
import type { Operation } from './history.js';
import type { Json } from './history-values.js';
import { canonical } from './register.js';

interface Zone {
  /** The value, for people. */
  readonly name: string;
  readonly isForward: boolean;
  readonly startLine: number;
  readonly endLine: number;
}

interface Cluster {
  readonly value: Json;
  readonly writeLine: number;
  firstReturnLine: number;
  lastInvokeLine: number;
}

export type UniqueWritesResult =
  | { readonly kind: 'found' }
  | { readonly kind: 'none'; readonly explanation: string }
  /** The register is used in other ways, or a value is written twice. */
  | { readonly kind: 'unfit' };

/** Judges all operations of one key, which is absent at first. */
export function checkUniqueWrites(operations: readonly Operation[]): UniqueWritesResult {
  const clusters = clustersOf(operations);
  if (clusters === undefined) return { kind: 'unfit' };
  const explanation = readError(operations, clusters) ?? zoneError(zonesOf(clusters));
  return explanation === undefined ? { kind: 'found' } : { kind: 'none', explanation };
}

function clustersOf(operations: readonly Operation[]): Map<string, Cluster> | undefined {
  const clusters = new Map<string, Cluster>();
  const beforeAll = Number.NEGATIVE_INFINITY;
  clusters.set(canonical(null), clusterOf(null, beforeAll, beforeAll));
  for (const { f, outcome, argument, result, invokeLine, returnLine } of operations) {
    if (f === 'read') continue;
    if (f !== 'write' || result !== null) return undefined;
    if (outcome === 'fail') continue;
    const name = canonical(argument);
    if (clusters.has(name)) return undefined;
    clusters.set(name, clusterOf(argument, invokeLine, returnLine));
  }
  return clusters;
}

function clusterOf(value: Json, writeLine: number, firstReturnLine: number): Cluster {
  return { value, writeLine, firstReturnLine, lastInvokeLine: writeLine };
}

/** Z1; adds the reads to their clusters. */
function readError(
  operations: readonly Operation[],
  clusters: ReadonlyMap<string, Cluster>,
): string | undefined {
  for (const { f, outcome, result, invokeLine, returnLine } of operations) {
    if (f !== 'read' || outcome !== 'ok') continue;
    const cluster = clusters.get(canonical(result));
    const name = JSON.stringify(result);
    const read = `the read of ${name} in lines ${invokeLine}–${returnLine}`;
    if (cluster === undefined) return `${read}: nobody wrote it`;
    if (returnLine < cluster.writeLine) {
      return `${read} ended before its write was invoked in line ${cluster.writeLine}`;
    }
    cluster.firstReturnLine = Math.min(cluster.firstReturnLine, returnLine);
    cluster.lastInvokeLine = Math.max(cluster.lastInvokeLine, invokeLine);
  }
  return undefined;
}

function zonesOf(clusters: ReadonlyMap<string, Cluster>): Zone[] {
  const zones: Zone[] = [];
  for (const { value, firstReturnLine, lastInvokeLine } of clusters.values()) {
    // What neither returned nor was read has a zone without end, which lies within no other.
    zones.push({
      name: value === null ? 'absent' : JSON.stringify(value),
      isForward: firstReturnLine < lastInvokeLine,
      startLine: Math.min(firstReturnLine, lastInvokeLine),
      endLine: Math.max(firstReturnLine, lastInvokeLine),
    });
  }
  return zones;
}

function zoneError(zones: readonly Zone[]): string | undefined {
  const forward = zones.filter((zone) => zone.isForward).sort((a, b) => a.startLine - b.startLine);
  for (const [i, zone] of forward.entries()) {
    const later = forward[i + 1];
    if (later === undefined || later.startLine > zone.endLine) continue;
    return `${held(zone)}, and ${held(later)}`; // Z2
  }
  for (const zone of zones) {
    if (zone.isForward) continue;
    const around = lastBefore(forward, zone.startLine);
    if (around === undefined || around.endLine < zone.endLine) continue;
    const moment = `${zone.name} was written or read within lines ${span(zone)}`;
    return `${held(around)}, yet ${moment}`; // Z3
  }
  return undefined;
}

function held(zone: Zone): string {
  return `the register held ${zone.name} all through lines ${span(zone)}`;
}

function span({ startLine, endLine }: Zone): string {
  return `${Number.isFinite(startLine) ? startLine : 0}–${endLine}`;
}

/** The last of the zones, which are sorted and apart, that starts before `line`. */
function lastBefore(zones: readonly Zone[], line: number): Zone | undefined {
  let low = 0;
  let high = zones.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((zones[middle]?.startLine ?? line) < line) low = middle + 1;
    else high = middle;
  }
  return zones[low - 1];
}
