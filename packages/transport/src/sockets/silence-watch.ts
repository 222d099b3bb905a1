/**
 * Whether the other end of a socket is still there: pure bookkeeping, told at each tick what moved since the last.
 * Both ends send something in every `aliveMs`, so each judges by what it receives alone, and a full
 * queue towards the peer says nothing about the peer.
 *
 * Invariants:
 *  S1 A peer is judged only by ticks that came in time: how late a tick was is not the peer's silence.
 *  S2 Any received byte counts, so that one large frame on a slow network is not silence.
 */
export interface SilenceLimits {
  /** After sending nothing for this long, something is sent. */
  readonly aliveMs: number;
  /** After receiving nothing for this long, the peer is silent. */
  readonly silenceMs: number;
}

export type SilenceVerdict = 'fine' | 'sendAlive' | 'silent';

export class SilenceWatch {
  private readonly limits: SilenceLimits;
  private heardMs: number;
  private saidMs: number;
  private receivedBytes = 0;
  private framesSent = 0;

  constructor(limits: SilenceLimits, nowMs: number) {
    this.limits = limits;
    this.heardMs = nowMs;
    this.saidMs = nowMs;
  }

  /** Milliseconds since something was last seen to arrive, as of the last tick. */
  heardMsAgo(nowMs: number): number {
    return Math.max(0, nowMs - this.heardMs);
  }

  /**
   * A tick at `nowMs`, `lateMs` after it was due (0: as good as in time), with the totals of received
   * bytes and sent frames since the socket was opened.
   */
  tick(nowMs: number, lateMs: number, receivedBytes: number, framesSent: number): SilenceVerdict {
    if (receivedBytes !== this.receivedBytes) {
      this.receivedBytes = receivedBytes;
      this.heardMs = nowMs;
    } else {
      this.heardMs = Math.min(nowMs, this.heardMs + lateMs);
    }
    if (framesSent !== this.framesSent) {
      this.framesSent = framesSent;
      this.saidMs = nowMs;
    }
    if (lateMs === 0 && nowMs - this.heardMs >= this.limits.silenceMs) return 'silent';
    return nowMs - this.saidMs >= this.limits.aliveMs ? 'sendAlive' : 'fine';
  }
}
