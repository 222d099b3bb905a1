/**
 * The protocol of one snapshot's stream, which its two ends (snapshots-out, snapshots-in) keep, and the
 * sending of what they tell each other.
 *
 *   sender    waiting → offering (chunk 0 sent) → sending (as far as `taken` allows) → sent → over
 *   receiver  none → taking → installing (content is state, the engine not yet durable) → none
 *
 * Chunks travel on the bulk lane, `ended` behind them; what the receiver says on the control lane. The end
 * of a stream that went well is the core's: an acknowledgement that the log restarted behind it.
 *
 * Invariants:
 *  Q1 Every chunk that comes is answered: `taken` once it is in the sink, or a refusal that ends the
 *     stream. A receiver that takes or installs says `taken` again at least every `signalTicks`.
 *  Q2 The first chunk is the offer: until it is taken nothing more is sent. Then at most `windowChunks`
 *     beyond what was taken are under way, so that a receiver whose engine is full holds no more.
 *  Q3 A refused stream is offered anew, as a new one, after `retryTicksMin`, twice as long each time up to
 *     `retryTicksMax`. `busy` speaks for the node: nothing is offered to it until then.
 *  Q4 Nothing outlives its session, its leader's term or its replica.
 *
 * What may happen, and who goes on:
 *  - Frames are lost only with their session. Both ends see its end: the receiver drops the stream, the
 *    sender begins anew in the next session. The same when either process restarts.
 *  - The leader changes. A receiver that learns of it first drops the stream and says `unwanted`; a sender
 *    that does says `ended`. The new leader's offer replaces a stream of the former.
 *  - Two senders: the greater term's offer is taken, the other hears `unwanted`, and the core's answer with
 *    the term. Of one term there is one leader.
 *  - The receiver caught up by its log: the core acknowledges, and the offer is `unwanted`.
 *  - The acknowledgement says less than the sender's log reaches back (the snapshot was a former leader's,
 *    or the log was truncated meanwhile): the sender begins anew at once.
 *  - The receiver installs another snapshot: `installing`, until the engine holds it.
 *  - The engine is full: an offer is `busy`; chunks of a stream under way are held (Q2) until it is not.
 *  - Refusals and chunks that cross: both ends know a stream by its number and session; what is said of
 *    another is passed over by the sender, and answered `broken` by the receiver.
 *  - Silence, against Q1: a sender begins anew after `silentTicksMax`, a receiver gives up after
 *    `idleTicksMax`. No case is known; a hung peer loses its session long before.
 */
import type { Lane, LinkSession, Transport } from './contracts/transport.js';
import { FrameWriter } from './wire/frame-writer.js';
import type { SnapshotSignal } from './wire/types.js';

/** Chunks under way or held beyond what was taken: 2 MiB of the largest. */
export const windowChunks = 8;
/** Ticks after which a receiver repeats how far it is. */
export const signalTicks = 20;
/** Ticks until a refused stream is offered anew. */
export const retryTicksMin = 4;
export const retryTicksMax = 16;
/** Three missed repetitions, counted only while the socket holds nothing that is unsent. */
export const silentTicksMax: number = 3 * signalTicks;
/** Ticks without a chunk that was sent or taken after which a stream gives up its picture. */
export const stalledTicksMax = 200;
/** … and after which it gives its place to a stream to another node. */
export const yieldTicks = 20;
/** Ticks without a chunk after which a receiver whose engine has room gives up: the sender judges first. */
export const idleTicksMax: number = 2 * stalledTicksMax;

export class SnapshotSignals {
  private readonly transport: Transport;
  private readonly writer = new FrameWriter();

  constructor(transport: Transport) {
    this.transport = transport;
  }

  /** Sends at once; a session that is over drops it, which its other end sees by itself. */
  send(session: LinkSession, lane: Lane, signal: SnapshotSignal): void {
    this.writer.begin();
    this.writer.snapshotSignal(signal);
    for (const bytes of this.writer.finish()) this.transport.send(session, lane, bytes);
  }
}
