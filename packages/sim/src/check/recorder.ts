/**
 * Writes a history down while it happens: the order of calls is the order in real time.
 */
import type { HistoryEvent } from './history.js';
import type { Json, OperationName } from './history-values.js';

/** An operation that was invoked; exactly one of these is called, once, or none ever. */
export interface OpenOperation {
  ok(result: Json): void;
  fail(): void;
  info(): void;
}

export class HistoryRecorder {
  readonly events: HistoryEvent[] = [];
  private readonly now: () => number;

  /** `now` never goes back. */
  constructor(now: () => number) {
    this.now = now;
  }

  /** To be called before the request leaves; the completion after the answer came. */
  invoke(process: number, f: OperationName, key: string | null, value: Json): OpenOperation {
    const add = (type: HistoryEvent['type'], eventValue: Json): void => {
      this.events.push({ process, f, key, value: eventValue, type, time: this.now() });
    };
    add('invoke', value);
    return {
      ok: (result) => add('ok', result),
      fail: () => add('fail', value),
      info: () => add('info', value),
    };
  }
}
