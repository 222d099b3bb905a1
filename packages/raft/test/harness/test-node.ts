/**
 * A replica with its host: a Raft core, a MemoryLogStore of its own, and a state machine that is the
 * list of what was applied. Does what a region manager does in a turn, in separate steps, so that a test
 * can put anything between them.
 */
import { assert, createPrng, noReplica, type RegionId, type ReplicaId, text } from '@moku/base';
import type { ConfState, Entry, HardState, Message, Ready, SnapshotMeta } from '../../src/index.js';
import {
  confStateAfter,
  decodeConfChange,
  emptyConfState,
  MemoryLogStore,
  Raft,
  type RaftLimits,
  type RegionWrite,
} from '../../src/index.js';

export const regionId: RegionId = 1 as RegionId;

export interface NodeOptions {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly seed: number;
  readonly limits: Partial<RaftLimits>;
}

/** What a snapshot holds: everything applied, and the configuration then. */
export interface Picture {
  readonly meta: SnapshotMeta;
  readonly applied: readonly Entry[];
}

interface Held {
  readonly readyNumber: number;
  readonly mustSync: boolean;
  readonly batch: number;
  readonly messages: readonly Message[];
}

export class TestNode {
  readonly id: ReplicaId;
  private readonly options: NodeOptions;
  store: MemoryLogStore;
  raft: Raft;
  isDown = false;
  /** Everything applied, from index 1 on; a snapshot brings the list of its maker. */
  applied: Entry[] = [];
  /** How much of `applied` survives a crash. */
  durableApplied = 0;
  /** The last snapshot installed; its content is durable before the log restarts behind it. */
  private installed: SnapshotMeta | undefined = undefined;
  /** Snapshots asked for and not here yet. */
  wanted: SnapshotMeta | undefined = undefined;
  answered: { readonly context: number; readonly index: number }[] = [];
  refused: number[] = [];
  /** The configuration before the last turn applied anything: what was committed by then was counted in it. */
  confBefore: ConfState = noConf;
  private held: Held[] = [];
  private batch = 0;
  private durableBatch = 0;
  private starts = 0;

  constructor(id: ReplicaId, confState: ConfState, options: NodeOptions) {
    this.id = id;
    this.options = options;
    this.store = new MemoryLogStore();
    this.listen();
    const create = { replicaId: id, confState, truncatedIndex: 0, truncatedTerm: 0 };
    this.store.write([{ regionId, create }]);
    this.store.sync();
    this.raft = this.boot({ term: 0, votedFor: noReplica, commitIndex: 0 }, confState, 0);
  }

  /** Indexes of `applied` begin at 1: entry i is applied[i - 1]. */
  get appliedIndex(): number {
    return this.applied.length;
  }

  private listen(): void {
    this.store.subscribe({
      onDurable: (batch) => {
        this.durableBatch = batch;
      },
      onFetched: () => this.raft.logFetched(),
      onFailure: () => {},
    });
  }

  private boot(hardState: HardState, confState: ConfState, confStateIndex: number): Raft {
    const log = this.store.region(regionId);
    assert(log !== undefined, 'the region exists');
    this.starts++;
    return new Raft({
      replicaId: this.id,
      electionTicks: this.options.electionTicks,
      heartbeatTicks: this.options.heartbeatTicks,
      prng: createPrng(this.options.seed * 1000 + this.id * 10 + this.starts),
      log,
      hardState,
      confState,
      confStateIndex,
      appliedIndex: this.appliedIndex,
      limits: this.options.limits,
    });
  }

  /** Loses what is not synced, but for the `batchesKept` oldest batches. */
  crash(batchesKept: number): void {
    assert(!this.isDown, 'it runs');
    this.isDown = true;
    this.store = this.store.crash(batchesKept);
    this.applied.length = this.durableApplied;
    this.held = [];
    this.batch = 0;
    this.durableBatch = 0;
    this.wanted = undefined;
  }

  restart(): void {
    assert(this.isDown, 'it is down');
    this.isDown = false;
    this.listen();
    const recovered = this.store.recovered().regions[0];
    assert(recovered !== undefined, 'the region was recovered');
    const { installed } = this;
    const held = installed && this.store.region(regionId)?.term(installed.index);
    const isBelow = installed !== undefined && recovered.truncatedIndex < installed.index;
    if (installed !== undefined && isBelow && held !== installed.term) {
      this.finishInstall(installed, recovered.hardState);
      return;
    }
    const { hardState, confState, confStateIndex } = recovered;
    if (confStateIndex >= this.appliedIndex) {
      this.raft = this.boot(hardState, confState, confStateIndex);
      return;
    }
    // The state machine is further than the configuration that was synced with the log.
    const missed = this.applied.slice(confStateIndex);
    this.raft = this.boot(hardState, confStateAfter(confState, missed), this.appliedIndex);
  }

  /** The crash came between the snapshot's content and the log's restart behind it. */
  private finishInstall(meta: SnapshotMeta, former: HardState): void {
    const { index, term, confState } = meta;
    const hardState = term > former.term ? { ...former, term, votedFor: noReplica } : former;
    this.write({ regionId, hardState, restart: { index, term, confState } });
    this.store.sync();
    this.raft = this.boot(hardState, confState, index);
  }

  /** Takes a Ready and hands its parts on. Returns it; `send` gets what may leave at once. */
  turn(
    send: (message: Message) => void,
    look: (ready: Ready) => void = () => {},
  ): Ready | undefined {
    if (!this.raft.hasReady()) return undefined;
    this.confBefore = this.raft.confState;
    const ready = this.raft.ready();
    look(ready);
    const write: { -readonly [K in keyof RegionWrite]: RegionWrite[K] } = { regionId };
    if (ready.hardState !== undefined) write.hardState = ready.hardState;
    if (ready.entries.length > 0) write.entries = ready.entries;
    if (write.hardState !== undefined || write.entries !== undefined) this.write(write);
    for (const message of ready.messages) send(message);
    if (ready.mustSync || ready.messagesAfterPersist.length > 0) {
      const { number: readyNumber, mustSync, messagesAfterPersist: messages } = ready;
      this.held.push({ readyNumber, mustSync, batch: this.batch, messages });
    }
    if (ready.snapshot !== undefined) this.wanted = ready.snapshot;
    for (const entry of ready.committedEntries) this.apply(entry);
    this.answered.push(...ready.readStates);
    this.refused.push(...ready.readsRefused);
    return ready;
  }

  private write(write: RegionWrite): void {
    this.batch = this.store.write([write]);
  }

  private apply(entry: Entry): void {
    assert(entry.index === this.appliedIndex + 1, 'applied strictly by index, exactly once');
    this.applied.push(entry);
    if (entry.kind === 'confChange') {
      const change = decodeConfChange(entry.data);
      const confState = this.raft.applyConfChange(change, entry.index);
      const { index } = entry;
      if (confState !== undefined) this.write({ regionId, confState: { index, confState } });
    }
    this.raft.applied(entry.index);
  }

  /** How many batches are not synced. */
  get unsynced(): number {
    return this.store.health().batchesInFlight;
  }

  /** Syncs the oldest `batches` batches; what waited for them leaves. */
  sync(send: (message: Message) => void, batches: number = this.unsynced): void {
    this.store.sync(batches);
    while (this.held.length > 0 && this.held[0]!.batch <= this.durableBatch) {
      const held = this.held.shift()!;
      if (held.mustSync) this.raft.persisted(held.readyNumber);
      for (const message of held.messages) send(message);
    }
  }

  get holdsMessages(): boolean {
    return this.held.length > 0;
  }

  /** The state as of now, for a replica that needs a snapshot. */
  picture(): Picture {
    const index = this.appliedIndex;
    const term = this.applied[index - 1]?.term ?? 0;
    const meta = { index, term, confState: this.raft.confState };
    return { meta, applied: this.applied.slice() };
  }

  /** The content of a snapshot arrived. Returns whether it was still of use. */
  install(picture: Picture): boolean {
    const { meta } = picture;
    this.wanted = undefined;
    if (this.raft.role === 'leader' || this.raft.snapshotWanted === undefined) return false;
    if (meta.index <= this.raft.commitIndex) return false;
    if (this.raft.holds(meta.index, meta.term)) return false;
    const { index, term, confState } = meta;
    this.write({ regionId, restart: { index, term, confState } });
    this.applied = picture.applied.slice();
    // A real engine makes its content durable before the log restarts behind it.
    this.durableApplied = index;
    this.installed = meta;
    this.raft.snapshotInstalled(meta);
    return true;
  }

  /** Applied state up to now survives a crash. */
  checkpoint(): void {
    this.durableApplied = this.appliedIndex;
  }

  /** Drops the log up to `index`, at most up to what survives a crash. */
  compact(index: number): boolean {
    const log = this.store.region(regionId)!;
    const term = log.term(index);
    if (index > this.durableApplied || index < log.firstIndex() || term === undefined) return false;
    this.write({ regionId, truncate: { index, term } });
    return true;
  }

  /** The log as text: `term/index "data"`, for traces. */
  logText(): string {
    const log = this.store.region(regionId)!;
    const parts: string[] = [];
    if (log.firstIndex() > 1)
      parts.push(`${log.term(log.firstIndex() - 1)}/${log.firstIndex() - 1}|`);
    for (let index = log.firstIndex(); index <= log.lastIndex(); index++) {
      const found = log.entries(index, index + 1, 1);
      parts.push(found === 'fetching' ? `?/${index}` : entryText(found[0]!));
    }
    return parts.length === 0 ? 'empty' : parts.join(' ');
  }
}

export function entryText(entry: Entry): string {
  const { term, index, kind, data } = entry;
  if (data.length === 0) return `${term}/${index}`;
  if (kind === 'normal') {
    return `${term}/${index} ${data.length > 24 ? `(${data.length} bytes)` : `"${text(data)}"`}`;
  }
  const change = decodeConfChange(data);
  const steps: string[] = [];
  for (const step of change.steps) steps.push(`${step.type} ${step.replicaId}`);
  return `${term}/${index} [${steps.length === 0 ? 'leave joint' : steps.join(', ')}]`;
}

export const noConf: ConfState = emptyConfState;
