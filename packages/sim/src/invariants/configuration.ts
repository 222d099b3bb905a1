/**
 * Configurations, as the logs show them (Raft §6, thesis §4):
 *
 *  - one change at a time: a leader takes no further one while one is in its log and not committed;
 *  - a configuration follows from the one before by one voter more or less, or through a joint one;
 *  - replicas agree on the configuration as of an index;
 *  - a leader was granted a majority of the voters of its configuration, and of the outgoing ones;
 *  - nobody acts who never was in a configuration of the region (a removed voter may still campaign);
 *  - no zombie: a replica that was destroyed never writes, sends or leads again.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { ConfState, Message, RegionWrite } from '@moku/raft';
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Known {
  readonly index: number;
  readonly confState: ConfState;
}

/** What one node's log says of one region. */
interface Place {
  known: Known | undefined;
  /** Of changes in the log. */
  changes: number[];
  /** Replicas up to this one are destroyed here. */
  tombstone: number;
}

export class Configuration implements Invariant {
  private readonly report: Report;
  private readonly places = new Map<string, Place>();
  /** Per region and index of a configuration. */
  private readonly agreed = new Map<string, string>();
  /** Replicas of any configuration of the region so far. */
  private readonly members = new Map<RegionId, Set<number>>();
  /**
   * Granted votes: voters' replicas per region, term and candidate. None is ever too old: a candidate that
   * has not heard of a later term may come to lead an earlier one.
   */
  private readonly grants = new Map<string, Set<number>>();

  constructor(report: Report) {
    this.report = report;
  }

  onStop(node: SimNode): void {
    // What was not synced may be gone: what is left says the next start by its writes and status.
    for (const [key, place] of this.places) {
      if (key.startsWith(`${node.nodeId}/`)) place.changes = [];
    }
  }

  onLogWrite(node: SimNode, write: RegionWrite): void {
    const { regionId, create, destroy, restart, confState, entries } = write;
    const place = this.place(node.nodeId, regionId);
    const where = `node ${node.nodeId}, region ${regionId}`;
    if (destroy !== undefined) {
      place.tombstone = Math.max(place.tombstone, destroy.replicaId);
      place.known = undefined;
      place.changes = [];
      return;
    }
    if (create !== undefined) {
      if (create.replicaId <= place.tombstone) {
        this.report('no zombie replica', `${where}: replica ${create.replicaId} was destroyed`);
      }
      const index = create.truncatedIndex;
      place.known = { index, confState: create.confState };
      this.meet(regionId, create.confState);
    } else if (place.tombstone > 0 && place.known === undefined && entries !== undefined) {
      this.report('no zombie replica', `${where}: writes entries after it was destroyed`);
    }
    if (restart !== undefined) {
      place.known = { index: restart.index, confState: restart.confState };
      this.meet(regionId, restart.confState);
      place.changes = [];
    }
    if (confState !== undefined) this.adopt(where, place, regionId, confState);
    if (entries !== undefined) this.appended(node, where, place, write);
  }

  onSend(node: SimNode, _peer: NodeId, regionId: RegionId, message: Message): void {
    const where = `node ${node.nodeId}, region ${regionId}`;
    const place = this.places.get(`${node.nodeId}/${regionId}`);
    if (place !== undefined && message.from <= place.tombstone) {
      this.report('no zombie replica', `${where}: ${message.type} of destroyed ${message.from}`);
    }
    const members = this.members.get(regionId);
    if (members !== undefined && !members.has(message.from)) {
      this.report('no stranger acts', `${where}: ${message.type} of replica ${message.from}`);
    }
    if (message.type === 'voteResponse' && message.isGranted) {
      this.granted(regionId, message.term, message.to).add(message.from);
    }
  }

  onLeader(node: SimNode, status: RegionStatus): void {
    const { regionId, term, replicaId, confState } = status;
    const where = `node ${node.nodeId}, region ${regionId}`;
    const granted = this.granted(regionId, term, replicaId);
    for (const voters of [confState.voters, confState.votersOutgoing]) {
      const votes = voters.filter((voter) => voter === replicaId || granted.has(voter)).length;
      if (voters.length === 0 || votes * 2 > voters.length) continue;
      const what = `${where}: leads term ${term} by ${votes} votes of ${voters.length}`;
      this.report('only voters elect', what);
    }
  }

  private meet(regionId: RegionId, confState: ConfState): void {
    const { voters, votersOutgoing, learners, learnersNext } = confState;
    let members = this.members.get(regionId);
    if (members === undefined) {
      members = new Set();
      this.members.set(regionId, members);
    }
    for (const each of [voters, votersOutgoing, learners, learnersNext].flat()) members.add(each);
  }

  private adopt(where: string, place: Place, regionId: RegionId, next: Known): void {
    this.meet(regionId, next.confState);
    const text = JSON.stringify(next.confState);
    const key = `${regionId}/${next.index}`;
    const agreed = this.agreed.get(key);
    if (agreed === undefined) this.agreed.set(key, text);
    else if (agreed !== text) {
      this.report(
        'configuration',
        `${where}: as of ${next.index} it is ${text}, elsewhere ${agreed}`,
      );
    }
    const { known } = place;
    if (known !== undefined && next.index > known.index) {
      const isLegal = isStep(known.confState, next.confState);
      const before = JSON.stringify(known.confState);
      if (!isLegal) this.report('configuration', `${where}: ${before} is followed by ${text}`);
    }
    place.known = next;
  }

  private appended(node: SimNode, where: string, place: Place, write: RegionWrite): void {
    const { regionId, entries = [] } = write;
    const first = entries[0];
    if (first === undefined) return;
    if (place.changes.length > 0) {
      place.changes = place.changes.filter((index) => index < first.index);
    }
    for (const { kind, index } of entries) {
      if (kind !== 'confChange') continue;
      const status = node.running?.host.regionStatus(regionId);
      const open = place.changes.find((each) => each > (status?.commitIndex ?? each));
      if (status?.role === 'leader' && open !== undefined) {
        this.report('one change at a time', `${where}: ${index} while ${open} is not committed`);
      }
      place.changes.push(index);
    }
  }

  private place(nodeId: NodeId, regionId: RegionId): Place {
    const key = `${nodeId}/${regionId}`;
    let place = this.places.get(key);
    if (place === undefined) {
      place = { known: undefined, changes: [], tombstone: 0 };
      this.places.set(key, place);
    }
    return place;
  }

  private granted(regionId: RegionId, term: number, to: number): Set<number> {
    const key = `${regionId}/${term}/${to}`;
    let granted = this.grants.get(key);
    if (granted === undefined) {
      granted = new Set();
      this.grants.set(key, granted);
    }
    return granted;
  }
}

/** One voter more or less, into a joint configuration, or out of one. */
function isStep(before: ConfState, after: ConfState): boolean {
  const wasJoint = before.votersOutgoing.length > 0;
  const isJoint = after.votersOutgoing.length > 0;
  if (wasJoint && !isJoint) return isSame(before.voters, after.voters);
  if (!wasJoint && isJoint) return isSame(before.voters, after.votersOutgoing);
  if (wasJoint) return JSON.stringify(before) === JSON.stringify(after);
  const gone = before.voters.filter((each) => !after.voters.includes(each)).length;
  const added = after.voters.filter((each) => !before.voters.includes(each)).length;
  return gone + added <= 1;
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
