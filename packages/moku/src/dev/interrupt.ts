/**
 * The wish of a user, a supervisor or a terminal that this process ends.
 */

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * A signal that arrives twice within this time was sent once: npm, `timeout` and terminals each tell the
 * whole process group and pass it on as well.
 */
const sameSignalMs = 500;

/** The exit code of a process that was told twice. */
const exitImpatient = 130;

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP, to its name. From the call on these signals no longer
 * end the process by themselves; a later one does, at once, after `onImpatience`.
 */
export function interrupted(onImpatience: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstMs: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      const nowMs = performance.now();
      if (firstMs !== undefined && nowMs - firstMs > sameSignalMs) {
        onImpatience();
        process.exit(exitImpatient);
      }
      firstMs ??= nowMs;
      resolve(signal);
    };
    for (const signal of signals) process.on(signal, onSignal);
  });
}
