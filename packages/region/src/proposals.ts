// @hot
/**
 * Commands of one region on their way through its log: those that wait for the next entry, and the
 * entries under way. Exists only while something waits or is under way.
 *
 * Invariants:
 *  Q1 An entry under way is identified by (index, term), never by its index alone; another entry
 *     committed at its index answers `lost` (design §4).
 *  Q2 Entries under way ascend by index.
 *  Q3 Every command taken is answered exactly once: applied, lost, or refused before it was proposed.
 *  Q4 The node's budget counts exactly the commands that wait or are under way.
 */
import { assert, limits, type NodeId } from '@moku/base';
import type { CommandResult, Entry, Raft, StateMachine } from '@moku/raft';
import type { Answers, ProposeSink } from './answers.js';

/** What a waiting command costs beside its bytes. */
const commandOverheadBytes = 64;

/** Bytes and number of the commands that wait or are under way on one node (P8). */
export class ProposalBudget {
  bytes = 0;
  commands = 0;

  /** Whether a command of `commandBytes` still fits. */
  fits(commandBytes: number): boolean {
    return this.bytes + commandBytes + commandOverheadBytes <= limits.proposalBytesPerNodeMax;
  }

  take(commands: number, commandBytes: number): void {
    this.commands += commands;
    this.bytes += commandBytes + commands * commandOverheadBytes;
  }

  give(commands: number, commandBytes: number): void {
    this.commands -= commands;
    this.bytes -= commandBytes + commands * commandOverheadBytes;
    assert(this.commands >= 0 && this.bytes >= 0, 'Q4: the budget is not given back twice');
  }
}

interface EntryInFlight {
  readonly index: number;
  readonly term: number;
  readonly sinks: readonly ProposeSink[];
  readonly bytes: number;
}

export type SubmitResult =
  /** Everything that waited is under way. */
  | 'submitted'
  /** The core takes no more for now. */
  | 'busy'
  /** This replica does not lead; what waited was refused. */
  | 'notLeader';

export class ProposalQueue {
  private readonly budget: ProposalBudget;
  private readonly answers: Answers;
  private commands: Uint8Array[] = [];
  private sinks: ProposeSink[] = [];
  private waitingBytes = 0;
  private readonly inFlight: EntryInFlight[] = [];
  private head = 0;

  constructor(budget: ProposalBudget, answers: Answers) {
    this.budget = budget;
    this.answers = answers;
  }

  get waiting(): number {
    return this.commands.length;
  }

  get entriesInFlight(): number {
    return this.inFlight.length - this.head;
  }

  isEmpty(): boolean {
    return this.commands.length === 0 && this.head === this.inFlight.length;
  }

  add(command: Uint8Array, sink: ProposeSink): void {
    this.commands.push(command);
    this.sinks.push(sink);
    this.waitingBytes += command.length;
    this.budget.take(1, command.length);
  }

  /** Makes entries of what waits and proposes them. `leaderNodeId` is told to whom is refused. */
  submit(raft: Raft, machine: StateMachine, wallMs: number, leaderNodeId: NodeId): SubmitResult {
    while (this.commands.length > 0) {
      const count = this.nextEntryCount();
      const isWhole = count === this.commands.length;
      const commands = isWhole ? this.commands : this.commands.slice(0, count);
      if (raft.role !== 'leader') {
        this.refuseWaiting(leaderNodeId);
        return 'notLeader';
      }
      const result = raft.propose(machine.encodeEntry(commands, wallMs));
      if (result.kind === 'busy') return 'busy';
      if (result.kind === 'notLeader') {
        this.refuseWaiting(leaderNodeId);
        return 'notLeader';
      }
      this.moveToFlight(commands, isWhole, result.index, result.term);
    }
    return 'submitted';
  }

  /** How many of the waiting commands go into the next entry: at least one. */
  private nextEntryCount(): number {
    const { commands } = this;
    const countMax =
      commands.length < limits.entryCommandsMax ? commands.length : limits.entryCommandsMax;
    if (this.waitingBytes <= limits.entryBytesTarget) return countMax;
    let bytes = commands[0]!.length;
    let count = 1;
    while (count < countMax) {
      bytes += commands[count]!.length;
      if (bytes > limits.entryBytesTarget) break;
      count++;
    }
    return count;
  }

  private moveToFlight(
    commands: readonly Uint8Array[],
    isWhole: boolean,
    index: number,
    term: number,
  ): void {
    const { inFlight } = this;
    if (inFlight.length > this.head) {
      assert(inFlight[inFlight.length - 1]!.index < index, 'Q2: entries under way ascend');
    }
    let bytes = 0;
    for (let i = 0; i < commands.length; i++) bytes += commands[i]!.length;
    const sinks = isWhole ? this.sinks : this.sinks.slice(0, commands.length);
    if (isWhole) {
      this.commands = [];
      this.sinks = [];
      this.waitingBytes = 0;
    } else {
      this.commands = this.commands.slice(commands.length);
      this.sinks = this.sinks.slice(commands.length);
      this.waitingBytes -= bytes;
    }
    inFlight.push({ index, term, sinks, bytes });
  }

  /** `entry` was applied here with `results`: answers what was proposed at its index. */
  applied(entry: Entry, results: readonly CommandResult[], leaderNodeId: NodeId): void {
    const { index, term } = entry;
    while (this.head < this.inFlight.length) {
      const first = this.inFlight[this.head]!;
      if (first.index > index) return;
      this.dropHead();
      // Q1
      if (first.index !== index || first.term !== term) {
        this.lose(first, leaderNodeId);
        continue;
      }
      assert(first.sinks.length === results.length, 'one result per command');
      for (let i = 0; i < first.sinks.length; i++) {
        this.answers.propose(first.sinks[i]!, {
          kind: 'applied',
          index,
          term,
          result: results[i]!,
        });
      }
      this.budget.give(first.sinks.length, first.bytes);
      return;
    }
  }

  /**
   * Leadership ended. What waits was never proposed; what is under way behind `commitIndex` may or may
   * not happen; what is committed will be applied here and is answered then.
   */
  leadershipLost(commitIndex: number, leaderNodeId: NodeId): void {
    this.refuseWaiting(leaderNodeId);
    const kept: EntryInFlight[] = [];
    for (let i = this.head; i < this.inFlight.length; i++) {
      const entry = this.inFlight[i]!;
      if (entry.index <= commitIndex) kept.push(entry);
      else this.lose(entry, leaderNodeId);
    }
    this.inFlight.length = 0;
    this.head = 0;
    for (let i = 0; i < kept.length; i++) this.inFlight.push(kept[i]!);
  }

  /** The state jumped to `index` by a snapshot: what was under way up to there has an unknown outcome. */
  skippedTo(index: number, leaderNodeId: NodeId): void {
    while (this.head < this.inFlight.length && this.inFlight[this.head]!.index <= index) {
      const first = this.inFlight[this.head]!;
      this.dropHead();
      this.lose(first, leaderNodeId);
    }
  }

  /** The replica ends: everything is answered. */
  end(leaderNodeId: NodeId): void {
    this.refuseWaiting(leaderNodeId);
    this.skippedTo(Number.POSITIVE_INFINITY, leaderNodeId);
  }

  private refuseWaiting(leaderNodeId: NodeId): void {
    const { sinks } = this;
    if (sinks.length === 0) return;
    for (let i = 0; i < sinks.length; i++) {
      this.answers.propose(sinks[i]!, { kind: 'notLeader', leaderNodeId });
    }
    this.budget.give(sinks.length, this.waitingBytes);
    this.commands = [];
    this.sinks = [];
    this.waitingBytes = 0;
  }

  private lose(entry: EntryInFlight, leaderNodeId: NodeId): void {
    for (let i = 0; i < entry.sinks.length; i++) {
      this.answers.propose(entry.sinks[i]!, { kind: 'lost', leaderNodeId });
    }
    this.budget.give(entry.sinks.length, entry.bytes);
  }

  private dropHead(): void {
    this.head++;
    if (this.head === this.inFlight.length) {
      this.inFlight.length = 0;
      this.head = 0;
    } else if (this.head >= 64 && this.head * 2 >= this.inFlight.length) {
      this.inFlight.splice(0, this.head);
      this.head = 0;
    }
  }
}
