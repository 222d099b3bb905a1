/**
 * Cycles of a graph whose edges have kinds: strongly connected components (Tarjan, 1972, without
 * recursion) and shortest ways within one.
 */
import { present } from '@moku/base';

/** Edges of one node: target to the kinds of its edges, a set of bits. */
export type Adjacency = readonly ReadonlyMap<number, number>[];

/** Components of two nodes and more, over edges that have a kind of `kinds`. Nobody points to itself. */
export function componentsOf(graph: Adjacency, kinds: number): number[][] {
  const order = new Int32Array(graph.length).fill(-1);
  const low = new Int32Array(graph.length);
  const isOpen = new Uint8Array(graph.length);
  const open: number[] = [];
  const components: number[][] = [];
  let visited = 0;
  const enter = (node: number): { node: number; targets: Iterator<[number, number]> } => {
    order[node] = visited;
    low[node] = visited;
    visited += 1;
    open.push(node);
    isOpen[node] = 1;
    return { node, targets: edgesOf(graph, node).entries()[Symbol.iterator]() };
  };
  const leave = (node: number): void => {
    if (low[node] !== order[node]) return;
    const component = open.splice(open.lastIndexOf(node));
    for (const member of component) isOpen[member] = 0;
    if (component.length > 1) components.push(component);
  };
  for (let root = 0; root < graph.length; root++) {
    if (order[root] !== -1) continue;
    const trail = [enter(root)];
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const { node } = top;
      const step = top.targets.next();
      if (step.done === true) {
        trail.pop();
        leave(node);
        const parent = trail.at(-1)?.node;
        if (parent !== undefined) low[parent] = Math.min(low[parent] ?? 0, low[node] ?? 0);
        continue;
      }
      const [target, edgeKinds] = step.value;
      if ((edgeKinds & kinds) === 0) continue;
      if (order[target] === -1) trail.push(enter(target));
      else if (isOpen[target] === 1) low[node] = Math.min(low[node] ?? 0, order[target] ?? 0);
    }
  }
  return components;
}

export interface CycleRule {
  /** Kind that one edge of the cycle must have. */
  readonly first: number;
  /** Kinds that the other edges may have. */
  readonly others: number;
}

/**
 * The shortest cycle within `component` that begins with an edge of kind `rule.first` and goes on over
 * `rule.others`, as its nodes, the first one not repeated; undefined when there is none. Work: edges of
 * the component for each of its edges of the first kind.
 */
export function shortestCycle(
  graph: Adjacency,
  component: readonly number[],
  rule: CycleRule,
): number[] | undefined {
  const members = new Set(component);
  let best: number[] | undefined;
  for (const from of component) {
    for (const [to, kinds] of edgesOf(graph, from)) {
      if ((kinds & rule.first) === 0 || !members.has(to)) continue;
      const nodesMax = best === undefined ? members.size : best.length - 1;
      const way = shortestWay({ graph, members, kinds: rule.others, nodesMax }, to, from);
      if (way !== undefined) best = [from, ...way.slice(0, -1)];
      if (best?.length === 2) return best;
    }
  }
  return best;
}

interface Walk {
  readonly graph: Adjacency;
  readonly members: ReadonlySet<number>;
  readonly kinds: number;
  /** Longer ways are of no interest. */
  readonly nodesMax: number;
}

/** Nodes from `from` to `to`, both included; breadth first. */
function shortestWay(walk: Walk, from: number, to: number): number[] | undefined {
  const cameFrom = new Map<number, number>([[from, -1]]);
  let border = [from];
  for (let nodes = 2; nodes <= walk.nodesMax && border.length > 0; nodes++) {
    const nextBorder: number[] = [];
    for (const node of border) {
      for (const [target, kinds] of edgesOf(walk.graph, node)) {
        if ((kinds & walk.kinds) === 0 || !walk.members.has(target) || cameFrom.has(target)) {
          continue;
        }
        cameFrom.set(target, node);
        if (target === to) return trailTo(cameFrom, to);
        nextBorder.push(target);
      }
    }
    border = nextBorder;
  }
  return undefined;
}

function trailTo(cameFrom: ReadonlyMap<number, number>, to: number): number[] {
  const trail: number[] = [];
  for (let node = to; node !== -1; node = cameFrom.get(node) ?? -1) trail.push(node);
  return trail.reverse();
}

function edgesOf(graph: Adjacency, node: number): ReadonlyMap<number, number> {
  return present(graph[node], 'a node of the graph');
}
