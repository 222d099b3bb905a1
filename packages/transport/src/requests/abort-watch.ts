/**
 * Who wants to know when a signal aborts. One listener per signal, however many requests share it, so
 * that a signal of a thousand requests is not taken for a leak.
 */

interface Watched {
  readonly listener: () => void;
  readonly tasks: Set<() => void>;
}

export class AbortWatch {
  private readonly watched = new Map<AbortSignal, Watched>();

  /** Runs `task` once when `signal` aborts, unless it is removed before. */
  add(signal: AbortSignal, task: () => void): void {
    const former = this.watched.get(signal);
    if (former !== undefined) {
      former.tasks.add(task);
      return;
    }
    const tasks = new Set([task]);
    const listener = (): void => {
      this.watched.delete(signal);
      for (const each of tasks) each();
    };
    this.watched.set(signal, { listener, tasks });
    signal.addEventListener('abort', listener, { once: true });
  }

  remove(signal: AbortSignal, task: () => void): void {
    const watched = this.watched.get(signal);
    if (watched === undefined || !watched.tasks.delete(task) || watched.tasks.size > 0) return;
    this.watched.delete(signal);
    signal.removeEventListener('abort', watched.listener);
  }
}
