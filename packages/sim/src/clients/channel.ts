/**
 * Requests of simulated clients: channels with delay that break now and then, in either direction, and
 * always when their node ends.
 */
import { MokuError, type Prng } from '@moku/base';
import type { ClientAnswer, ClientRequest, RequestChannel } from '@moku/transport';
import type { Scheduler } from '../world/scheduler.js';
import type { SimNode } from '../world/sim-node.js';

export interface ChannelOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly nodes: readonly SimNode[];
  readonly latencyMs: () => number;
  /** Chance in [0, 1] that a message breaks its channel; asked anew each time. */
  readonly lossChance: () => number;
  readonly onLoss: () => void;
}

/** Where simulated clients reach a node. */
export function clientAddressOf(nodeId: number): string {
  return `client-${nodeId}:1`;
}

/** Opens a channel to `address`. Rejects with UNAVAILABLE when nobody is there. */
export function dialSimulated(options: ChannelOptions, address: string): Promise<RequestChannel> {
  const { scheduler, nodes, latencyMs } = options;
  return new Promise((resolve, reject) => {
    scheduler.after(latencyMs() * 2, () => {
      scheduler.needsDrain = true;
      const node = nodes.find(({ nodeId }) => clientAddressOf(nodeId) === address);
      if (node?.isRunning === true) resolve(new SimChannel(options, node));
      else reject(new MokuError('UNAVAILABLE', { address }));
    });
  });
}

/** Why calls are aborted; without it each abort would make an error of its own, with its stack. */
const ended = 'ended';

interface Call {
  readonly resolve: (answer: ClientAnswer) => void;
  readonly reject: (error: MokuError) => void;
  readonly controller: AbortController;
}

class SimChannel implements RequestChannel {
  private readonly options: ChannelOptions;
  private readonly node: SimNode;
  private readonly life: number;
  private readonly calls = new Set<Call>();
  private isBroken = false;

  constructor(options: ChannelOptions, node: SimNode) {
    this.options = options;
    this.node = node;
    this.life = node.life;
  }

  get isOpen(): boolean {
    return !this.isBroken;
  }

  request(request: ClientRequest, signal?: AbortSignal): Promise<ClientAnswer> {
    if (this.isBroken) return Promise.reject(new MokuError('UNAVAILABLE', { reason: 'closed' }));
    if (signal?.aborted === true) {
      return Promise.reject(new MokuError('ABORTED').withOutcome('definite'));
    }
    return new Promise((resolve, reject) => {
      const call: Call = { resolve, reject, controller: new AbortController() };
      this.calls.add(call);
      const onAbort = (): void => {
        this.options.scheduler.needsDrain = true;
        this.end(call, new MokuError('ABORTED'));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.travel(() => this.serve(request, call));
    });
  }

  close(): Promise<void> {
    this.break();
    return Promise.resolve();
  }

  /** Does `task` at the other side, unless the channel is lost on the way. */
  private travel(task: () => void): void {
    const { scheduler, prng, lossChance, latencyMs, onLoss } = this.options;
    const isLost = prng.unit() < lossChance();
    scheduler.after(latencyMs(), () => {
      scheduler.needsDrain = true;
      if (this.isBroken) return;
      if (isLost) onLoss();
      if (isLost || this.node.life !== this.life) this.break();
      else task();
    });
  }

  private serve(request: ClientRequest, call: Call): void {
    const { node, life } = this;
    this.watch(call);
    node.runIn(life, () => {
      const { handler } = node.running!;
      node.openRequests += 1;
      this.options.scheduler.needsDrain = true;
      // A handler resolves always; of a node that ended it never does, and `watch` notices.
      handler.handle(request, call.controller.signal).then((answer) => {
        if (node.life === life) node.openRequests -= 1;
        this.travel(() => {
          if (this.calls.delete(call)) call.resolve(answer);
        });
      }, call.reject);
    });
  }

  /** Notices the end of the node, as a socket does. */
  private watch(call: Call): void {
    const { scheduler } = this.options;
    scheduler.after(200, () => {
      if (!this.calls.has(call) || this.isBroken) return;
      if (this.node.life === this.life) {
        this.watch(call);
        return;
      }
      scheduler.needsDrain = true;
      this.break();
    });
  }

  private break(): void {
    this.isBroken = true;
    for (const call of [...this.calls]) this.end(call, new MokuError('CONNECTION_LOST'));
  }

  private end(call: Call, error: MokuError): void {
    if (!this.calls.delete(call)) return;
    call.controller.abort(ended);
    call.reject(error);
  }
}
