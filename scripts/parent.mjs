/**
 * npm passes a signal on to the shell that it runs a script in, which dies without a word to the
 * script. A script that npm started watches its parent instead, so that nothing is left behind.
 */
const checkEveryMs = 250;

/** Calls `end` once if the shell that npm runs this script in is gone. Does nothing without npm. */
export function whenAbandoned(end) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parentId = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parentId) return;
    clearInterval(timer);
    end();
  }, checkEveryMs);
  timer.unref();
}
