// @hot
/**
 * Answers on their way to their sinks. Whoever decides an outcome queues it here; the turn delivers at
 * its end, so that a sink never runs within the call that took it, nor while a replica is being changed.
 *
 * Invariant A1: a sink handed to `propose` or `read` is delivered exactly one outcome.
 */
import type { ProposeOutcome, ReadOutcome } from './contracts/host.js';

export type ProposeSink = (outcome: ProposeOutcome) => void;
export type ReadSink = (outcome: ReadOutcome) => void;

export class Answers {
  private proposeSinks: ProposeSink[] = [];
  private proposeOutcomes: ProposeOutcome[] = [];
  private readSinks: ReadSink[] = [];
  private readOutcomes: ReadOutcome[] = [];

  propose(sink: ProposeSink, outcome: ProposeOutcome): void {
    this.proposeSinks.push(sink);
    this.proposeOutcomes.push(outcome);
  }

  read(sink: ReadSink, outcome: ReadOutcome): void {
    this.readSinks.push(sink);
    this.readOutcomes.push(outcome);
  }

  isEmpty(): boolean {
    return this.proposeSinks.length === 0 && this.readSinks.length === 0;
  }

  /** Delivers what is queued now; what sinks queue meanwhile waits for the next call. */
  deliver(): void {
    if (this.readSinks.length > 0) {
      const sinks = this.readSinks;
      const outcomes = this.readOutcomes;
      this.readSinks = [];
      this.readOutcomes = [];
      for (let i = 0; i < sinks.length; i++) sinks[i]!(outcomes[i]!);
    }
    if (this.proposeSinks.length > 0) {
      const sinks = this.proposeSinks;
      const outcomes = this.proposeOutcomes;
      this.proposeSinks = [];
      this.proposeOutcomes = [];
      for (let i = 0; i < sinks.length; i++) sinks[i]!(outcomes[i]!);
    }
  }

  /** Forgets everything undelivered: after a fatal error nothing is acknowledged any more (P7). */
  drop(): void {
    this.proposeSinks = [];
    this.proposeOutcomes = [];
    this.readSinks = [];
    this.readOutcomes = [];
  }
}
