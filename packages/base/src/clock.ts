/**
 * The one source of time and timers. Below floor 4 time comes in as an argument; a Clock is for
 * adapters. Simulated clocks implement the same contract.
 */

export interface TimerHandle {
  /** Stops the timer; a second call does nothing. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Wall-clock milliseconds since 1970. May jump either way; decides no safety. */
  wallMs(): number;
  /** Runs `task` once, not before `delayMs` (>= 0) have passed. */
  after(delayMs: number, task: () => void): TimerHandle;
  /** Runs `task` soon, after the I/O that is already there. Used to coalesce work into one turn. */
  soon(task: () => void): void;
}
