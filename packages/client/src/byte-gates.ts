/**
 * Bounds the bytes of commands under way to each node; who finds no room waits in line.
 *
 * Invariants:
 *  Y1 Bytes under way to a node are at most the bound, but for a command that is alone.
 *  Y2 First come, first served: nobody passes a waiter.
 */
import type { NodeId } from '@moku/base';

interface Gate {
  bytes: number;
  readonly waiting: Waiter[];
}

interface Waiter {
  readonly bytes: number;
  readonly enter: () => void;
}

export class ByteGates {
  private readonly bytesMax: number;
  private readonly gates = new Map<NodeId, Gate>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /**
   * Undefined when there is room; else resolves to true once there is, to false when `signal` ended the
   * wait. Each entry needs its `leave`.
   */
  enter(nodeId: NodeId, bytes: number, signal: AbortSignal): Promise<boolean> | undefined {
    if (bytes === 0) return undefined;
    let gate = this.gates.get(nodeId);
    if (gate === undefined) {
      gate = { bytes: 0, waiting: [] };
      this.gates.set(nodeId, gate);
    }
    if (gate.waiting.length === 0 && this.hasRoom(gate, bytes)) {
      gate.bytes += bytes;
      return undefined;
    }
    return signal.aborted ? Promise.resolve(false) : this.wait(gate, bytes, signal);
  }

  leave(nodeId: NodeId, bytes: number): void {
    const gate = this.gates.get(nodeId);
    if (bytes === 0 || gate === undefined) return;
    gate.bytes -= bytes;
    this.admit(gate);
  }

  private wait(gate: Gate, bytes: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const onAbort = (): void => {
        gate.waiting.splice(gate.waiting.indexOf(waiter), 1);
        resolve(false);
        // It may have been first, and too large for the room that is there.
        this.admit(gate);
      };
      const enter = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(true);
      };
      const waiter = { bytes, enter };
      gate.waiting.push(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  private admit(gate: Gate): void {
    for (let next = gate.waiting[0]; next !== undefined; next = gate.waiting[0]) {
      if (!this.hasRoom(gate, next.bytes)) return;
      gate.waiting.shift();
      gate.bytes += next.bytes;
      next.enter();
    }
  }

  private hasRoom(gate: Gate, bytes: number): boolean {
    return gate.bytes === 0 || gate.bytes + bytes <= this.bytesMax;
  }
}
