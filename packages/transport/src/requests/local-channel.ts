/**
 * A request channel to a node in the same process: no wire, no copies, the same bounds and the same
 * outcomes as over a socket.
 */
import { limits, MokuError } from '@moku/base';
import { AbortWatch } from './abort-watch.js';
import type { ClientAnswer, ClientRequest, RequestChannel, RequestHandler } from './contract.js';

/** A channel straight into `handler`. Bytes of requests and answers are shared: nobody may change them. */
export function localChannel(handler: RequestHandler): RequestChannel {
  return new LocalChannel(handler);
}

class LocalChannel implements RequestChannel {
  private readonly handler: RequestHandler;
  private readonly aborts = new AbortWatch();
  /** How to end each request under way from this side. */
  private readonly inFlight = new Set<(error: MokuError) => void>();
  private isClosed = false;

  constructor(handler: RequestHandler) {
    this.handler = handler;
  }

  get isOpen(): boolean {
    return !this.isClosed;
  }

  request(request: ClientRequest, signal?: AbortSignal): Promise<ClientAnswer> {
    return new Promise((resolve, reject) => {
      const refusal = this.refusal(signal);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      const controller = new AbortController();
      const leave = (): void => {
        this.inFlight.delete(end);
        if (signal !== undefined) this.aborts.remove(signal, onAbort);
      };
      const end = (error: MokuError): void => {
        leave();
        controller.abort();
        reject(error);
      };
      const onAbort = (): void => end(new MokuError('ABORTED'));
      this.inFlight.add(end);
      if (signal !== undefined) this.aborts.add(signal, onAbort);
      this.handler.handle(request, controller.signal).then(resolve, reject).finally(leave);
    });
  }

  private refusal(signal: AbortSignal | undefined): MokuError | undefined {
    if (this.isClosed) return new MokuError('UNAVAILABLE', { field: 'channel', reason: 'closed' });
    if (signal?.aborted === true) return new MokuError('ABORTED').withOutcome('definite');
    const bound = limits.requestsInFlightMax;
    if (this.inFlight.size < bound) return undefined;
    return new MokuError('BUSY', { queue: 'requestsInFlight', bound });
  }

  close(): Promise<void> {
    this.isClosed = true;
    for (const end of [...this.inFlight])
      end(new MokuError('CONNECTION_LOST', { reason: 'closed' }));
    return Promise.resolve();
  }
}
