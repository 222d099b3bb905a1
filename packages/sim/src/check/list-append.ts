/**
 * Strict serializability of transactions that append to lists and read them, by the anomalies of
 * Adya, Liskov and O'Neil (2000), found as in Elle (Kingsbury and Alvaro, 2020): as every element is
 * appended once, each list that was read tells the order of all versions before it.
 *
 * Cycles are named by the least that they need: G0 (ww), G1c (ww and wr), G-single (one rw), G2 (more),
 * and the same with `-realtime` when an edge of real time is needed. Of each strongly connected
 * component the first of these in that order is reported, with its shortest cycle.
 *
 * A pass means: with the versions that were observed, some serial order explains all answers and
 * agrees with real time. Appends that nobody read later show nothing: end a history with reads.
 */
import { InvariantError } from '@moku/base';
import { type CycleRule, componentsOf, shortestCycle } from './cycles.js';
import { DependencyGraph, edgeKinds } from './dependency-graph.js';
import { type HistoryEvent, operationsOf } from './history.js';
import { nameAt, type Transaction, transactionsOf } from './transactions.js';
import type { Verdict } from './verdict.js';
import { observeVersions } from './version-order.js';

export interface Anomaly {
  readonly name: AnomalyName;
  readonly explanation: string;
}

export type AnomalyName =
  /** A transaction disagrees with its own steps. */
  | 'internal'
  /** A list holds an element twice. */
  | 'duplicate-element'
  /** A list holds an element that nobody appended. */
  | 'phantom-element'
  /** Two lists of a key of which neither begins with the other. */
  | 'incompatible-order'
  /** Read of an element whose transaction certainly had no effect. */
  | 'G1a'
  /** Read of a list that ends amid the appends of another transaction. */
  | 'G1b'
  | CycleName;

type CycleClass = 'G0' | 'G1c' | 'G-single' | 'G2';
type CycleName = CycleClass | `${CycleClass}-realtime`;

export interface ListAppendReport {
  readonly verdict: Verdict;
  readonly anomalies: readonly Anomaly[];
  readonly transactions: number;
}

/**
 * Throws INVALID_ARGUMENT naming line and field for events that do not pair up, for operations other
 * than txn, and when an element is appended to a key twice.
 */
export function checkListAppend(events: readonly HistoryEvent[]): ListAppendReport {
  const transactions = transactionsOf(operationsOf(events));
  const anomalies: Anomaly[] = [];
  const versions = observeVersions(transactions, anomalies);
  const graph = new DependencyGraph(transactions, versions);
  for (const component of componentsOf(graph.adjacency, edgeKinds.all)) {
    anomalies.push(nameCycle(graph, component, transactions));
  }
  return { verdict: verdictOf(anomalies), anomalies, transactions: transactions.length };
}

function verdictOf(anomalies: readonly Anomaly[]): Verdict {
  if (anomalies.length === 0) return { verdict: 'pass' };
  const lines = anomalies.map(({ name, explanation }) => `${name}: ${explanation}`);
  return { verdict: 'fail', explanation: lines.join('\n') };
}

const { ww, wr, rw, realTime, all } = edgeKinds;

/**
 * In this order each rule finds its class exactly, as those before it found nothing: what begins with
 * an rw and found no way back without another one needs two.
 */
const cycleRules: readonly (CycleRule & { readonly name: CycleName })[] = [
  { name: 'G0', first: ww, others: ww },
  { name: 'G1c', first: wr, others: ww | wr },
  { name: 'G-single', first: rw, others: ww | wr },
  { name: 'G2', first: rw, others: ww | wr | rw },
  { name: 'G0-realtime', first: ww, others: ww | realTime },
  { name: 'G1c-realtime', first: wr, others: ww | wr | realTime },
  { name: 'G-single-realtime', first: rw, others: ww | wr | realTime },
  { name: 'G2-realtime', first: rw, others: all },
];

function nameCycle(
  graph: DependencyGraph,
  component: readonly number[],
  transactions: readonly Transaction[],
): Anomaly {
  for (const rule of cycleRules) {
    const cycle = shortestCycle(graph.adjacency, component, rule);
    if (cycle === undefined) continue;
    return { name: rule.name, explanation: cycleSentence(graph, cycle, rule, transactions) };
  }
  throw new InvariantError('a component has a cycle of no class: real time alone makes none');
}

function cycleSentence(
  graph: DependencyGraph,
  cycle: readonly number[],
  rule: CycleRule,
  transactions: readonly Transaction[],
): string {
  const lines = cycle.map((from, i) => {
    const to = cycle[(i + 1) % cycle.length] ?? from;
    const why = graph.reason(from, to, i === 0 ? rule.first : rule.others);
    return `\n  ${nameAt(transactions, from)} is before ${nameAt(transactions, to)}: ${why}`;
  });
  return `a cycle of ${cycle.length} transactions${lines.join('')}`;
}
