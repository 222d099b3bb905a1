/**
 * Whether a node serves, asked on its admin port.
 */
const answerWithinMs = 1_000;

/** Id of the process that answers at host:port and is ready; undefined when none does. */
export async function readyProcess(address: string): Promise<number | undefined> {
  const ready = await ask(`http://${address}/readyz`);
  if (ready === undefined) return undefined;
  const status = (await ask(`http://${address}/status`)) as
    | { process?: { pid?: unknown } }
    | undefined;
  const pid = status?.process?.pid;
  return typeof pid === 'number' ? pid : undefined;
}

async function ask(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answerWithinMs) });
    const body: unknown = await response.json();
    return response.ok ? body : undefined;
  } catch {
    // Nobody listens yet, or it is no node: asked again until the deadline.
    return undefined;
  }
}
