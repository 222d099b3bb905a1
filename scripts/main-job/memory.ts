/**
 * Peak resident memory of the nodes: the kernel's own high-water mark where it tells one, else samples.
 */
import { readFileSync } from 'node:fs';
import type { DevCluster } from 'moku/dev';

const samplePauseMs = 250;

export class MemoryWatch {
  private readonly cluster: DevCluster;
  private readonly timer: NodeJS.Timeout;
  /** Largest so far of any node, in MiB. */
  rssMbMax = 0;

  constructor(cluster: DevCluster) {
    this.cluster = cluster;
    this.timer = setInterval(() => this.sample(), samplePauseMs);
    this.timer.unref();
  }

  sample(): void {
    for (const { nodeId } of this.cluster.nodes) {
      const pid = this.cluster.pid(nodeId);
      if (pid !== undefined) this.rssMbMax = Math.max(this.rssMbMax, peakMb(pid));
    }
  }

  stop(): void {
    this.sample();
    clearInterval(this.timer);
  }
}

function peakMb(pid: number): number {
  try {
    const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Math.round(Number(match?.[1] ?? 0) / 1024);
  } catch {
    // The process just ended, or this system has no /proc: nothing to add.
    return 0;
  }
}
