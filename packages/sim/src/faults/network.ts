/**
 * Networks that cut, hold, delay, break and change what is on the way: per ordered pair of nodes.
 *
 * Inside a session TCP forbids loss, repetition and disorder. Where a wire shows them all the same (a proxy,
 * a broken offload, a bug of a kernel), the session's numbers and checksums notice, and it ends.
 */
import type { NodeId, Prng } from '@moku/base';
import type { Fate, Wire, WireEffect } from '../world/wires.js';
import type { NetworkClass } from './classes.js';
import { type FaultKind, type FaultScene, logUniform } from './fault.js';

export const networkFaults: Readonly<Record<NetworkClass, FaultKind>> = {
  partition: { pauseMs: 8_000, inject: (scene) => holdWhile(scene, cutWires(scene)) },
  clog: { pauseMs: 5_000, inject: (scene) => holdWhile(scene, someWires(scene)) },
  flap: { pauseMs: 10_000, inject: flap },
  reset: { pauseMs: 4_000, inject: reset },
  halfOpen: { pauseMs: 5_000, inject: halfOpen },
  delay: {
    pauseMs: 5_000,
    inject: (scene) => {
      const ms = logUniform(scene.prng, 5, 2_000);
      affectWhile(scene, { kind: 'slow', ms });
    },
  },
  // Mostly the packets of a frame are sent again, and what is behind waits.
  loss: {
    pauseMs: 6_000,
    inject: (scene) => {
      const isNoticed = scene.prng.below(3) === 0;
      chanceOf(isNoticed ? 'lost' : 'stalled')(scene);
    },
  },
  duplicate: { pauseMs: 8_000, inject: chanceOf('twice') },
  reorder: { pauseMs: 8_000, inject: chanceOf('late') },
  corrupt: { pauseMs: 8_000, inject: chanceOf('corrupt') },
};

function chanceOf(fate: Fate): (scene: FaultScene) => void {
  return (scene) => {
    const chance = logUniform(scene.prng, 0.001, 0.3);
    affectWhile(scene, { kind: 'chance', fate, chance });
  };
}

function affectWhile(scene: FaultScene, effect: WireEffect): void {
  const wires = someWires(scene);
  for (const wire of wires) wire.add(effect);
  scene.during(() => {
    for (const wire of wires) wire.remove(effect);
  });
}

function holdWhile({ cluster: { network }, during }: FaultScene, wires: readonly Wire[]): void {
  for (const wire of wires) network.hold(wire.from, wire.to);
  during(() => {
    for (const wire of wires) network.release(wire.from, wire.to);
  });
}

/** One pair loses its link again and again, faster or slower than anybody judges silence. */
function flap(scene: FaultScene): void {
  const { cluster, prng, during, repeat } = scene;
  const { network } = cluster;
  const [near, far] = [scene.node.nodeId, peerOf(scene)];
  const longestMs = logUniform(prng, 20, 3_000);
  if (prng.below(2) === 0) {
    repeat(
      () => prng.unit() * longestMs,
      () => network.reset(near, far),
    );
    return;
  }
  let isHeld = false;
  const toggle = (): void => {
    isHeld = !isHeld;
    if (isHeld) network.hold(near, far);
    else network.release(near, far);
    if (isHeld) network.hold(far, near);
    else network.release(far, near);
  };
  repeat(() => prng.unit() * longestMs, toggle);
  during(() => {
    if (isHeld) toggle();
  });
}

/** One link, or all of a node. */
function reset(scene: FaultScene): void {
  const { cluster, node, prng } = scene;
  const isOne = prng.below(2) === 0;
  const peers = isOne ? [peerOf(scene)] : idsOf(scene).filter((id) => id !== node.nodeId);
  for (const peer of peers) cluster.network.reset(node.nodeId, peer);
}

function halfOpen(scene: FaultScene): void {
  scene.cluster.network.halfOpen(scene.node.nodeId, peerOf(scene));
}

function idsOf({ cluster }: FaultScene): readonly NodeId[] {
  return cluster.nodes.map(({ nodeId }) => nodeId);
}

function peerOf(scene: FaultScene): NodeId {
  const others = idsOf(scene).filter((id) => id !== scene.node.nodeId);
  return others[scene.prng.below(others.length)]!;
}

/** One wire, both of a pair, those to or from a node, those of a node, or all. */
function someWires(scene: FaultScene): readonly Wire[] {
  const { node, prng } = scene;
  const peer = peerOf(scene);
  const own = node.nodeId;
  switch (prng.below(6)) {
    case 0:
      return wiresWhere(scene, (from, to) => from === own && to === peer);
    case 1:
      return wiresWhere(
        scene,
        (from, to) => from + to === own + peer && (from === own || to === own),
      );
    case 2:
      return wiresWhere(scene, (from) => from === own);
    case 3:
      return wiresWhere(scene, (_from, to) => to === own);
    case 4:
      return wiresWhere(scene, (from, to) => from === own || to === own);
    default:
      return wiresWhere(scene, () => prng.below(2) === 0);
  }
}

function cutWires(scene: FaultScene): readonly Wire[] {
  const shape = shapes[scene.prng.below(shapes.length)]!;
  return wiresWhere(scene, shape(scene.node.nodeId, idsOf(scene), scene.prng));
}

function wiresWhere(
  scene: FaultScene,
  isMeant: (from: NodeId, to: NodeId) => boolean,
): readonly Wire[] {
  const ids = idsOf(scene);
  const wires: Wire[] = [];
  for (const from of ids) {
    for (const to of ids) {
      if (from !== to && isMeant(from, to)) wires.push(scene.cluster.network.wire(from, to));
    }
  }
  return wires;
}

/** Which directions are cut. */
type Shape = (
  node: NodeId,
  ids: readonly NodeId[],
  prng: Prng,
) => (from: NodeId, to: NodeId) => boolean;

const shapes: readonly Shape[] = [
  // Isolated.
  (node) => (from, to) => from === node || to === node,
  // It hears, but is not heard; and the other way round.
  (node) => (from) => from === node,
  (node) => (_from, to) => to === node,
  // Two halves.
  (_node, ids, prng) => {
    const side = new Set(ids.filter(() => prng.below(2) === 0));
    return (from, to) => side.has(from) !== side.has(to);
  },
  // One half hears the other, but is not heard.
  (_node, ids, prng) => {
    const side = new Set(ids.filter(() => prng.below(2) === 0));
    return (from, to) => side.has(from) && !side.has(to);
  },
  // A ring, and the same one way round.
  (_node, ids) => (from, to) => {
    const apart = Math.abs(ids.indexOf(from) - ids.indexOf(to));
    return apart !== 1 && apart !== ids.length - 1;
  },
  (_node, ids) => (from, to) => (ids.indexOf(from) + 1) % ids.length !== ids.indexOf(to),
  // A bridge: one node that both sides reach.
  (node, ids, prng) => {
    const side = new Set(ids.filter(() => prng.below(2) === 0));
    return (from, to) => from !== node && to !== node && side.has(from) !== side.has(to);
  },
  // A chain.
  (_node, ids) => (from, to) => Math.abs(ids.indexOf(from) - ids.indexOf(to)) !== 1,
  // A star: all reach the node alone.
  (node) => (from, to) => from !== node && to !== node,
];
