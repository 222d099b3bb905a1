/**
 * How long a call may take: its timeout and the caller's AbortSignal in one. Every wait of the client
 * goes through one of these, so that every wait has a bound.
 */
import { setMaxListeners } from 'node:events';
import { type Clock, limits, MokuError, type Prng, type TimerHandle } from '@moku/base';
import { AbortWatch } from '@moku/transport';
import { checkOptions, checkSignal } from './arguments.js';
import type { CallOptions } from './database.js';

const defaultTimeoutMs = 30_000;

const pauseMsMin = 10;
const pauseMsMax = 400;

export class Deadline {
  readonly signal: AbortSignal;
  private readonly controller = new AbortController();
  private readonly clock: Clock;
  private readonly prng: Prng;
  private readonly dueMs: number;
  private readonly timer: TimerHandle;
  private readonly caller: AbortSignal | undefined;
  private readonly callers: AbortWatch;
  private readonly onCallerAbort = (): void => this.controller.abort();
  readonly timeoutMs: number;

  constructor(shared: CallsShared, options: CallOptions | undefined) {
    const { clock, prng, callers } = shared;
    checkOptions(options);
    checkSignal(options?.signal);
    const timeoutMs = options?.timeoutMs ?? defaultTimeoutMs;
    if (!Number.isFinite(timeoutMs) || timeoutMs < 1 || timeoutMs > limits.timeoutMsMax) {
      throw new MokuError('INVALID_ARGUMENT', {
        field: 'timeoutMs',
        value: timeoutMs,
        min: 1,
        max: limits.timeoutMsMax,
      });
    }
    this.clock = clock;
    this.prng = prng;
    this.callers = callers;
    this.timeoutMs = timeoutMs;
    this.dueMs = clock.monotonicMs() + timeoutMs;
    this.signal = this.controller.signal;
    // A call may have many requests under way; each listens.
    setMaxListeners(0, this.signal);
    this.timer = clock.after(timeoutMs, () => this.controller.abort('timeout'));
    this.caller = options?.signal;
    if (this.caller?.aborted) this.controller.abort();
    else if (this.caller !== undefined) callers.add(this.caller, this.onCallerAbort);
  }

  get remainingMs(): number {
    return Math.max(0, this.dueMs - this.clock.monotonicMs());
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** The error of a call that ended here: ABORTED by the caller, else TIMEOUT. `last` is what it met before. */
  error(isMaybe: boolean, last: unknown): MokuError {
    const isAborted = this.caller?.aborted === true;
    const details: Record<string, unknown> = isAborted ? {} : { timeoutMs: this.timeoutMs };
    if (last instanceof MokuError) details['last'] = last.code;
    const cause = isAborted ? (this.caller?.reason ?? last) : last;
    const error = new MokuError(isAborted ? 'ABORTED' : 'TIMEOUT', details, { cause });
    return isMaybe ? error : error.withOutcome('definite');
  }

  /** What to tell of attempts: an `error` of one that the deadline ended says less than the `last` before it. */
  worthTelling(last: unknown, error: unknown): unknown {
    return this.isOver && last !== undefined ? last : error;
  }

  /**
   * What `promise` gives. Rejects with TIMEOUT or ABORTED, definite, once the call is over: others may go on
   * waiting for it.
   */
  within<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const { signal } = this;
      const over = (): void => reject(this.error(false, undefined));
      const end = (): void => signal.removeEventListener('abort', over);
      signal.addEventListener('abort', over, { once: true });
      promise.then(resolve, reject).then(end, end);
      if (this.isOver) over();
    });
  }

  /** Waits `ms`, or until the deadline, whichever is first. */
  wait(ms: number): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.clock.after(ms, done);
      this.signal.addEventListener('abort', done, { once: true });
    });
  }

  /**
   * Waits before attempt `attempt` (1, 2, …): 10 ms, doubling up to 400 ms, of which the upper half is
   * random, so that clients that failed together do not come back together.
   */
  pause(attempt: number): Promise<void> {
    const ms = Math.min(pauseMsMax, pauseMsMin * 2 ** Math.min(attempt - 1, 10));
    return this.wait((ms * (1 + this.prng.unit())) / 2);
  }

  /** Frees the timer and the listener. Must be called once the call is over. */
  end(): void {
    this.timer.cancel();
    if (this.caller !== undefined) this.callers.remove(this.caller, this.onCallerAbort);
  }
}

interface CallsShared {
  readonly clock: Clock;
  readonly prng: Prng;
  /** Callers' signals: one may serve thousands of calls. */
  readonly callers: AbortWatch;
}

/** All calls of one database: each under its deadline, counted, so that closing can wait for them. */
export class Calls {
  private readonly shared: CallsShared;
  private underWay = 0;
  private isClosed = false;
  private onIdle: (() => void) | undefined;

  constructor(clock: Clock, prng: Prng) {
    this.shared = { clock, prng, callers: new AbortWatch() };
  }

  /** Runs `task` under a deadline of its own. Throws CLOSED (definite) once the database is closing. */
  async run<R>(
    options: CallOptions | undefined,
    task: (deadline: Deadline) => Promise<R>,
  ): Promise<R> {
    if (this.isClosed) throw new MokuError('CLOSED', { field: 'database' });
    const deadline = new Deadline(this.shared, options);
    this.underWay += 1;
    try {
      return await task(deadline);
    } finally {
      deadline.end();
      this.underWay -= 1;
      if (this.underWay === 0) this.onIdle?.();
    }
  }

  /** Refuses further calls and waits for those under way, at most `graceMs`. */
  close(graceMs: number): Promise<void> {
    this.isClosed = true;
    if (this.underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.shared.clock.after(graceMs, resolve);
      this.onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}
