/**
 * What goes wrong in a run, and when it is over: each ends with a cluster in which nothing is disturbed
 * any more, and counts what was in force.
 */
import type { NodeId } from '@moku/base';
import type { HistoryEvent } from '@moku/sim';
import { expect } from 'vitest';
import type { Direction } from './frame-proxy.js';
import { type FaultKind, faultKinds } from './link-faults.js';
import type { PeerLink } from './process-cluster.js';
import type { Run } from './process-run.js';
import { until } from './until.js';

const directions: readonly Direction[] = ['up', 'down'];

/** Longer than any election timeout and the time in which silence is noticed. */
export const certainlyNoticedMs = 2_500;

/** Messages that must have been hit before a link fault of some has been in force. */
export const struckMin = 8;
const endedWithin = 10_000;

/** The node that leads most regions, and `count - 1` of the others. */
async function chooseVictims({ cluster, prng }: Run, count: number): Promise<NodeId[]> {
  const first = await cluster.busiest();
  const others = cluster.nodeIds.filter((nodeId) => nodeId !== first);
  const chosen = [first];
  while (chosen.length < count) chosen.push(...others.splice(prng.below(others.length), 1));
  return chosen;
}

function count({ counts }: Run, name: string, more: number): void {
  counts[name] = (counts[name] ?? 0) + more;
}

export async function killMinority(run: Run, minority: number): Promise<void> {
  const { cluster, load } = run;
  await load.answered(100);
  const before = await cluster.leaders();
  const killed = await chooseVictims(run, minority);
  await cluster.kill(killed);
  count(run, 'killed', killed.length);
  await cluster.moved(killed, before);
  await load.answered(150);
  await cluster.restart(killed);
}

/** Also holds that nothing is answered without a majority. */
export async function killMajority(run: Run, majority: number): Promise<void> {
  const { cluster, load } = run;
  await load.answered(250);
  const killed = await chooseVictims(run, majority);
  await cluster.kill(killed);
  count(run, 'killed', killed.length);
  const from = load.events.length;
  const ended = load.ended;
  await load.until('calls end without a majority', () => load.ended >= ended + 9);
  const without = load.events.slice(from);
  await cluster.restart(killed);
  // Calls that were under way may have been answered before; none that was invoked since.
  expect(without.filter(isInvoked).length).toBeGreaterThan(0);
  expect(answersWithin(without)).toEqual([]);
}

export async function killAll(run: Run): Promise<void> {
  const { cluster, load } = run;
  await load.answered(250);
  await cluster.leaders();
  await cluster.kill(cluster.nodeIds);
  count(run, 'killed', cluster.nodeIds.length);
  await cluster.restart(cluster.nodeIds);
}

/** Stops nodes for so long, while the others go on as they can. */
export async function pause(
  run: Run,
  { nodes, ms }: { readonly nodes: number; readonly ms: number },
): Promise<void> {
  const { cluster, load } = run;
  await load.answered(100);
  const before = await cluster.leaders();
  const stopped = await chooseVictims(run, nodes);
  const startMs = performance.now();
  await cluster.stop(stopped);
  count(run, 'stopped', stopped.length);
  // Shorter than an election timeout, the leader may keep its place.
  if (ms >= certainlyNoticedMs) await cluster.moved(stopped, before);
  await load.until(`${ms} ms without ${stopped}`, () => performance.now() - startMs >= ms, 2 * ms);
  await cluster.wake(stopped);
  // The former leader wakes among those who ask it.
  await load.answered(150);
}

export interface LinkFault {
  readonly kind: FaultKind;
  readonly direction: Direction;
}

/** Some messages of all links for a while, then all messages of the links of a leader until others lead. */
export async function disturbLinks(run: Run, { kind, direction }: LinkFault): Promise<void> {
  const { cluster, load } = run;
  const { links } = cluster;
  await load.answered(50);
  forget(links);
  for (const { faults } of links) faults.set([{ kind, direction, reach: 'some' }]);
  await Promise.all([
    load.until(`${struckMin} × ${kind}`, () => struck(links, kind) >= struckMin),
    load.answered(150),
  ]);
  for (const { faults } of links) faults.set([]);
  // Asked before all is cut off, which would end them, too.
  await endOfDisturbed(links);
  if (kind !== 'delay') countNoticed(run, kind);
  const before = await cluster.leaders();
  const leader = await cluster.busiest();
  for (const { faults } of cluster.linksOf(leader)) faults.set([{ kind, direction, reach: 'all' }]);
  await cluster.moved([leader], before);
  for (const { faults } of links) faults.set([]);
  await endOfDisturbed(links);
  count(run, kind, struck(links, kind));
}

/** Five links have one kind of fault each, both ways, while a leader is killed, and while another one sleeps. */
export async function disturbEverything(run: Run): Promise<void> {
  const { cluster, load, prng } = run;
  const { links } = cluster;
  forget(links);
  await load.answered(50);
  for (const what of ['killed', 'stopped'] as const) {
    // One after the other on purpose.
    const before = await cluster.leaders();
    const victim = await chooseVictims(run, 1);
    disturbSome(links, prng.below(links.length));
    await load.answered(50);
    await (what === 'killed' ? cluster.kill(victim) : cluster.stop(victim));
    count(run, what, victim.length);
    await cluster.moved(victim, before);
    await load.answered(50);
    await (what === 'killed' ? cluster.restart(victim) : cluster.wake(victim));
    await load.answered(50);
  }
  const isAll = (): boolean => faultKinds.every((kind) => struck(links, kind) > 0);
  await load.until('every kind was in force', isAll);
  for (const { faults } of links) faults.set([]);
  await endOfDisturbed(links);
  for (const kind of faultKinds) count(run, kind, struck(links, kind));
}

/** One link per kind, from the link of this number on. */
function disturbSome(links: readonly PeerLink[], first: number): void {
  links.forEach(({ faults }, i) => {
    const kind = faultKinds[(i + links.length - first) % links.length];
    const both = kind === undefined ? [] : directions.map((direction) => ({ kind, direction }));
    faults.set(both.map((fault) => ({ ...fault, reach: 'some' })));
  });
}

function forget(links: readonly PeerLink[]): void {
  for (const { faults } of links) faults.forget();
}

function struck(links: readonly PeerLink[], kind: FaultKind): number {
  return links.reduce((sum, { faults }) => sum + faults.struck(kind), 0);
}

/** No connection on which something was changed goes on: its receiver has noticed, or it was cut off. */
async function endOfDisturbed(links: readonly PeerLink[]): Promise<void> {
  await until('disturbed connections end', endedWithin, () =>
    links.every(({ faults }) => faults.standing() === 0),
  );
}

/** Counts who noticed and said why; a receiver that closed for a reason that does not fit is a find. */
function countNoticed(run: Run, kind: Exclude<FaultKind, 'delay'>): void {
  for (const { faults } of run.cluster.links) {
    count(run, 'noticed', faults.noticed(kind));
    expect(faults.unfitting(kind)).toEqual([]);
  }
}

/** Answers to calls that were invoked within these events, too. */
function answersWithin(events: readonly HistoryEvent[]): HistoryEvent[] {
  return events.filter((event, i) => {
    const isOwn = ({ process }: HistoryEvent): boolean => process === event.process;
    return event.type === 'ok' && events.slice(0, i).some((one) => isInvoked(one) && isOwn(one));
  });
}

function isInvoked({ type }: HistoryEvent): boolean {
  return type === 'invoke';
}
