/**
 * The threads of the log and of the engine, without threads: what they would do waits in a queue until
 * `Pace` runs it, one message after the other, and answers come when `Pace` says so.
 *
 * Invariants:
 *  T1 Messages are handled, and answers arrive, in the order in which they were posted.
 *  T2 After `kill` nothing runs and nothing is answered.
 */
import { MokuError } from '@moku/base';
import {
  type LogLink,
  type LogPort,
  type LogThread,
  type Medium,
  type StartLogLink,
  type StartWriterLink,
  startLogThread,
  WriterLoop,
} from '@moku/storage';

/** When things happen. Both run tasks in the order in which they were given. */
export interface Pace {
  /** The thread comes to its next piece of work. */
  work(task: () => void): void;
  /** An answer reaches the loop. */
  answer(task: () => void): void;
}

/** One thread's queue. */
export class Actor {
  isAlive = true;
  private readonly pace: Pace;
  private readonly tasks: (() => void)[] = [];
  private isPlanned = false;

  constructor(pace: Pace) {
    this.pace = pace;
  }

  get isIdle(): boolean {
    return this.tasks.length === 0;
  }

  /** Runs `task` after all that waits. */
  push(task: () => void): void {
    this.tasks.push(task);
    this.plan();
  }

  answer(task: () => void): void {
    this.pace.answer(() => {
      if (this.isAlive) task();
    });
  }

  /** Runs what waits first; false when nothing does. */
  step(): boolean {
    const task = this.tasks.shift();
    if (task === undefined || !this.isAlive) return false;
    task();
    return true;
  }

  kill(): void {
    this.isAlive = false;
    this.tasks.length = 0;
  }

  private plan(): void {
    if (this.isPlanned || !this.isAlive || this.tasks.length === 0) return;
    this.isPlanned = true;
    this.pace.work(() => {
      this.isPlanned = false;
      this.step();
      this.plan();
    });
  }
}

type ToLog = Parameters<LogThread['handle']>[0];
type FromLog = Parameters<LogPort['post']>[0];

/** A log's thread on `medium`. */
export function logLinks(
  medium: Medium,
  pace: Pace,
  onStart: (actor: Actor) => void,
): StartLogLink {
  return (options, firstListener) => {
    const actor = new Actor(pace);
    onStart(actor);
    let listener = firstListener;
    let thread: LogThread | undefined;
    const waiting: ToLog[] = [];
    let onEnded = (): void => {};
    const ended = new Promise<void>((resolve) => {
      onEnded = resolve;
    });
    const port: LogPort = {
      post: (message: FromLog) => {
        // Between threads buffers of node become plain bytes; only here somebody could tell.
        const arrived = message.type === 'states' ? structuredClone(message) : message;
        actor.answer(() => listener.onMessage(arrived));
      },
      next: () => waiting.shift(),
      close: () => {
        actor.answer(() => {
          actor.kill();
          onEnded();
          listener.onBroken(new MokuError('LOG_IO', { operation: 'thread' }));
        });
      },
    };
    actor.push(() => {
      thread = startLogThread(port, options, medium);
    });
    /** The thread takes what waits by itself, up to its bound. */
    const handleAll = (): void => {
      const first = waiting.shift();
      if (first !== undefined) thread?.handle(first);
      if (waiting.length > 0) actor.push(handleAll);
    };
    const link: LogLink = {
      ended,
      listen: (next) => {
        listener = next;
      },
      post: (message) => {
        waiting.push(message);
        if (waiting.length === 1) actor.push(handleAll);
      },
      terminate: async () => {
        actor.kill();
        onEnded();
      },
    };
    return link;
  };
}

/** An engine's writer on `medium`. */
export function writerLinks(
  medium: Medium,
  pace: Pace,
  onStart: (actor: Actor) => void,
): StartWriterLink {
  return (directory, events) => {
    const actor = new Actor(pace);
    onStart(actor);
    let loop: WriterLoop | undefined;
    const port = {
      post: (message: Parameters<typeof events.onMessage>[0]) =>
        actor.answer(() => events.onMessage(message)),
      soon: (task: () => void) => actor.push(task),
      close: () =>
        actor.answer(() => {
          actor.kill();
          events.onEnded({ reason: 'thread ended' });
        }),
    };
    actor.push(() => {
      loop = new WriterLoop(directory, port, medium);
    });
    return {
      post: (message) => actor.push(() => loop?.handle(message)),
      terminate: async () => actor.kill(),
    };
  };
}
