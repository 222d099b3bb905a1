/**
 * Contract of what a region replicates. Deterministic: equal entries in equal order give equal states
 * on every replica. Synchronous; never throws for what a command says (an unknown, stale or malformed
 * command is a typed no-op); it throws only for broken invariants and engine failures.
 */
import type { Entry } from '../types.js';

/** A command's result, opaque to the region: encoded by the state machine, handed to the proposer. */
export type CommandResult = Uint8Array;

export interface StateMachine {
  /** Index up to which entries are applied; 0 at the start. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /** Applied index that survives a crash of the machine: the log may be truncated up to here. */
  durableIndex(): number;
  /**
   * Makes the data of one entry out of commands, adding what the proposer decides (a timestamp).
   * `commands.length` >= 1. The commands are copied into the result.
   */
  encodeEntry(commands: readonly Uint8Array[], wallMs: number): Uint8Array;
  /**
   * Applies `entry` (index = appliedIndex + 1) and returns one result per command, in order; an
   * empty array for a no-op or a configuration change. Results are only read on the proposer's node.
   */
  apply(entry: Entry): readonly CommandResult[];
  /** A consistent picture at appliedIndex, cut into chunks of at most limits.snapshotChunkBytesMax. */
  snapshot(): SnapshotSource;
  /** Begins to take in a snapshot; nothing is visible until `finish`. */
  install(index: number, term: number): SnapshotSink;
}

export interface SnapshotSource {
  readonly index: number;
  readonly term: number;
  /** The next chunk; undefined at the end. */
  next(): Uint8Array | undefined;
  close(): void;
}

export interface SnapshotSink {
  write(chunk: Uint8Array): void;
  /** Verifies and makes the snapshot the state, atomically. Throws FRAME_CORRUPT when it does not hold together. */
  finish(): void;
  abort(): void;
}
